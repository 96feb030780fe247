"""Preparations by name, for checkpoints and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from breastlabel.errors import UnknownNameError
from breastlabel.transforms.mammography import MammographyPreparation
from breastlabel.transforms.prepared import Prepared
from breastlabel.transforms.ultrasound import UltrasoundPreparation

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray

__all__ = ["PREPARATIONS", "Preparation", "preparation_from_config"]


class Preparation(Protocol):
    """What training and inference need of a modality's preparation."""

    @property
    def size(self) -> tuple[int, int]:
        """(rows, cols) of the prepared image."""
        ...

    def __call__(self, pixels: FloatArray) -> Prepared:
        """Prepare a grey image (rows, cols); its geometry brings masks there and back."""
        ...

    def config(self) -> dict[str, Any]:
        """JSON values for `preparation_from_config`."""
        ...


PREPARATIONS: dict[str, type[UltrasoundPreparation] | type[MammographyPreparation]] = {
    UltrasoundPreparation.name: UltrasoundPreparation,
    MammographyPreparation.name: MammographyPreparation,
}


def preparation_from_config(config: Mapping[str, Any]) -> Preparation:
    """The preparation described by ``{"name": "ultrasound", ...}``, as stored in a checkpoint.

    Raises:
        UnknownNameError: an unknown name or an unknown option.
    """
    name = config.get("name")
    if name not in PREPARATIONS:
        raise UnknownNameError("the preparation's name", name, PREPARATIONS)
    return PREPARATIONS[name].from_config(config)
