"""Train, val and test: 70/15/15 by group, stratified by class, and fixed once given."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from breastlabel.errors import StudiesError

__all__ = ["FRACTIONS", "assign_splits"]

FRACTIONS: Mapping[str, float] = {"train": 0.70, "val": 0.15, "test": 0.15}

#: A group with several classes counts as its rarest and gravest.
_GRAVITY = {None: 0, "normal": 1, "benign": 2, "malignant": 3}


def assign_splits(
    groups: Sequence[str],
    labels: Sequence[str | None],
    *,
    fixed: Mapping[str, str] | None = None,
    allowed: Mapping[str, Sequence[str]] | None = None,
    seed: str = "breastlabel",
) -> dict[str, str]:
    """The split of each group.

    Within a class, groups are taken largest first, those of one size in an order that only their keys
    and the seed determine, and each goes to the split that lacks most. So each split's share of each
    class is right to within about one group, and the same input always gives the same split.

    Args:
        groups: the group of each image.
        labels: the class of each image: ``"normal"``, ``"benign"``, ``"malignant"``, or None.
        fixed: groups whose split was given before; they keep it and count towards the shares.
        allowed: groups that may not be in every split, and those that they may be in.

    Returns:
        Group -> ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        StudiesError: not one label for each group entry.
    """
    if len(groups) != len(labels):
        raise StudiesError(f"one label for each image is required; got {len(labels)} for {len(groups)}")
    sizes = Counter(groups)
    classes: dict[str, str | None] = {}
    for group, label in zip(groups, labels, strict=True):
        classes[group] = max((classes.get(group), label), key=lambda c: _GRAVITY.get(c, 0))
    members: dict[str | None, list[str]] = defaultdict(list)
    for group, label in classes.items():
        members[label].append(group)
    given = {group: split for group, split in (fixed or {}).items() if group in sizes}
    splits = dict(given)
    for stratum in members.values():
        filled = dict.fromkeys(FRACTIONS, 0)
        for group in stratum:
            if group in given:
                filled[given[group]] += sizes[group]
        free = [group for group in stratum if group not in given]
        for group in sorted(free, key=lambda g: (-sizes[g], _order(g, seed))):
            total = sum(filled.values()) + sizes[group]
            choice = (allowed or {}).get(group, tuple(FRACTIONS))
            split = max(choice, key=lambda s: FRACTIONS[s] * total - filled[s])
            filled[split] += sizes[group]
            splits[group] = split
    return splits


def _order(group: str, seed: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{group}".encode()).digest()
