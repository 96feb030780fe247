"""Files and DICOM -> BreastImage, and masks back into the image's own space."""

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
