from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from tests.findings.seg_writer import image, seg, segment
from tests.imaging.mammograms import code

from breastlabel.errors import UnknownNameError
from breastlabel.findings.dicom_seg_parts import Segment
from breastlabel.findings.dicom_seg_reading import read_header
from breastlabel.findings.segment_names import Meaning, display_names, meaning_of, name_key, read_meanings

B, M, IGNORE = Meaning.BENIGN, Meaning.MALIGNANT, Meaning.IGNORE

#: DICOM's three numbers (PS3.3 C.10.7.1.1) of RGB 255 60 60 and 40 220 90, worked out with dcmjs's formulas
#: (sRGB, D65): L 56.9, a 71.6, b 46.5 and L 77.5, a -69.1, b 50.9.
OUR_RED, OUR_GREEN = [37290, 51297, 44846], [50790, 15137, 45977]
#: OHIF's own first two colours, 221 84 84 and 77 228 121.
OHIF_1, OHIF_2 = [35651, 46646, 40246], [53083, 16910, 43356]


def meaning(label="", *, told=None, remembered=None, **parts):
    """Of a segment as it stands in a file."""
    source = image()
    stored = seg("BINARY", [], sources=[source], segments=[segment(1, label, **parts)])
    (found,) = read_header(stored).segments
    return meaning_of(
        found,
        display_names([found])[1],
        told=read_meanings(told or {}),
        remembered=read_meanings(remembered or {}),
    )


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("benign", B),
        ("Malignant", M),
        ("MALIGNANT", M),
        ("malignant lesion 1", M),
        ("Benign_mass-02", B),
        ("benign.calcification/L", B),
        ("  malignant   (R CC) ", M),
        ("bénigne", B),
        ("tumeur maligne 3", M),
        ("Bösartig", M),
        ("lesão maligna", M),
        ("BI-RADS 5", M),
        ("BIRADS 6", M),
        ("ACR BI-RADS category 2", B),
        ("BI-RADS 5 malignant", M),
    ],
)
def test_labels_that_say_it_in_whatever_way(label, expected):
    assert meaning(label) is expected


@pytest.mark.parametrize(
    "label",
    [
        "",
        "Segment 1",
        "lesion",
        "mass 2",
        "not malignant",
        "no malignant lesion",
        "non-malignant",
        "probably benign",
        "malignant?",
        "benign / malignant",
        "benign or malignant",
        "malignancy suspected",
        "BI-RADS 3",
        "BI-RADS 4C",
        "BI-RADS 5?",
        "BI-RADS 2 malignant",
        "premalignant",
        "Pectoralis",
        "tumor",
    ],
)
def test_nothing_is_guessed_from_other_labels(label):
    assert meaning(label) is None


@pytest.mark.parametrize(
    ("scheme", "value", "expected"),
    [
        ("SCT", "86049000", M),
        ("SRT", "M-80003", M),
        ("99SDM", "M-80000", B),
        ("SCT", "3898006", B),
        ("SCT", "52988006", None),
        ("SRT", "T-D0050", None),
    ],
)
def test_the_coded_type_says_it_where_the_label_does_not(scheme, value, expected):
    assert meaning("Segment 1", kind=code(scheme, value)) is expected


def test_the_types_modifier_says_it_as_in_our_own():
    lesion = code("SCT", "52988006")
    assert meaning("1", kind=lesion, modifiers=[code("SCT", "21594007")]) is M
    assert meaning("1", kind=lesion, modifiers=[code("SCT", "30807003")]) is B
    both = [code("SCT", "21594007"), code("SCT", "30807003")]
    assert meaning("1", kind=lesion, modifiers=both) is None


def test_our_colours_say_it_where_nothing_else_does_and_a_viewers_own_do_not():
    assert meaning("Segment 1", lab=OUR_RED) is M
    assert meaning("Segment 1", lab=OUR_GREEN) is B
    assert meaning("Segment 1", lab=OHIF_1) is None
    assert meaning("Segment 2", lab=OHIF_2) is None
    assert meaning("malignant", lab=OUR_GREEN) is M, "a label says more than a colour"
    assert meaning("Segment 1", kind=code("SCT", "86049000"), lab=OUR_GREEN) is M
    assert meaning("Segment 1", lab=[1, 2]) is None


def test_our_own_segmentations_colours_are_ours():
    pytest.importorskip("highdicom")
    import numpy as np

    from breastlabel.findings.dicom_seg import segmentation_dataset

    mask = np.ones((12, 16), np.uint8)
    stored = segmentation_dataset(mask, image(), algorithm=None, series_description="reading")
    for item, expected in zip(stored.SegmentSequence, (B, M), strict=True):
        assert meaning("1", lab=list(item.RecommendedDisplayCIELabValue)) is expected


def test_a_label_and_a_code_that_contradict_each_other_are_asked_about():
    assert meaning("benign", kind=code("SCT", "86049000")) is None
    assert meaning("malignant", kind=code("SCT", "86049000")) is M
    assert meaning("not malignant", kind=code("SCT", "86049000")) is None, "a doubt stays one"


def test_what_was_told_comes_first_then_what_the_site_answered():
    assert meaning("Segment 1", told={"segment  1": "malignant"}) is M
    assert meaning("Segment 1", remembered={"SEGMENT 1": "ignore"}) is IGNORE
    assert meaning("Segment 1", told={"Segment 1": "benign"}, remembered={"Segment 1": "malignant"}) is B
    assert meaning("benign", told={"benign": "malignant"}) is M
    assert meaning("Segment 2", told={"Segment 1": "malignant"}) is None


def test_the_background_of_a_label_map_is_left_out():
    background = Segment(0, "malignant", background=True)
    assert meaning_of(background, "malignant", told={}, remembered={}) is IGNORE
    assert meaning("rest", kind=code("DCM", "125040")) is IGNORE


def test_names_tell_segments_apart():
    names = display_names([Segment(1, "Lesion"), Segment(2, "lesion"), Segment(3, "Other"), Segment(7)])
    assert names == {1: "Lesion (number 1)", 2: "lesion (number 2)", 3: "Other", 7: "(number 7)"}
    # An answer to one of two of the same name does not count for the other.
    told = read_meanings({"Lesion (number 1)": "benign"})
    assert meaning_of(Segment(1, "Lesion"), names[1], told=told, remembered={}) is B
    assert meaning_of(Segment(2, "lesion"), names[2], told=told, remembered={}) is None


def test_names_are_compared_without_case_blanks_and_encoding():
    assert name_key(" Läsion\u00a01 ") == name_key("la\u0308sion 1")
    assert len(name_key("x" * 500)) == 128


def test_another_meaning_is_refused():
    with pytest.raises(UnknownNameError, match="benign, ignore, malignant"):
        read_meanings({"a": "maybe"})
    with pytest.raises(UnknownNameError):
        read_meanings({"a": ["benign"]})


def test_a_segments_colour_is_shown_as_rgb():
    assert Segment(1, colour=(56.9, 71.6, 46.5)).rgb == "#ff3c3c"
    assert Segment(1).rgb is None


def test_control_characters_of_labels_are_left_out():
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = 1, "mali\x00gn\x07ant"
    (found,) = read_header(seg("BINARY", [], sources=[image()], segments=[item])).segments
    assert found.label == "mali gnant"
