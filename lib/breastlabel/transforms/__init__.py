"""Preparation of images for the networks, the way back, and augmentation."""

from breastlabel.transforms.alignment import check_alignment
from breastlabel.transforms.augmentation import Augmentation, AugmentationParameters
from breastlabel.transforms.geometry import ResizedGeometry
from breastlabel.transforms.registry import PREPARATIONS, Preparation, preparation_from_config
from breastlabel.transforms.ultrasound import Prepared, UltrasoundPreparation

__all__ = [
    "PREPARATIONS",
    "Augmentation",
    "AugmentationParameters",
    "Preparation",
    "Prepared",
    "ResizedGeometry",
    "UltrasoundPreparation",
    "check_alignment",
    "preparation_from_config",
]
