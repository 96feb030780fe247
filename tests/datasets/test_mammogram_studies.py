"""A studies folder of phantom mammograms: records, truth, splits, completing what was cut off."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from breastlabel.catalog import LABELS_FOLDER, Catalog, ImageRecord
from breastlabel.cli import app
from breastlabel.datasets.mammogram_studies import CLASS_CYCLE, TRUTH_FOLDER, _classes_of
from breastlabel.datasets.phantom_studies import SPLIT_CYCLE
from breastlabel.datasets.phantoms import write_mammogram_phantoms
from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.imaging import LesionClass, Modality, read_image, read_mask

SMALL = (80, 64)
VIEWS = {"rcc": ("R", "CC"), "rmlo": ("R", "MLO"), "lcc": ("L", "CC"), "lmlo": ("L", "MLO")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ImageRecord]]:
    studies = tmp_path_factory.mktemp("studies")
    return studies, write_mammogram_phantoms(studies, exams=4, seed=1, shape=SMALL)


def test_records_say_whose_breast_an_image_shows_and_when(made: tuple[Path, list[ImageRecord]]) -> None:
    _, records = made
    assert len(records) == 4 * 4 + 4  # the third patient has a prior
    prior = [r for r in records if "-prior-" in r.image_id]
    assert {r.patient_key for r in prior} == {"phantom-mg-1-0003"}
    for record in records:
        name = record.image_id.rpartition("-")[2]
        assert (record.laterality, record.view_position) == VIEWS[name]
        assert record.modality is Modality.MG
        assert record.reviewed
        assert record.spacing is not None
        assert set(record.metadata) >= {"acquired", "age", "density", "implant", "manufacturer", "machine"}
        assert ("type" in record.metadata) == (record.label != "normal")
    assert len({(r.patient_key, r.study_key) for r in records}) == 5
    third = [r for r in records if r.patient_key == "phantom-mg-1-0003"]
    dates = {r.study_key: r.metadata["acquired"] for r in third}
    assert dates["phantom-mg-1-0003-prior"] < dates["phantom-mg-1-0003-newest"]


def test_files_agree_with_their_records(made: tuple[Path, list[ImageRecord]]) -> None:
    studies, records = made
    for record in records:
        image = read_image(studies / record.file)
        assert image.shape == SMALL
        assert (image.modality, image.laterality) == (record.modality, record.laterality)
        assert image.view_position is record.view_position
        assert image.spacing == pytest.approx(record.spacing)
        assert image.acquisition_date is not None
        assert image.acquisition_date.isoformat() == record.metadata["acquired"]
        assert image.machine_id == record.metadata["machine"]
        mask = read_mask(studies / LABELS_FOLDER / f"{record.image_id}.nrrd", shape=SMALL)
        assert LesionClass(int(mask.max())).label == record.label


def test_the_truth_folder_equals_the_label_maps_and_is_not_read_as_images(
    made: tuple[Path, list[ImageRecord]],
) -> None:
    segread = pytest.importorskip("highdicom.seg").segread
    studies, records = made
    with_lesion = {r.image_id for r in records if r.label != "normal"}
    files = sorted((studies / TRUTH_FOLDER).iterdir())
    assert {file.stem for file in files} == with_lesion
    for file in files:
        mask = read_mask(studies / LABELS_FOLDER / f"{file.stem}.nrrd")
        np.testing.assert_array_equal(segread(file).pixel_array.reshape(SMALL) > 0, mask > 0)
    with Catalog.open(studies) as catalog:
        assert {r.image_id for r in catalog.images()} == {r.image_id for r in records}
        assert {r.dataset for r in catalog.images()} == {"phantom"}


def test_four_patients_fill_all_splits_with_several_classes_and_no_patient_is_in_two(
    made: tuple[Path, list[ImageRecord]],
) -> None:
    _, records = made
    for split in ("train", "val", "test"):
        assert len({r.label for r in records if r.split == split}) >= 2
    assert len({(r.patient_key, r.split) for r in records}) == 4
    breasts = [label for pair in CLASS_CYCLE for label in pair]
    assert [breasts.count(label) for label in LesionClass] == [16, 12, 12]
    sides = zip(*CLASS_CYCLE, strict=True)
    assert all(set(side) == set(LesionClass) for side in sides)


def test_repeating_a_call_completes_it_and_changes_nothing_else(tmp_path: Path) -> None:
    first = write_mammogram_phantoms(tmp_path, exams=1, seed=2, shape=SMALL)
    contents = {file: file.read_bytes() for file in tmp_path.rglob("*.dcm")}
    label = tmp_path / LABELS_FOLDER / f"{first[0].image_id}.nrrd"
    label.write_bytes((tmp_path / LABELS_FOLDER / f"{first[1].image_id}.nrrd").read_bytes())
    corrected = label.read_bytes()
    (tmp_path / first[0].file).unlink()
    again = write_mammogram_phantoms(tmp_path, exams=2, seed=2, shape=SMALL)
    assert again[:4] == first
    assert len(again) == 8
    assert all(file.read_bytes() == data for file, data in contents.items())
    assert label.read_bytes() == corrected


def test_what_a_killed_run_left_behind_becomes_phantoms_again(tmp_path: Path) -> None:
    whole = write_mammogram_phantoms(tmp_path / "whole", exams=1, seed=3, shape=SMALL)
    cut = tmp_path / "cut"
    cut.mkdir()
    for record in whole[:2]:
        (cut / record.file).write_bytes((tmp_path / "whole" / record.file).read_bytes())
    assert write_mammogram_phantoms(cut, exams=1, seed=3, shape=SMALL) == whole


def test_shares_of_priors_and_labels_are_kept(tmp_path: Path) -> None:
    records = write_mammogram_phantoms(
        tmp_path, exams=2, seed=1, shape=(64, 64), priors=1, labelled=0, split="test", truth=False
    )
    assert len(records) == 16
    assert {(r.label, r.reviewed, r.split) for r in records} == {(None, False, "test")}
    assert not any("type" in r.metadata or "superposition" in r.metadata for r in records)
    assert not (tmp_path / TRUTH_FOLDER).exists()
    assert not list((tmp_path / LABELS_FOLDER).glob("*.nrrd"))


def test_impossible_studies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudiesError, match=r"at least 1 exam, .*got 0, 20, 1 labelled and 0\.333333 with"):
        write_mammogram_phantoms(tmp_path, exams=0, seed=1)
    with pytest.raises(StudiesError, match="a seed of 0 or more is required; got -1"):
        write_mammogram_phantoms(tmp_path, exams=1, seed=-1)
    with pytest.raises(UnknownNameError, match="split must be one of test, train, val; got 'all'"):
        write_mammogram_phantoms(tmp_path, exams=1, seed=1, split="all")
    assert not list(tmp_path.iterdir())


def test_the_command_makes_mammograms_of_the_size_asked_for(tmp_path: Path) -> None:
    asked = ["phantom", "--modality", "MG", "--studies", str(tmp_path), "--seed", "4", "--json"]
    done = CliRunner().invoke(app, [*asked, "--exams", "1", "--size", "96x80"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["n_images"] == 4
    assert answer["modality"] == "MG"
    assert sum(answer["by_class"].values()) == 4
    assert read_image(tmp_path / f"{answer['images'][0]}.dcm").shape == (96, 80)
    refused = CliRunner().invoke(app, [*asked, "--size", "96"])
    assert refused.exit_code == 2
    assert "ROWSxCOLUMNS" in refused.output


def test_each_split_of_many_patients_has_the_classes_of_all() -> None:
    """Classes and splits both go in turns; a split must not meet the same few pairs in every round."""
    many = 6 * len(CLASS_CYCLE)
    pairs = [_classes_of(number, CLASS_CYCLE, 0) for number in range(many)]
    assert pairs[: len(CLASS_CYCLE)] == list(CLASS_CYCLE)
    assert sorted(pairs) == sorted(CLASS_CYCLE * 6)
    for split in ("train", "val", "test"):
        chosen = [pairs[n] for n in range(many) if SPLIT_CYCLE[n % len(SPLIT_CYCLE)] == split]
        assert len(set(chosen)) > 5
        assert {side for pair in chosen for side in pair} == set(LesionClass)
