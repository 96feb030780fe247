"""What a caller asks for beside mask and class, and what no answer can be given to."""

from __future__ import annotations

from typing import NamedTuple

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.image import BreastImage
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["Asked", "require_analysable"]


class Asked(NamedTuple):
    """Options of one call.

    Attributes:
        passes: stochastic passes; 0 for none.
        explain: whether heat maps are wanted.
        explain_class: for this class; None for the predicted one.
        seed: of the stochastic passes.
    """

    passes: int = 0
    explain: bool = False
    explain_class: LesionClass | None = None
    seed: int = 0


def require_analysable(image: BreastImage) -> None:
    """Raise InvalidImageError for an image that was marked as unlike anything a system was made for."""
    reason = image.metadata.get("not_analysable")
    if reason:
        raise InvalidImageError(
            f"a standard view of a whole breast is required; this image is not analysable ({reason}); "
            "ask for the exam's standard views"
        )
