"""Files and DICOM -> BreastImage, and masks back into the image's own space.

Names are imported when they are first used: the vocabulary alone, which the command line shows in its help,
needs no NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from breastlabel.imaging.files import (
        IMAGE_SUFFIXES,
        binary_mask,
        image_stem,
        read_image,
        read_mask,
        write_image,
        write_mask,
    )
    from breastlabel.imaging.image import BreastImage, FloatArray, Geometry, LabelArray
    from breastlabel.imaging.vocabulary import Density, Laterality, LesionClass, Modality, ViewPosition

__all__ = [
    "IMAGE_SUFFIXES",
    "BreastImage",
    "Density",
    "FloatArray",
    "Geometry",
    "LabelArray",
    "Laterality",
    "LesionClass",
    "Modality",
    "ViewPosition",
    "binary_mask",
    "image_stem",
    "read_image",
    "read_mask",
    "write_image",
    "write_mask",
]

_NAMES = {
    "image": ("BreastImage", "FloatArray", "Geometry", "LabelArray"),
    "vocabulary": ("Density", "Laterality", "LesionClass", "Modality", "ViewPosition"),
}
_MODULES = dict.fromkeys(__all__, "files") | {n: module for module, names in _NAMES.items() for n in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
