"""What is known of an image beside its pixels, as numbers that a network can take."""

from __future__ import annotations

import hashlib
from datetime import date

import numpy as np

from breastlabel.imaging.image import FloatArray
from breastlabel.imaging.vocabulary import Density, ViewPosition

__all__ = ["CONTEXT_NAMES", "CONTEXT_SIZE", "image_context"]

_MACHINES = 8

CONTEXT_NAMES: tuple[str, ...] = (
    "view_cc",
    "view_mlo",
    "view_other",
    "is_prior",
    "years_before",
    "age",
    "age_known",
    *(f"density_{density.value.lower()}" for density in Density),
    "implant",
    "implant_known",
    *(f"machine_{bucket}" for bucket in range(_MACHINES)),
)
"""What each number of `image_context` is. Unknown is zero, and is said where zero has a meaning.

``view_*`` and ``density_*`` are one-hot (all zero: unknown); ``years_before`` is how long before the newest
exam of the sequence, in decades; ``age`` is in centuries; ``machine_*`` is a hash of manufacturer and model
into buckets, so that a machine that was never seen has a place too.
"""

CONTEXT_SIZE = len(CONTEXT_NAMES)


def image_context(
    *,
    view_position: ViewPosition | None = None,
    acquired: date | None = None,
    newest: date | None = None,
    is_prior: bool = False,
    age: float | None = None,
    density: Density | None = None,
    implant: bool | None = None,
    machine: str | None = None,
) -> FloatArray:
    """The context of one image, float32 (CONTEXT_SIZE,), in the order of `CONTEXT_NAMES`.

    Args:
        acquired: when the image was acquired.
        newest: when the newest exam of its sequence was.
        is_prior: whether the image is of an older exam than the newest.
        age: in years.
        machine: manufacturer and model, in any form that is the same for one machine.
    """
    values = dict.fromkeys(CONTEXT_NAMES, 0.0)
    if view_position is not None:
        known = view_position in (ViewPosition.CC, ViewPosition.MLO)
        values[f"view_{view_position.value.lower()}" if known else "view_other"] = 1.0
    values["is_prior"] = float(is_prior)
    if acquired is not None and newest is not None:
        values["years_before"] = max(0.0, (newest - acquired).days / 3652.5)
    if age is not None:
        values["age"], values["age_known"] = age / 100, 1.0
    if density is not None:
        values[f"density_{density.value.lower()}"] = 1.0
    if implant is not None:
        values["implant"], values["implant_known"] = float(implant), 1.0
    if machine:
        digest = hashlib.blake2b(machine.strip().lower().encode(), digest_size=2).digest()
        values[f"machine_{int.from_bytes(digest, 'big') % _MACHINES}"] = 1.0
    return np.array([values[name] for name in CONTEXT_NAMES], np.float32)
