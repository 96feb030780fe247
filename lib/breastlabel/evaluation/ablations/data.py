"""The breasts that a row learns from and those that it is measured on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from breastlabel.errors import StudiesError
from breastlabel.evaluation.ablations.row import Setting
from breastlabel.imaging.context import CONTEXT_NAMES

if TYPE_CHECKING:
    from breastlabel.training.arrays import TrainingArrays

__all__ = ["SPLITS", "Parts", "prepare_studies", "shown", "split_for", "with_unknown"]

SPLITS = ("train", "val", "test")
_SHARES = (0.70, 0.85)

Parts = dict[str, "TrainingArrays"]
"""Arrays by the name of their split."""


def prepare_studies(
    studies: Sequence[Path], preparation: Any, *, model: str, network: Any, progress: Any = None
) -> list[Parts]:
    """Every split of every studies folder, prepared; a split without labelled images is not there.

    Patients of different folders are different patients.

    Args:
        network: says whether images are put together as breasts, and with what.
    """
    from breastlabel.training.preparing import prepare_split

    everything = []
    for position, folder in enumerate(studies):
        parts: Parts = {}
        for split in SPLITS:
            arrays = prepare_split(
                folder, split, preparation, model=model, network=network, progress=progress
            )
            if arrays is not None:
                groups = np.array([f"{position}:{group}" for group in arrays.groups], str)
                parts[split] = dataclasses.replace(arrays, groups=groups)
        everything.append(parts)
    return everything


def split_for(setting: Setting, studies: Sequence[Mapping[str, TrainingArrays]]) -> Parts:
    """Train, val and test of a setting.

    Raises:
        StudiesError: one of the three has no labelled image.
    """
    learn = range(len(studies)) if setting.learn is None else setting.learn
    test = range(len(studies)) if setting.test is None else setting.test
    if setting.kind == "seen":
        return _dealt(_joined([part for i in learn for part in studies[i].values()], "any split"))
    parts = {
        split: _joined([studies[i][split] for i in learn if split in studies[i]], split)
        for split in ("train", "val")
    }
    if setting.kind == "other":
        parts["test"] = _joined([part for i in test for part in studies[i].values()], "any split")
    else:
        parts["test"] = _joined([studies[i]["test"] for i in test if "test" in studies[i]], "test")
    return parts


def shown(arrays: TrainingArrays, what: str) -> TrainingArrays:
    """The same cases with less of each.

    Args:
        what: "alone", each image of the judged exam a case by itself, with its case's class; "views", without
            older exams; "priors", as they are.
    """
    from breastlabel.training.arrays import TrainingArrays
    from breastlabel.training.cases import Cases

    if what == "priors":
        return arrays
    cases = arrays.cases
    members = cases.members()
    kept = np.flatnonzero(members.newest)
    case_of = members.sequence[kept]
    if what == "views":
        keys, labels, groups, invasive = cases.keys, arrays.labels, arrays.groups, arrays.invasive
        lengths = np.bincount(case_of, minlength=len(cases))
    else:
        keys, labels, groups, invasive = (
            arrays.ids[members.images[kept]],
            arrays.labels[case_of],
            arrays.groups[case_of],
            arrays.invasive[case_of],
        )
        lengths = np.ones(len(kept), np.int64)
    fewer = Cases(
        keys,
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        members.images[kept],
        members.newest[kept],
        members.context[kept],
    )
    return TrainingArrays(
        arrays.images,
        arrays.masks,
        arrays.has_mask,
        labels,
        arrays.ids,
        groups,
        fewer,
        invasive,
        arrays.has_boxes,
    ).select(np.arange(len(keys)))


def with_unknown(arrays: TrainingArrays, beginnings: Sequence[str]) -> TrainingArrays:
    """The same cases, of which some of the context is not known.

    Args:
        beginnings: of names in `CONTEXT_NAMES`.
    """
    if not beginnings:
        return arrays
    context = arrays.cases.context.copy()
    context[:, [name.startswith(tuple(beginnings)) for name in CONTEXT_NAMES]] = 0.0
    return dataclasses.replace(arrays, cases=dataclasses.replace(arrays.cases, context=context))


def _joined(parts: Iterable[TrainingArrays], where: str) -> TrainingArrays:
    from breastlabel.training.arrays import TrainingArrays

    found = list(parts)
    if not found:
        raise StudiesError(
            f"an ablation requires labelled mammograms in train, val and test; there are none in {where}; "
            "import a dataset with 'breastlabel import' or label more images"
        )
    return TrainingArrays.concatenate(found)


def _dealt(arrays: TrainingArrays) -> Parts:
    """Cases at random, 70/15/15 of each class, as P4 splits: a patient may be on several sides."""
    rng = np.random.default_rng(0)
    # Shuffled, then in the order of their place within their class, so that each share has its classes.
    place = np.empty(len(arrays))
    for kind in np.unique(arrays.labels):
        members = rng.permutation(np.flatnonzero(arrays.labels == kind))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    sides = np.digitize(place, _SHARES)
    if len(np.unique(sides)) < len(SPLITS):
        raise StudiesError(
            f"cases enough for train, val and test are required; got {len(arrays)}; import more"
        )
    return {split: arrays.select(np.flatnonzero(sides == side)) for side, split in enumerate(SPLITS)}
