"""Which new images belong to one patient or show one lesion, together with the images already there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from breastlabel.catalog import ImageRecord
from breastlabel.datasets.breast_hash import BREAST_DISTANCE
from breastlabel.datasets.duplicates import connected_groups, near_duplicate_pairs
from breastlabel.datasets.splits import assign_splits
from breastlabel.imaging import Modality

__all__ = ["ACROSS_SPLITS", "CONTRADICTORY", "Grouped", "group_and_split"]

CONTRADICTORY = "contradictory-classes"
"""Excluded because near-duplicates of the image carry another class."""
ACROSS_SPLITS = "duplicates-across-splits"
"""Excluded because near-duplicates of the image are in several splits already."""


@dataclass(frozen=True)
class Grouped:
    """The new images with group, split and exclusion; and what the import found.

    Attributes:
        new: the new records.
        newly_wrong: ids of images that were there before and now turn out contradictory.
        contradictory: the ids of each group of near-duplicates with several classes, known images
            included.
        n_groups: groups that the new images form or join.
    """

    new: list[ImageRecord]
    newly_wrong: list[str]
    contradictory: list[list[str]]
    n_groups: int


def group_and_split(
    known: Sequence[ImageRecord],
    new: Sequence[ImageRecord],
    hashes: Mapping[str, npt.NDArray[np.bool_]],
    *,
    similarity: Callable[[str, str], float],
    partition: Mapping[str, str] | None = None,
) -> Grouped:
    """Give new images their group and split; known images keep theirs.

    Images of one patient and near-duplicates form a group. A new image that belongs to a group already
    there joins it and its split. One that would tie two splits together belongs to neither and is
    excluded.

    Near-duplicates with different classes contradict each other: at least one label is wrong, and nothing
    tells which. New ones get no split at all, so that they are neither learnt from nor counted as errors in
    an evaluation; they stay in the studies, to be looked at. Images of one patient may differ in class:
    that is no contradiction.

    Args:
        known: images already in the catalog.
        new: images to add; their group is replaced.
        hashes: `perceptual_hash`, of mammograms `breast_hash`, by image id, for those that could be read.
        similarity: `correlation` of two images by id.
        partition: the dataset's own split of new images. A group with an image of its test set is in ours, so
            that nothing of that patient is learnt from; one with images of its training set is divided
            between train and val.
    """
    records = [*known, *new]
    pairs = _duplicates(records, hashes, similarity)
    duplicates = _members(connected_groups(len(records), pairs))
    ties = pairs + _ties(records)
    components = _members(connected_groups(len(records), ties))

    contradictory = [
        m for m in duplicates if len({records[i].label for i in m if records[i].label is not None}) > 1
    ]
    wrong = {i for members in contradictory for i in members}
    n_known = len(known)
    placed: dict[int, ImageRecord] = {}
    n_groups = 0
    for members in components:
        old = [records[i] for i in members if i < n_known]
        fresh = [i for i in members if i >= n_known]
        n_groups += bool(fresh)
        group = min(r.group for r in old) if old else min(records[i].image_id for i in fresh)
        splits = {r.split for r in old if r.split is not None}
        for i in fresh:
            excluded = CONTRADICTORY if i in wrong else ACROSS_SPLITS if len(splits) > 1 else None
            placed[i] = replace(records[i], group=group, excluded=excluded)
    counted = [r for r in known if r.split is not None]
    counted += [r for r in placed.values() if r.excluded is None]
    fixed = {r.group: r.split for r in known if r.split is not None}
    given, allowed = _by_partition(placed.values(), partition or {})
    splits_of = assign_splits(
        [r.group for r in counted], [r.label for r in counted], fixed=given | fixed, allowed=allowed
    )
    placed = {
        i: replace(r, split=splits_of[r.group] if r.excluded is None else None) for i, r in placed.items()
    }
    return Grouped(
        new=[placed[i] for i in range(n_known, len(records))],
        newly_wrong=[records[i].image_id for i in sorted(wrong) if i < n_known and not records[i].excluded],
        contradictory=sorted(sorted(records[i].image_id for i in m) for m in contradictory),
        n_groups=n_groups,
    )


def _duplicates(
    records: Sequence[ImageRecord],
    hashes: Mapping[str, npt.NDArray[np.bool_]],
    similarity: Callable[[str, str], float],
) -> list[tuple[int, int]]:
    """Pairs of near-duplicates, each within its modality and by the rule for it.

    Mammograms of one patient are never called so: they are tied together anyway, and a breast looks the same
    before it has a lesion.
    """
    pairs = []
    for modality in Modality:
        hashed = [i for i, r in enumerate(records) if r.modality is modality and r.image_id in hashes]
        if not hashed:
            continue
        ids = [records[i].image_id for i in hashed]
        codes = np.stack([hashes[image_id] for image_id in ids])
        if modality is Modality.MG:
            found = near_duplicate_pairs(codes, certain=BREAST_DISTANCE)
        else:
            found = near_duplicate_pairs(codes, similarity=partial(_of_ids, similarity, ids))
        pairs += [(hashed[a], hashed[b]) for a, b in found]
    return [(a, b) for a, b in pairs if not _one_breast_later(records[a], records[b])]


def _of_ids(similarity: Callable[[str, str], float], ids: Sequence[str], a: int, b: int) -> float:
    return similarity(ids[a], ids[b])


def _one_breast_later(a: ImageRecord, b: ImageRecord) -> bool:
    return a.modality is Modality.MG and bool(a.patient_key) and a.patient_key == b.patient_key


def _by_partition(
    new: Iterable[ImageRecord], partition: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Groups whose split the dataset's own partition gives, and those that may be in some splits only."""
    parts: dict[str, set[str]] = defaultdict(set)
    for record in new:
        if record.image_id in partition:
            parts[record.group].add(partition[record.image_id])
    given = {group: "test" if "test" in p else "val" for group, p in parts.items() if p & {"test", "val"}}
    # A dataset that sets images apart for validation has no need of more.
    free = ("train",) if any("val" in p for p in parts.values()) else ("train", "val")
    return given, {group: free for group in parts if group not in given}


def _members(groups: npt.NDArray[np.int64]) -> list[list[int]]:
    members: dict[int, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        members[int(group)].append(i)
    return list(members.values())


def _ties(records: Sequence[ImageRecord]) -> list[tuple[int, int]]:
    """Pairs that belong together whatever their pixels: one patient, or one group already formed."""
    first: dict[tuple[str, str], int] = {}
    ties = []
    for i, record in enumerate(records):
        keys = [("patient", record.patient_key)] if record.patient_key else []
        if record.group:
            keys.append(("group", record.group))
        ties += [(first.setdefault(key, i), i) for key in keys]
    return ties
