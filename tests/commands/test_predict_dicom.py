"""The DICOM objects beside an answer on the command line."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from tests.imaging.mammograms import write_mammogram

from breastlabel.commands import predict_dicom
from breastlabel.commands.predict_dicom import write_dicom_results

pytest.importorskip("highdicom")

PIXELS = np.random.default_rng(0).integers(0, 4000, (70, 60)).astype(np.uint16)
RESULT = {
    "file": "rcc.dcm",
    "model": "mammography",
    "findings": [],
    "predicted_class": "malignant",
    "class_probabilities": {"normal": 0.2, "benign": 0.1, "malignant": 0.7},
    "malignancy_probability": 0.7,
    "uncertainty": None,
    "checkpoint_version": "12",
    "image": {"modality": "MG", "laterality": "R", "view_position": "CC"},
}


def mammogram(folder: Path, name: str = "rcc", **tags: object) -> Path:
    uids = {keyword: generate_uid() for keyword in ("SOPInstanceUID", "SeriesInstanceUID")}
    return write_mammogram(folder / f"{name}.dcm", PIXELS, **{**uids, **tags})


def mask() -> np.ndarray:
    painted = np.zeros(PIXELS.shape, np.uint8)
    painted[10:20, 30:45] = 2
    return painted


def test_segmentation_and_report_tell_of_the_image_and_of_those_judged_with_it(tmp_path: Path) -> None:
    from highdicom.seg import segread

    file, other = mammogram(tmp_path), mammogram(tmp_path, "rmlo", ViewPosition="MLO")
    write_dicom_results(tmp_path, file, mask(), RESULT, others=[other, Path(__file__)])
    header = dcmread(file)
    planes = segread(tmp_path / "seg.dcm").get_pixels_by_source_instance(
        [header.SOPInstanceUID], combine_segments=True
    )
    np.testing.assert_array_equal(planes[0], mask())
    report = dcmread(tmp_path / "sr.dcm")
    (study,) = report.PertinentOtherEvidenceSequence
    named = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert [item.ReferencedSOPInstanceUID for item in named] == [dcmread(other).SOPInstanceUID]
    assert b"rcc.dcm" not in (tmp_path / "sr.dcm").read_bytes()


def test_the_same_answer_has_the_same_uids(tmp_path: Path) -> None:
    file = mammogram(tmp_path)
    uids = []
    for name in ("first", "again"):
        folder = tmp_path / name
        folder.mkdir()
        write_dicom_results(folder, file, mask(), RESULT)
        uids.append([dcmread(folder / f).SOPInstanceUID for f in ("seg.dcm", "sr.dcm")])
    assert uids[0] == uids[1]
    assert len(set(uids[0])) == 2


def test_an_image_that_cannot_be_referred_to_is_named_and_its_answer_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = mammogram(tmp_path, SeriesInstanceUID=None)
    write_dicom_results(tmp_path, file, mask(), RESULT)
    assert "rcc.dcm: no seg.dcm and sr.dcm" in capsys.readouterr().err
    assert not list(tmp_path.glob("s*.dcm"))


def test_a_file_of_another_kind_and_a_machine_without_highdicom_get_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "x.png"
    picture.write_bytes(b"\x89PNG")
    write_dicom_results(tmp_path, picture, mask(), RESULT)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(predict_dicom, "find_spec", lambda name: None)
    for _ in range(2):
        write_dicom_results(tmp_path, mammogram(tmp_path), mask(), RESULT)
    assert capsys.readouterr().err.count("breastlabel[server]") == 1
    assert not list(tmp_path.glob("s*.dcm"))
