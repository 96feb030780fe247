"""What is read of a DICOM file without its pixels, and what `read_image` makes of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.imaging.mammograms import (
    FOR_PROCESSING,
    PATIENT_ID,
    PATIENT_NAME,
    SECONDARY_CAPTURE,
    STUDY_UID,
    TOMOSYNTHESIS,
    code,
    film,
    view,
    write_mammogram,
)

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Laterality, Modality, ViewPosition, read_image
from breastlabel.imaging.dicom import header_facts, header_keys

TAGS: dict[str, Any] = {
    "ImageLaterality": "L",
    "ViewCodeSequence": view("SRT", "R-10226", code("SRT", "R-102D5")),
    "PatientAge": "061Y",
    "AcquisitionDate": "20240229",
    "StudyDate": "20240301",
    "Manufacturer": "Maker",
    "ManufacturerModelName": "Model 1",
    "ImagerPixelSpacing": [0.1, 0.1],
}


def test_facts_are_what_a_view_needs(tmp_path: Path) -> None:
    path = write_mammogram(tmp_path / "a.dcm", **TAGS)
    facts = header_facts(path, salt="s")
    assert (facts.laterality, facts.view_position) == (Laterality.L, ViewPosition.MLO)
    assert (facts.acquired, facts.age, facts.implant) == (date(2024, 2, 29), 61, True)
    assert (facts.manufacturer, facts.machine) == ("Maker", "Model 1")
    assert (facts.keys.modality, facts.is_film) == (Modality.MG, False)
    assert facts.presentation_intent == "FOR PRESENTATION"
    assert facts.not_analysable is None
    assert facts.keys == header_keys(path, salt="s") != header_keys(path, salt="t")
    assert not any(secret in repr(facts) for secret in (PATIENT_ID, PATIENT_NAME, STUDY_UID))


def test_an_image_says_the_same(tmp_path: Path) -> None:
    path = write_mammogram(tmp_path / "a.dcm", **TAGS, PartialView="YES", Laterality="R")
    image, facts = read_image(path), header_facts(path)
    assert (image.view_position, image.laterality, image.age) == (facts.view_position, None, facts.age)
    assert (image.patient_key, image.study_key) == facts.keys[:2]
    assert (image.acquisition_date, image.implant) == (facts.acquired, True)
    assert image.metadata == {
        "presentation_intent": "FOR PRESENTATION",
        "view_modifiers": ["implant displaced"],
        "partial_view": True,
        "notes": ["contradictory laterality"],
    }


def test_films_are_named_as_such(tmp_path: Path) -> None:
    path = write_mammogram(
        tmp_path / "a.dcm", Modality="RG", SOPClassUID=SECONDARY_CAPTURE, ViewPosition="LCC", Laterality="L"
    )
    facts = header_facts(path)
    assert (facts.is_film, facts.keys.modality, facts.presentation_intent) == (True, None, None)
    image = read_image(path, modality=Modality.MG)
    assert (image.laterality, image.view_position) == (Laterality.L, ViewPosition.CC)


@pytest.mark.parametrize(
    "tags", [{"SOPClassUID": FOR_PROCESSING}, {"PresentationIntentType": "FOR PROCESSING"}]
)
def test_raw_images_keep_their_values_and_say_so(tmp_path: Path, tags: dict[str, Any]) -> None:
    path = write_mammogram(tmp_path / "a.dcm", WindowCenter=100, WindowWidth=50, **tags)
    image = read_image(path)
    assert image.metadata["presentation_intent"] == "FOR PROCESSING"
    assert "voi" not in image.metadata
    assert (image.pixels == film()).all()
    shown = read_image(write_mammogram(tmp_path / "b.dcm", WindowCenter=100, WindowWidth=50))
    assert shown.metadata["voi"] == "window"
    assert (shown.pixels != film()).any()


def test_not_analysable_is_read_and_said(tmp_path: Path) -> None:
    path = write_mammogram(tmp_path / "a.dcm", ViewPosition="SCC")
    assert read_image(path).metadata["not_analysable"] == "spot compression view"
    assert header_facts(path).not_analysable == "spot compression view"


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"SOPClassUID": TOMOSYNTHESIS}, "a tomosynthesis object"),
        ({"SOPClassUID": TOMOSYNTHESIS, "NumberOfFrames": 40}, "a tomosynthesis object of 40 frames"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ"]}, "a tomosynthesis object"),
        ({"NumberOfFrames": 2}, "an object of 2 frames"),
    ],
)
def test_tomosynthesis_is_refused_with_what_is_wanted(
    tmp_path: Path, tags: dict[str, Any], what: str
) -> None:
    path = write_mammogram(tmp_path / "a.dcm", **tags)
    with pytest.raises(
        InvalidImageError,
        match=rf"a 2D mammogram is required; a\.dcm is {what}; give the 2D or the synthetic 2D view of",
    ):
        read_image(path)
    assert header_facts(path).not_analysable in ("tomosynthesis", "several frames")


def test_synthetic_2d_is_read_with_its_functional_groups(tmp_path: Path) -> None:
    anatomy, spacing, window, groups = Dataset(), Dataset(), Dataset(), Dataset()
    anatomy.FrameLaterality = "R"
    spacing.PixelSpacing = [0.09, 0.08]
    window.WindowCenter, window.WindowWidth = 2048, 1000
    groups.FrameAnatomySequence = Sequence([anatomy])
    groups.PixelMeasuresSequence = Sequence([spacing])
    groups.FrameVOILUTSequence = Sequence([window])
    path = write_mammogram(
        tmp_path / "a.dcm",
        SOPClassUID=TOMOSYNTHESIS,
        NumberOfFrames=1,
        ImageType=["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"],
        SharedFunctionalGroupsSequence=Sequence([groups]),
    )
    image = read_image(path)
    assert (image.laterality, image.metadata) == (Laterality.R, {"voi": "window"})
    assert image.spacing == pytest.approx((0.09, 0.08))


@pytest.mark.parametrize(
    "tags",
    [{"BitsAllocated": 24}, {"BitsStored": 17}, {"HighBit": 3}, {"SamplesPerPixel": 2}, {"BitsStored": 0}],
)
def test_impossible_pixels_are_refused_before_they_are_read(tmp_path: Path, tags: dict[str, Any]) -> None:
    dataset_path = write_mammogram(tmp_path / "a.dcm")
    import pydicom

    dataset = pydicom.dcmread(dataset_path)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.save_as(dataset_path)
    with pytest.raises(InvalidImageError, match=r"the header of a\.dcm describes others; export it again"):
        read_image(dataset_path)


def test_an_unknown_modality_is_not_repeated(tmp_path: Path) -> None:
    path = write_mammogram(tmp_path / "a.dcm", Modality="DOE JANE")
    with pytest.raises(
        InvalidImageError, match=r"modality US or MG is required; a\.dcm is of another; choose"
    ):
        read_image(path)


def test_unreadable_headers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"\0" * 200)
    with pytest.raises(InvalidImageError, match=r"readable DICOM header is required; that of a\.dcm is not"):
        header_facts(tmp_path / "a.dcm")
