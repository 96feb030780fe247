"""``breastlabel labels export --format seg``: whose outline it is, and of which image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from tests.imaging.mammograms import PATIENT_ID, write_mammogram

from breastlabel.catalog import Catalog
from breastlabel.cli import main
from breastlabel.imaging import Geometry, write_image
from breastlabel.imaging.volumes import nifti_bytes

pytest.importorskip("highdicom")

SHAPE = (24, 20)


def disc(radius: int, value: int = 1) -> np.ndarray:
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return ((np.hypot(rows - 12, cols - 10) <= radius) * value).astype(np.uint8)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``plain``: no DICOM, a proposal and its correction; ``film``: DICOM, two readings; ``clear``: empty."""
    folder = tmp_path_factory.mktemp("studies")
    random = np.random.default_rng(1)
    for name in ("plain", "clear"):
        write_image(folder / f"{name}.nrrd", random.random(SHAPE, np.float32), geometry=Geometry())
    write_mammogram(folder / "film.dcm", random.integers(0, 4000, SHAPE).astype(np.uint16))
    with Catalog.open(folder) as catalog:

        def save(image: str, mask: np.ndarray, **info: Any) -> None:
            catalog.labels.save(image, nifti_bytes(mask, Geometry(), compress=True), **info)

        save("plain", disc(6), tag="original", model="ultrasound", model_version="20260101-aa")
        save("plain", disc(5), author="ann")
        save("film", disc(4, 2), author="ann")
        save("film", disc(6, 2), author="bob")
        save("clear", disc(-1), author="ann")
    return folder


@pytest.fixture
def exported(studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def export(*options: str) -> tuple[dict[str, Dataset], list[dict[str, Any]]]:
        out = tmp_path / "out"
        arguments = ["--format", "seg", "--output", str(out), "--studies", str(studies), *options]
        assert main(["labels", "export", *arguments]) == 0, capsys.readouterr().err
        index = json.loads((out / "index.json").read_text())["labels"]
        return {entry["image_id"]: dcmread(out / entry["file"]) for entry in index}, index

    return export


def painted(segmentation: Dataset) -> np.ndarray:
    frames = segmentation.pixel_array.reshape(-1, *SHAPE)
    numbers = [
        int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        for item in segmentation.PerFrameFunctionalGroupsSequence
    ]
    return sum(n * frame for n, frame in zip(numbers, frames, strict=True)).astype(np.uint8)


def algorithm(segmentation: Dataset) -> tuple[str, str | None]:
    (segment, other) = segmentation.SegmentSequence
    assert segment.SegmentAlgorithmType == other.SegmentAlgorithmType
    return segment.SegmentAlgorithmType, segment.get("SegmentAlgorithmName")


def test_each_final_label_is_a_segmentation_of_its_image(exported: Any, studies: Path) -> None:
    segmentations, index = exported()
    assert [entry["file"] for entry in index] == [f"masks/{n}.dcm" for n in ("clear", "film", "plain")]
    np.testing.assert_array_equal(painted(segmentations["plain"]), disc(5))
    np.testing.assert_array_equal(painted(segmentations["film"]), disc(6, 2))
    assert not painted(segmentations["clear"]).any()
    source = dcmread(studies / "film.dcm")
    assert segmentations["film"].SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert segmentations["film"].PatientID == PATIENT_ID
    assert algorithm(segmentations["film"]) == ("MANUAL", None)
    assert algorithm(segmentations["plain"]) == ("SEMIAUTOMATIC", "ultrasound")
    assert [str(segmentations[n].ContentCreatorName) for n in ("film", "plain")] == ["bob^", "ann^"]


def test_an_image_that_is_no_dicom_is_referred_to_as_viewers_see_it(exported: Any, studies: Path) -> None:
    segmentations, _ = exported()
    with Catalog.open(studies) as catalog:
        catalog.dicom.look_at(["plain"])
        shown = catalog.dicom.of_image("plain")
    (referred,) = segmentations["plain"].SourceImageSequence
    assert referred.ReferencedSOPInstanceUID == shown.sop_instance_uid
    assert referred.ReferencedSOPClassUID == shown.sop_class_uid
    assert segmentations["plain"].StudyInstanceUID == shown.study_instance_uid
    series = segmentations["plain"].ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == shown.series_instance_uid


def test_proposals_and_consensus_name_what_made_them(exported: Any) -> None:
    proposals, _ = exported("--tag", "original")
    assert algorithm(proposals["plain"]) == ("AUTOMATIC", "ultrasound")
    agreed, _ = exported("--consensus", "majority")
    assert algorithm(agreed["film"]) == ("AUTOMATIC", "majority")
    np.testing.assert_array_equal(painted(agreed["film"]), disc(4, 2))  # two readers, a tie is no lesion


def test_all_versions_are_different_objects(exported: Any, tmp_path: Path) -> None:
    _, index = exported("--all-versions")
    uids = [dcmread(tmp_path / "out" / entry["file"]).SOPInstanceUID for entry in index]
    assert len(uids) == len(set(uids)) == 4
