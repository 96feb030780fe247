"""The codes of mammography that are read and written: DICOM PS3.16 CID 4014, 4015, 6000, 6023 and 244.

Each concept has its SNOMED CT code and the legacy SNOMED code that devices wrote before 2018.
"""

from __future__ import annotations

from typing import TypeVar

from breastlabel.imaging.dicom_values import Code
from breastlabel.imaging.vocabulary import Density, Laterality, ViewPosition

__all__ = [
    "BOTH_BREASTS",
    "DENSITIES",
    "SIDES",
    "SPECIMEN",
    "VIEWS",
    "VIEW_MEANINGS",
    "VIEW_MODIFIERS",
]


_T = TypeVar("_T")


def _both(table: dict[tuple[str, str], _T]) -> dict[Code, _T]:
    found = {}
    for (sct, srt), meaning in table.items():
        found[Code("SCT", sct)] = found[Code("SRT", srt)] = meaning
    return found


VIEWS = _both(
    {
        ("399162004", "R-10242"): ViewPosition.CC,
        ("399368009", "R-10226"): ViewPosition.MLO,
        ("399260004", "R-10224"): ViewPosition.ML,
        ("399352003", "R-10228"): ViewPosition.LM,
        ("399192008", "R-1024A"): ViewPosition.XCCL,
        ("399101009", "R-1024B"): ViewPosition.XCCM,
        ("399099002", "R-10230"): ViewPosition.LMO,
        ("399188001", "R-102D0"): ViewPosition.SIO,
        ("399196006", "R-10244"): ViewPosition.FB,
    }
)
"""View for Mammography, CID 4014; FB, "from below", is the caudo-cranial view."""

VIEW_MEANINGS = {
    ViewPosition.CC: "cranio-caudal",
    ViewPosition.MLO: "medio-lateral oblique",
    ViewPosition.ML: "medio-lateral",
    ViewPosition.LM: "latero-medial",
    ViewPosition.XCCL: "cranio-caudal exaggerated laterally",
    ViewPosition.XCCM: "cranio-caudal exaggerated medially",
    ViewPosition.LMO: "latero-medial oblique",
    ViewPosition.SIO: "superolateral to inferomedial oblique",
    ViewPosition.FB: "caudo-cranial (from below)",
}
"""What CID 4014 calls each view."""

SPECIMEN = _both({("127457009", "G-8310"): True})
"""Tissue specimen from breast, in CID 4014."""

VIEW_MODIFIERS = _both(
    {
        ("399161006", "R-102D2"): "cleavage",
        ("399011000", "R-102D1"): "axillary tail",
        ("399197002", "R-102D3"): "rolled lateral",
        ("399226006", "R-102D4"): "rolled medial",
        ("414493004", "R-102CA"): "rolled inferior",
        ("415670009", "R-102C9"): "rolled superior",
        ("399209000", "R-102D5"): "implant displaced",
        ("399163009", "R-102D6"): "magnification",
        ("399055006", "R-102D7"): "spot compression",
        ("399110001", "R-102C2"): "tangential",
        ("442581004", "R-40AB3"): "nipple in profile",
        ("442580003", "R-40AB2"): "axillary tissue",
        ("441752004", "P2-00161"): "anterior compression",
        ("442593008", "R-40ABE"): "infra-mammary fold",
    }
)
"""View Modifier for Mammography, CID 4015."""

SIDES = _both(
    {
        ("73056007", "T-04020"): Laterality.R,
        ("80248007", "T-04030"): Laterality.L,
        ("24028007", "G-A100"): Laterality.R,
        ("7771000", "G-A101"): Laterality.L,
    }
)
"""Right breast and left breast (CID 6023), right and left (CID 244)."""

BOTH_BREASTS = _both({("63762007", "T-04080"): True, ("51440002", "G-A102"): True})
"""Both breasts (CID 6023), bilateral (CID 244)."""

DENSITIES = _both(
    {
        ("129716005", "F-01711"): Density.A,
        ("129717001", "F-01712"): Density.B,
        ("129718006", "F-01713"): Density.C,
        ("129719003", "F-01714"): Density.D,
    }
)
"""Overall Breast Composition, CID 6000."""
