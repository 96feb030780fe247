"""Augmentations by the names that presets use."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from breastlabel.errors import UnknownNameError
from breastlabel.transforms import Augmentation

__all__ = ["AUGMENTATIONS", "create_augmentation"]


def _mammography() -> Augmentation:
    """P0's and P3's flips and rotations, for mammograms whose chest wall was turned to the left.

    Only top and bottom change places: left and right mean chest wall and nipple by then, and a flip of them
    would make an image that the preparation never gives. Contrast and gamma stand for other machines.
    """
    return Augmentation(
        horizontal_flip=0.0,
        vertical_flip=0.5,
        rotation=15.0,
        zoom=(0.9, 1.15),
        shift=0.05,
        brightness=0.08,
        contrast=(0.75, 1.3),
        gamma=(0.7, 1.4),
    )


def _strong_mammography() -> Augmentation:
    """The same with deformation, blur and noise: for long training and several machines."""
    return dataclasses.replace(
        _mammography(),
        zoom=(0.85, 1.25),
        stretch=1.15,
        elastic_probability=0.3,
        elastic=0.25,
        contrast=(0.65, 1.4),
        gamma=(0.6, 1.6),
        blur_probability=0.2,
        noise_probability=0.2,
    )


AUGMENTATIONS: dict[str, Callable[[], Augmentation]] = {
    "paper": Augmentation.paper,
    "strong": Augmentation.strong,
    "mammography": _mammography,
    "mammography-strong": _strong_mammography,
}


def create_augmentation(name: str | None) -> Augmentation | None:
    """The augmentation of a name; None for None.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name is None:
        return None
    if name not in AUGMENTATIONS:
        raise UnknownNameError("the augmentation", name, AUGMENTATIONS)
    return AUGMENTATIONS[name]()
