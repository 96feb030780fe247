"""What every mammogram that we write says of breast and view, in the standard's codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breastlabel.imaging.mammogram_codes import VIEW_MEANINGS, VIEWS
from breastlabel.imaging.vocabulary import Laterality, ViewPosition

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["FOR_PRESENTATION", "add_breast_and_view"]

FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
"""Digital Mammography X-Ray Image Storage - For Presentation (PS3.4 B.5)."""

_VIEW_CODES = {view: code.value for code, view in VIEWS.items() if code.scheme == "SCT"}
_SIDEWAYS = (ViewPosition.ML, ViewPosition.LM)
_OBLIQUE = (ViewPosition.MLO, ViewPosition.LMO, ViewPosition.SIO)


def add_breast_and_view(dataset: Dataset, side: Laterality, view: ViewPosition) -> None:
    """Add the breast, the coded view, and the directions of rows and columns (PS3.3 C.8.11.7)."""
    from pydicom.sequence import Sequence

    dataset.ImageLaterality = side.value
    dataset.PatientOrientation = _orientation(side, view)
    dataset.BodyPartExamined = dataset.OrganExposed = "BREAST"
    dataset.AnatomicRegionSequence = Sequence([_coded("76752008", "Breast")])
    coded = _coded(_VIEW_CODES[view], VIEW_MEANINGS[view])
    coded.ViewModifierCodeSequence = Sequence([])
    dataset.ViewCodeSequence = Sequence([coded])
    dataset.ViewPosition = view.value
    dataset.PositionerType = "MAMMOGRAPHIC"


def _orientation(side: Laterality, view: ViewPosition) -> list[str]:
    """Direction of rows and columns (C.7.6.1.1.1) as films are hung: a right breast's chest wall right."""
    rows = "P" if side is Laterality.R else "A"
    if view in _SIDEWAYS:
        return [rows, "F"]
    across = "L" if side is Laterality.R else "R"
    return [rows, f"F{across}" if view in _OBLIQUE else across]


def _coded(value: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item
