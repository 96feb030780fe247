"""Side and view of a mammogram from its file's name."""

from __future__ import annotations

import re
from itertools import pairwise

from breastlabel.imaging.vocabulary import Laterality, ViewPosition

__all__ = ["side_and_view"]

_SIDES = {"R": Laterality.R, "L": Laterality.L, "RIGHT": Laterality.R, "LEFT": Laterality.L}
_VIEWS = {view.value: view for view in ViewPosition}


def side_and_view(name: str) -> tuple[Laterality, ViewPosition] | None:
    """What a name such as ``case7_R_MLO``, ``LCC-2`` or ``mlo.left`` says; None where it says nothing clear.

    Side and view must stand beside each other, for a single letter means many things, and be the only such
    pair in the name.
    """
    words = [word for word in re.split(r"[^A-Z0-9]+", name.upper()) if word]
    found = {(_SIDES[w[0]], _VIEWS[w[1:]]) for w in words if w[0] in _SIDES and w[1:] in _VIEWS}
    for a, b in pairwise(words):
        for side, view in ((a, b), (b, a)):
            if side in _SIDES and view in _VIEWS:
                found.add((_SIDES[side], _VIEWS[view]))
    return found.pop() if len(found) == 1 else None
