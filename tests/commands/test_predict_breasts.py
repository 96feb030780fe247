"""Mammograms on the command line: which files are judged together, and what each is answered."""

import json

import numpy as np
import pytest
from tests.imaging.mammograms import PATIENT_ID, PATIENT_NAME, STUDY_UID, write_mammogram

from breastlabel.cli import main
from breastlabel.commands.predict_breasts import file_view
from breastlabel.imaging import Laterality, ViewPosition, read_mask
from breastlabel.networks import create_network
from breastlabel.training import save_checkpoint
from breastlabel.training.presets import PRESETS
from breastlabel.transforms import preparation_from_config

SHAPE = (120, 90)


def breast(lesion=(50, 30, 70, 50)):
    """Chest wall at the left, tissue at half of the range, a bright lesion."""
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pixels = np.where(((rows - 60) / 52) ** 2 + (cols / 75) ** 2 <= 1, 1500 + 7 * (rows % 9), 0)
    pixels[lesion[0] : lesion[2], lesion[1] : lesion[3]] = 3500
    return pixels.astype(np.uint16)


def write(folder, name, *, side="R", position="CC", date="20240305", **tags):
    return write_mammogram(
        folder / f"{name}.dcm",
        breast(),
        ImageLaterality=side,
        ViewPosition=position,
        StudyDate=date,
        AcquisitionDate=date,
        StudyInstanceUID=f"{STUDY_UID}.{date}",
        ImagerPixelSpacing=[0.5, 0.5],
        **tags,
    )


def save(folder, model="mammography", **thresholds):
    preset = PRESETS[model]["tiny"]
    return save_checkpoint(
        folder,
        create_network(**preset.network),
        model=model,
        preparation=preparation_from_config(preset.preparation),
        calibration={"temperature": 1.0},
        # Untrained, it calls every pixel lesion with about one in eight: enough for an outline.
        thresholds={"mask": 0.01, "normal": 1.01, **thresholds},
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tmp_path_factory.mktemp("checkpoint") / "p0")


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exam")
    write(folder, "rcc")
    write(folder, "rmlo", position="MLO")
    write(folder, "lcc", side="L")
    write(folder, "rcc-old", date="20220305")
    return folder


def predicted(arguments, checkpoint, out, capsys, code=0):
    options = ["--checkpoint", str(checkpoint), "--output", str(out), "--device", "cpu", "--json"]
    assert main(["predict", "mammography", *arguments, *options]) == code
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    return {result["file"].removesuffix(".dcm"): result for result in results}, captured.err


def company(result):
    return {shown["image_id"]: shown["role"] for shown in result["sequence"]}


def test_images_given_together_are_judged_by_breast_and_exam(exam, checkpoint, tmp_path, capsys):
    results, _ = predicted([str(exam)], checkpoint, tmp_path / "out", capsys)
    assert set(results) == {"rcc", "rmlo", "lcc", "rcc-old"}
    assert company(results["rcc"]) == {"rcc-old": "prior", "rcc": "asked", "rmlo": "asked"}
    assert results["rcc"]["breast"] == results["rmlo"]["breast"]
    assert results["rcc"]["breast"]["laterality"] == "R"
    assert company(results["lcc"]) == {"lcc": "asked"}
    assert company(results["rcc-old"]) == {"rcc-old": "asked"}
    (shown,) = (s for s in results["rcc"]["sequence"] if s["role"] == "prior")
    assert shown["months_before"] == 24
    kinds = {f["change"]["comparison"] for f in results["rcc"]["findings"]}
    assert kinds == {"compared"}
    assert {f["change"]["comparison"] for f in results["rmlo"]["findings"]} == {"not comparable"}
    for name in results:
        folder = tmp_path / "out" / name
        names = ["mask.nrrd", "overlay.png", "result.json", "seg.dcm", "sr.dcm"]
        assert sorted(p.name for p in folder.iterdir()) == names
        assert read_mask(folder / "mask.nrrd").shape == SHAPE
        assert json.loads((folder / "result.json").read_text()) == results[name]
        text = (folder / "result.json").read_text()
        assert not any(secret in text for secret in (PATIENT_ID, PATIENT_NAME, STUDY_UID, "2024", "20220305"))


def test_a_single_image_says_that_it_stands_alone(exam, checkpoint, tmp_path, capsys):
    results, _ = predicted([str(exam / "rcc.dcm")], checkpoint, tmp_path / "out", capsys)
    assert results["rcc"]["notes"] == ["analysed as a sequence of one image"]
    assert company(results["rcc"]) == {"rcc": "asked"}


def test_what_cannot_be_used_is_named_and_the_rest_of_the_breast_goes_on(exam, checkpoint, tmp_path, capsys):
    whole = (exam / "rmlo.dcm").read_bytes()
    (tmp_path / "rmlo.dcm").write_bytes(whole[: len(whole) // 2])
    files = [str(exam / "rcc.dcm"), str(tmp_path / "rmlo.dcm")]
    results, err = predicted(files, checkpoint, tmp_path / "out", capsys, code=1)
    assert set(results) == {"rcc"}
    assert company(results["rcc"]) == {"rcc": "asked"}
    lines = err.splitlines()
    assert "rmlo.dcm" in lines[0]
    assert lines[1].startswith("breastlabel: 1 of 2 images could not be analysed")
    assert len(lines) == 2


def test_several_checkpoints_answer_together(exam, checkpoint, tmp_path, capsys):
    other = save(tmp_path / "other")
    out = tmp_path / "out"
    options = ["--checkpoint", str(other)]
    results, _ = predicted([str(exam / "rcc.dcm"), *options], checkpoint, out, capsys)
    assert results["rcc"]["breast"]["uncertainty"]["members"] == 2
    assert results["rcc"]["checkpoint_version"].count("+") == 1


def test_a_system_for_one_image_judges_each_by_itself(exam, tmp_path, capsys):
    folder = save(tmp_path / "cad", model="cad", normal=0.5)
    options = ["--checkpoint", str(folder), "--output", str(tmp_path / "out"), "--device", "cpu", "--json"]
    assert main(["predict", "cad", str(exam), *options]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [len(result["sequence"]) for result in results] == [1] * 4
    assert all(result["findings"] == [] for result in results)


def test_headers_say_where_a_file_belongs_and_other_files_say_nothing(exam, tmp_path):
    known = file_view(exam / "rmlo.dcm")
    assert (known.image_id, known.laterality, known.view_position) == (
        "rmlo",
        Laterality.R,
        ViewPosition.MLO,
    )
    assert known.patient_key is not None
    assert PATIENT_ID not in known.patient_key
    assert file_view(exam / "rcc.dcm").patient_key == known.patient_key
    (tmp_path / "plain.png").write_bytes(b"")
    assert file_view(tmp_path / "plain.png").patient_key is None
    (tmp_path / "broken.dcm").write_bytes(b"not DICOM")
    assert file_view(tmp_path / "broken.dcm").laterality is None
