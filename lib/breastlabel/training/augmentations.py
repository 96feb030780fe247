"""Augmentations by the names that presets use."""

from __future__ import annotations

from collections.abc import Callable

from breastlabel.errors import UnknownNameError
from breastlabel.transforms import Augmentation

__all__ = ["AUGMENTATIONS", "create_augmentation"]

AUGMENTATIONS: dict[str, Callable[[], Augmentation]] = {
    "paper": Augmentation.paper,
    "strong": Augmentation.strong,
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
