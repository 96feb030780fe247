"""Closed vocabularies, in DICOM's own words where it has them."""

from enum import IntEnum, StrEnum

__all__ = ["Density", "Laterality", "LesionClass", "Modality", "ViewPosition"]


class Modality(StrEnum):
    """DICOM Modality (0008,0060), as far as breast imaging goes."""

    MG = "MG"
    US = "US"


class Laterality(StrEnum):
    """DICOM Image Laterality (0020,0062)."""

    R = "R"
    L = "L"


class ViewPosition(StrEnum):
    """DICOM View Position (0018,5101) for mammography, PS3.3 C.8.11.3."""

    CC = "CC"
    MLO = "MLO"
    ML = "ML"
    LM = "LM"
    XCCL = "XCCL"
    XCCM = "XCCM"
    LMO = "LMO"
    SIO = "SIO"
    FB = "FB"


class Density(StrEnum):
    """ACR BI-RADS breast composition, 5th edition."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class LesionClass(IntEnum):
    """What an image or a lesion is, and the value with which it is painted in a label map.

    ``NORMAL`` as a class of an image means that a reader found no lesion; in a label map the value 0
    is simply "nothing here".
    """

    NORMAL = 0
    BENIGN = 1
    MALIGNANT = 2

    @property
    def label(self) -> str:
        """The lower-case name used in files, requests and reports: ``normal``, ``benign``, ``malignant``."""
        return self.name.lower()
