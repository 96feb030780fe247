"""Preparation of images for the networks, the way back, and augmentation."""

from breastlabel.transforms.alignment import check_alignment
from breastlabel.transforms.augmentation import Augmentation, AugmentationParameters
from breastlabel.transforms.breast import BreastRegion, isolate_breast, looks_like_mammogram
from breastlabel.transforms.cropped_geometry import CroppedGeometry
from breastlabel.transforms.geometry import PreparedGeometry, ResizedGeometry
from breastlabel.transforms.mammography import MammographyPreparation
from breastlabel.transforms.prepared import Prepared
from breastlabel.transforms.registry import PREPARATIONS, Preparation, preparation_from_config
from breastlabel.transforms.ultrasound import UltrasoundPreparation

__all__ = [
    "PREPARATIONS",
    "Augmentation",
    "AugmentationParameters",
    "BreastRegion",
    "CroppedGeometry",
    "MammographyPreparation",
    "Preparation",
    "Prepared",
    "PreparedGeometry",
    "ResizedGeometry",
    "UltrasoundPreparation",
    "check_alignment",
    "isolate_breast",
    "looks_like_mammogram",
    "preparation_from_config",
]
