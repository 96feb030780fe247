"""The coded concepts with which results are written: DICOM PS3.16, SNOMED CT.

Each says where the standard names it. SNOMED CT concepts are used under the licence that DICOM holds for
those in its context groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breastlabel.findings.change import Comparison
from breastlabel.findings.finding import Orientation
from breastlabel.imaging.vocabulary import Laterality, LesionClass, Modality

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code

__all__ = [
    "ABNORMAL_STRUCTURE",
    "ARTIFICIAL_INTELLIGENCE",
    "BREAST",
    "CLASSES",
    "DISPLAY_COLORS",
    "LESION",
    "OWN_SCHEME",
    "PROCEDURES",
    "SIDES",
    "Concept",
]


class Concept(NamedTuple):
    """One coded concept.

    Attributes:
        value: the code.
        scheme: Coding Scheme Designator, such as SCT or DCM.
        meaning: in words.
    """

    value: str
    scheme: str
    meaning: str

    def code(self) -> Code:
        """As pydicom and highdicom take it."""
        from pydicom.sr.coding import Code

        return Code(self.value, self.scheme, self.meaning)

    def item(self) -> Dataset:
        """As an item of a code sequence (PS3.3 8.8)."""
        from pydicom.dataset import Dataset

        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = self.value, self.scheme, self.meaning
        return item


ABNORMAL_STRUCTURE = Concept("49755003", "SCT", "Morphologically Abnormal Structure")
"""Category of what is outlined, CID 7150."""

LESION = Concept("52988006", "SCT", "Lesion")
"""Type of what is outlined. CID 7151 is extensible, and its masses, cysts and neoplasms say more than a model
or an outline knows: calcifications and distortions are outlined too, and none has been under a microscope."""

CLASSES = {
    LesionClass.NORMAL: Concept("17621005", "SCT", "Normal"),
    LesionClass.BENIGN: Concept("30807003", "SCT", "Benign"),
    LesionClass.MALIGNANT: Concept("21594007", "SCT", "Malignant"),
}
"""What a breast or a lesion is taken for, CID 222 and CID 6063; of a lesion, the modifier of its type."""

DISPLAY_COLORS = {
    LesionClass.BENIGN: (50802, 16322, 45691),
    LesionClass.MALIGNANT: (37887, 51533, 45335),
}
"""The colours of our pictures (`overlay.CLASS_COLORS`) as PCS-Values: CIELab under D50, PS3.3 C.10.7.1.1."""

BREAST = Concept("76752008", "SCT", "Breast")
"""Anatomic region, CID 4031."""

SIDES = {
    Laterality.R: Concept("24028007", "SCT", "Right"),
    Laterality.L: Concept("7771000", "SCT", "Left"),
}
"""Modifier of the region, CID 244."""

ARTIFICIAL_INTELLIGENCE = Concept("123110", "DCM", "Artificial Intelligence")
"""Algorithm family, CID 7162."""

PROCEDURES = {
    Modality.MG: Concept("71651007", "SCT", "Mammography"),
    Modality.US: Concept("47079000", "SCT", "Ultrasonography of breast"),
}
"""Procedure reported, CID 6050 and 6058."""

YES_NO = {True: Concept("373066001", "SCT", "Yes"), False: Concept("373067005", "SCT", "No")}
"""CID 230."""

# Sizes, CID 7469; percent, mm and mm2 are UCUM's.
AREA = Concept("42798000", "SCT", "Area")
LONG_AXIS = Concept("103339001", "SCT", "Long axis")
SHORT_AXIS = Concept("103340004", "SCT", "Short axis")
PERCENT = Concept("%", "UCUM", "Percent")
MILLIMETRE = Concept("mm", "UCUM", "millimeter")
SQUARE_MILLIMETRE = Concept("mm2", "UCUM", "square millimeter")
MONTH = Concept("mo", "UCUM", "month")
NO_UNITS = Concept("1", "UCUM", "no units")

PROBABILITY_OF_CANCER = Concept("111047", "DCM", "Probability of cancer")
"""As computer-aided detection reports it, TID 4006."""

CERTAINTY_OF_FINDING = Concept("111012", "DCM", "Certainty of Finding")
"""That there is a lesion at all, TID 4006."""

COMMENT = Concept("121106", "DCM", "Comment")
NEW_FINDING = Concept("129721008", "SCT", "New finding")
"""CID 6003."""

ORIENTATION = Concept("111354", "DCM", "Orientation")
ORIENTATIONS = {
    Orientation.PARALLEL: Concept("111355", "DCM", "Parallel"),
    Orientation.NOT_PARALLEL: Concept("111356", "DCM", "Not parallel"),
}
"""Of a mass on ultrasound, CID 6152."""

OWN_SCHEME = "99BREASTLABEL"
"""Private scheme (PS3.16 8.2) of what the standard has no concept for; a code has 16 characters at most."""


def _own(value: str, meaning: str) -> Concept:
    return Concept(value, OWN_SCHEME, meaning)


CLASS_TAKEN = _own("class", "Class")
CLASS_PROBABILITIES = {
    LesionClass.NORMAL: _own("p-normal", "Probability of no lesion"),
    LesionClass.BENIGN: _own("p-benign", "Probability of a benign lesion"),
}
PROBABILITY_OF_INVASIVE = _own("p-invasive-canc", "Probability of invasive cancer if malignant")
GIVEN_LESION = _own("p-malignant-les", "Probability of malignancy if this is a lesion")
ABOVE_OPERATING_POINT = _own("above-threshold", "Above the operating point")
UNCERTAINTIES = {
    "class_entropy": _own("class-entropy", "Entropy of the class probabilities, nats"),
    "mutual_information": _own("mutual-inf", "Mutual information of class and model, nats"),
    "variation_ratio": _own("variation-ratio", "Share of passes that vote for another class"),
    "mask_disagreement": _own("mask-disagree", "Mean pairwise 1 - Dice of the passes' outlines"),
    "lesion_probability_deviation": _own("lesion-sd", "Standard deviation of the lesion probability"),
    "passes": _own("passes", "Number of stochastic passes"),
    "members": _own("members", "Number of members of the ensemble"),
}
"""Names in `Prediction.uncertainty` and `Finding.uncertainty`."""

COMPARISON = _own("comparison", "Comparison with an older image")
COMPARISONS = {
    Comparison.COMPARED: _own("compared", "Compared"),
    Comparison.NEW: NEW_FINDING,
    Comparison.NOT_COMPARABLE: _own("not-comparable", "Not comparable"),
}
MONTHS_SINCE = _own("months-since", "Months since the older image")
CHANGES = {
    "long_axis_mm": (_own("change-long", "Change of the long axis"), MILLIMETRE),
    "long_axis_percent": (_own("change-long-pct", "Relative change of the long axis"), PERCENT),
    "area_mm2": (_own("change-area", "Change of the area"), SQUARE_MILLIMETRE),
    "area_percent": (_own("change-area-pct", "Relative change of the area"), PERCENT),
}
"""Names in `Change`, and their units."""
