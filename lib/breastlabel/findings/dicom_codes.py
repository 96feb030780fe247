"""The coded concepts with which results are written: DICOM PS3.16, SNOMED CT.

Each says where the standard names it. SNOMED CT concepts are used under the licence that DICOM holds for
those in its context groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breastlabel.imaging.vocabulary import Laterality, LesionClass

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code

__all__ = [
    "ABNORMAL_STRUCTURE",
    "ARTIFICIAL_INTELLIGENCE",
    "BREAST",
    "CLASSES",
    "LESION",
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
    LesionClass.BENIGN: Concept("30807003", "SCT", "Benign"),
    LesionClass.MALIGNANT: Concept("21594007", "SCT", "Malignant"),
}
"""What a lesion is taken for, CID 6063: the modifier of its type."""

BREAST = Concept("76752008", "SCT", "Breast")
"""Anatomic region, CID 4031."""

SIDES = {
    Laterality.R: Concept("24028007", "SCT", "Right"),
    Laterality.L: Concept("7771000", "SCT", "Left"),
}
"""Modifier of the region, CID 244."""

ARTIFICIAL_INTELLIGENCE = Concept("123110", "DCM", "Artificial Intelligence")
"""Algorithm family, CID 7162."""
