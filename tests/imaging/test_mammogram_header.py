"""Side, view and modifiers, from every attribute that states them, alone and in disagreement."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.imaging.mammograms import FOR_PRESENTATION, TOMOSYNTHESIS, code, view

from breastlabel.imaging.dicom_values import lift_functional_groups
from breastlabel.imaging.mammogram_codes import VIEWS
from breastlabel.imaging.mammogram_header import is_tomosynthesis, read_mammogram
from breastlabel.imaging.vocabulary import Density, Laterality, ViewPosition

R, L = Laterality.R, Laterality.L


def header(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def region(scheme: str, value: str, *modifiers: Dataset) -> Sequence:
    return Sequence([code(scheme, value, AnatomicRegionModifierSequence=Sequence(modifiers))])


def frame_side(side: str) -> Sequence:
    anatomy, groups = Dataset(), Dataset()
    anatomy.FrameLaterality = side
    groups.FrameAnatomySequence = Sequence([anatomy])
    return Sequence([groups])


@pytest.mark.parametrize(
    ("tags", "side"),
    [
        ({}, None),
        ({"ImageLaterality": "L"}, L),
        ({"ImageLaterality": "r "}, R),
        ({"Laterality": "L"}, L),
        ({"SharedFunctionalGroupsSequence": frame_side("R")}, R),
        ({"AnatomicRegionSequence": region("SCT", "73056007")}, R),
        ({"AnatomicRegionSequence": region("SRT", "T-04030")}, L),
        ({"AnatomicRegionSequence": region("SRT", "T-04000", code("SRT", "G-A100"))}, R),
        ({"AnatomicRegionSequence": region("SNM3", "T-04000", code("SNM3", "G-A101"))}, L),
        ({"ViewPosition": "RCC"}, R),
        ({"ImageLaterality": "U", "Laterality": "R"}, R),
        ({"ImageLaterality": "", "Laterality": "L"}, L),
        ({"ImageLaterality": "RIGHT"}, None),
        ({"ImageLaterality": "L", "Laterality": "L", "ViewPosition": "L MLO"}, L),
    ],
)
def test_the_side_is_found_wherever_it_is_stated(tags: dict[str, Any], side: Laterality | None) -> None:
    dataset = header(**tags)
    lift_functional_groups(dataset)
    found = read_mammogram(dataset)
    assert found.laterality is side
    assert found.notes == ()


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageLaterality": "L", "Laterality": "R"},
        {"ImageLaterality": "R", "AnatomicRegionSequence": region("SCT", "80248007")},
        {"Laterality": "L", "ViewPosition": "RMLO"},
        {"ImageLaterality": "L", "SharedFunctionalGroupsSequence": frame_side("R")},
        {"ImageLaterality": ["L", "R"]},
    ],
)
def test_sides_that_contradict_each_other_are_none(tags: dict[str, Any]) -> None:
    dataset = header(**tags)
    lift_functional_groups(dataset)
    found = read_mammogram(dataset)
    assert found.laterality is None
    assert found.notes == ("contradictory laterality",)


@pytest.mark.parametrize("coded", list(VIEWS.items()), ids=str)
def test_every_coded_view_is_known(coded: Any) -> None:
    (scheme, value), expected = coded
    assert read_mammogram(header(ViewCodeSequence=view(scheme, value))).view_position is expected


def test_every_view_of_the_vocabulary_has_both_codes() -> None:
    assert sorted(VIEWS.values()) == sorted([*ViewPosition, *ViewPosition])


@pytest.mark.parametrize("position", list(ViewPosition))
def test_every_view_is_known_by_its_abbreviation(position: ViewPosition) -> None:
    found = read_mammogram(header(ViewPosition=f" {position.value} "))
    assert (found.view_position, found.laterality, found.view_modifiers) == (position, None, ())
    for side in Laterality:
        found = read_mammogram(header(ViewPosition=f"{side.value}{position.value}"))
        assert (found.view_position, found.laterality) == (position, side)


@pytest.mark.parametrize(
    ("written", "position", "modifiers"),
    [
        ("MLOID", ViewPosition.MLO, ("implant displaced",)),
        ("LCCID", ViewPosition.CC, ("implant displaced",)),
        ("SMCC", ViewPosition.CC, ("magnification", "spot compression")),
        ("CCRL", ViewPosition.CC, ("rolled lateral",)),
        ("AT", None, ("axillary tail",)),
        ("CV", None, ("cleavage",)),
        ("RL", None, ()),
        ("AP", None, ()),
        ("CC AND MLO", None, ()),
    ],
)
def test_abbreviated_modifiers(
    written: str, position: ViewPosition | None, modifiers: tuple[str, ...]
) -> None:
    found = read_mammogram(header(ViewPosition=written))
    assert (found.view_position, found.view_modifiers) == (position, modifiers)


def test_views_that_contradict_each_other_are_none() -> None:
    found = read_mammogram(header(ViewPosition="MLO", ViewCodeSequence=view("SRT", "R-10242")))
    assert found.view_position is None
    assert found.notes == ("contradictory view",)
    agreeing = read_mammogram(header(ViewPosition="MLO", ViewCodeSequence=view("SCT", "399368009")))
    assert (agreeing.view_position, agreeing.notes) == (ViewPosition.MLO, ())


def test_free_text_is_not_read() -> None:
    found = read_mammogram(header(SeriesDescription="L CC spot", ProtocolName="R MLO"))
    assert (found.laterality, found.view_position, found.not_analysable) == (None, None, None)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({}, None),
        ({"ViewCodeSequence": view("SRT", "R-10242", code("SRT", "R-102D7"))}, "spot compression view"),
        ({"ViewCodeSequence": view("SCT", "399162004", code("SCT", "399163009"))}, "magnification view"),
        ({"ViewPosition": "MMLO"}, "magnification view"),
        ({"EstimatedRadiographicMagnificationFactor": "1.8"}, "magnification view"),
        ({"EstimatedRadiographicMagnificationFactor": "1.06"}, None),
        ({"PaddleDescription": "SPOT CONTACT"}, "spot compression view"),
        ({"PaddleDescription": "10CM MAG"}, "magnification view"),
        ({"PaddleDescription": "18x24cm"}, None),
        ({"ViewCodeSequence": view("SCT", "127457009")}, "specimen"),
        ({"ViewPosition": "SPECIMEN"}, "specimen"),
        ({"SpecimenDescriptionSequence": Sequence([Dataset()])}, "specimen"),
        (
            {"ViewCodeSequence": view("SRT", "R-10242", code("SRT", "R-102D2"))},
            "cleavage view (both breasts)",
        ),
        ({"ImageLaterality": "B"}, "both breasts in one image"),
        ({"AnatomicRegionSequence": region("SCT", "63762007")}, "both breasts in one image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_PLUS"]}, "biopsy or localisation view"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "POSTFIRE_MINUS"]}, "biopsy or localisation view"),
        ({"BiopsyTargetSequence": Sequence([Dataset()])}, "biopsy or localisation view"),
        ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]}, "subtracted contrast image"),
        (
            {"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "HIGH_ENERGY"]},
            "high-energy image of contrast mammography",
        ),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "LOW_ENERGY"]}, None),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_SCOUT"]}, "tomosynthesis scout"),
        ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "MEAN"]}, "tomosynthesis"),
        ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]}, None),
        ({"NumberOfFrames": 40}, "several frames"),
        ({"ViewCodeSequence": view("SRT", "R-10226", code("SRT", "R-102D5"))}, None),
        ({"ViewCodeSequence": view("SRT", "R-10226", code("SRT", "R-102D3"))}, None),
    ],
)
def test_what_no_model_may_judge_says_why(tags: dict[str, Any], reason: str | None) -> None:
    assert read_mammogram(header(**tags)).not_analysable == reason


@pytest.mark.parametrize(
    ("kind", "frames", "image_type", "stack"),
    [
        (TOMOSYNTHESIS, 50, ["ORIGINAL", "PRIMARY", "TOMOSYNTHESIS", "NONE"], True),
        (TOMOSYNTHESIS, 1, ["ORIGINAL", "PRIMARY"], True),
        (TOMOSYNTHESIS, 1, ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"], False),
        (TOMOSYNTHESIS, 2, ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"], True),
        (FOR_PRESENTATION, 1, ["ORIGINAL", "PRIMARY", "TOMO_PROJ"], True),
        (FOR_PRESENTATION, 1, ["ORIGINAL", "PRIMARY"], False),
    ],
)
def test_tomosynthesis_is_told_from_its_2d_image(
    kind: str, frames: int, image_type: list[str], stack: bool
) -> None:
    assert is_tomosynthesis(header(SOPClassUID=kind, NumberOfFrames=frames, ImageType=image_type)) is stack


def test_implant_partial_view_and_coded_density() -> None:
    composition = code("LN", "1", ConceptCodeSequence=Sequence([code("SRT", "F-01713")]))
    found = read_mammogram(
        header(
            PartialView="YES",
            AcquisitionContextSequence=Sequence([composition]),
            ViewCodeSequence=view("SRT", "R-10226", code("SRT", "R-102D5")),
        )
    )
    assert (found.density, found.implant, found.partial_view) == (Density.C, True, True)
    assert read_mammogram(header(BreastImplantPresent="NO", ViewPosition="CCID")).implant is False
    assert read_mammogram(header()).implant is None


def test_malformed_sequences_count_as_not_stated() -> None:
    dataset = header(ViewPosition="CC")
    dataset.add_new(0x00082218, "LO", "L")
    assert read_mammogram(dataset).view_position is ViewPosition.CC
