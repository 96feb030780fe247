"""What the second view and the prior are worth: the same breasts judged with and without them.

A network may score well with several images for the wrong reason, for example because it averages noise. So
the images that are added are also swapped for those of another patient: what is then left of a gain did not
come from seeing the same breast again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from breastlabel.errors import StudiesError
from breastlabel.evaluation import classification as cls
from breastlabel.evaluation.bootstrap import Bootstrap, Statistic
from breastlabel.imaging.context import CONTEXT_NAMES
from breastlabel.imaging.vocabulary import LesionClass

if TYPE_CHECKING:
    from breastlabel.networks.base import HybridNetwork
    from breastlabel.training.arrays import TrainingArrays
    from breastlabel.training.cases import Cases, Members

__all__ = ["COMPARISONS", "company_worth"]

_CC, _MLO = CONTEXT_NAMES.index("view_cc"), CONTEXT_NAMES.index("view_mlo")

Places = npt.NDArray[np.int64]


class Comparison(NamedTuple):
    """Two ways to judge the same breasts.

    Attributes:
        title: what the difference between them says.
        better: what is expected to win; its score is the mean of the AUCs of these variants.
        worse: what it is compared with.
    """

    title: str
    better: tuple[str, ...]
    worse: tuple[str, ...]


#: By what must be there: breasts with both views, breasts with a prior.
COMPARISONS: dict[str, tuple[Comparison, ...]] = {
    "views": (
        Comparison("two views against one", ("both views",), ("CC alone", "MLO alone")),
        Comparison("two views against another patient's MLO", ("both views",), ("another's MLO",)),
        Comparison("another patient's MLO against CC alone", ("another's MLO",), ("CC alone",)),
    ),
    "priors": (
        Comparison("with the prior against without", ("with prior",), ("without prior",)),
        Comparison("with the prior against another patient's", ("with prior",), ("another's prior",)),
        Comparison("another patient's prior against none", ("another's prior",), ("without prior",)),
    ),
}


def company_worth(
    network: HybridNetwork,
    arrays: TrainingArrays,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """AUC of malignant against the rest, by what is shown of each breast, and the paired differences.

    Args:
        network: in evaluation mode; one that takes sequences.
        arrays: breasts with CC and MLO, some of them with priors, that the network has not learned from.
        seed: of the bootstrap, and of whose images are swapped in.

    Returns:
        ``views`` and ``priors``, each ``{"n_breasts", "n_patients", "n_malignant", "auc": {variant:
        interval}, "differences": [{"title", "mean", "ci95"}]}``; intervals are percentile bootstrap over
        patients. None in the place of one for which there are no breasts.

    Raises:
        StudiesError: there is neither a breast with two views nor one with a prior.
    """
    found: dict[str, Any] = {}
    for name, suited in (("views", _with_views), ("priors", _with_priors)):
        chosen = np.flatnonzero([suited(arrays.cases.members(np.array([i]))) for i in range(len(arrays))])
        known = chosen[arrays.labels[chosen] >= 0]
        found[name] = _measured(network, arrays.select(known), name, resamples, seed) if len(known) else None
    if not any(found.values()):
        raise StudiesError(
            "breasts with CC and MLO, or with a prior, are required to tell what these are worth; got none; "
            "make some with 'breastlabel phantom --modality MG'"
        )
    return found


def _measured(
    network: HybridNetwork, arrays: TrainingArrays, name: str, resamples: int, seed: int
) -> dict[str, Any]:
    from breastlabel.training.validation import run_network

    malignant = arrays.labels == LesionClass.MALIGNANT
    variants = _views_variants(arrays, seed) if name == "views" else _prior_variants(arrays, seed)
    scores = {}
    for variant, cases in variants.items():
        logits = run_network(network, dataclasses.replace(arrays, cases=cases)).class_logits
        powers = np.exp(logits - logits.max(1, keepdims=True))
        scores[variant] = (powers / powers.sum(1, keepdims=True))[:, LesionClass.MALIGNANT]
    bootstrap = Bootstrap(arrays.groups.tolist(), resamples=resamples, seed=seed)

    def mean_auc(names: tuple[str, ...]) -> Statistic:
        return lambda w: np.mean([cls.auc(malignant, scores[n], w) for n in names], axis=0)

    differences = []
    for comparison in COMPARISONS[name]:
        first, second = mean_auc(comparison.better), mean_auc(comparison.worse)
        interval = bootstrap.interval(lambda w, a=first, b=second: a(w) - b(w))  # type: ignore[misc]
        differences.append({"title": comparison.title, **(interval or {"mean": None, "ci95": None})})
    return {
        "n_breasts": len(arrays),
        "n_patients": bootstrap.n_groups,
        "n_malignant": int(malignant.sum()),
        "auc": {variant: bootstrap.interval(mean_auc((variant,))) for variant in scores},
        "differences": differences,
    }


def _with_views(members: Members) -> bool:
    shown = members.context[members.newest]
    return bool((shown[:, _CC] > 0).any() and (shown[:, _MLO] > 0).any())


def _with_priors(members: Members) -> bool:
    return not bool(members.newest.all())


def _views_variants(arrays: TrainingArrays, seed: int) -> dict[str, Cases]:
    """The newest exam's CC and MLO, one of them, or the CC with another patient's MLO."""

    def newest_of(column: int) -> Callable[[int], Places]:
        return lambda case: _rows(arrays, case, lambda m: m.newest & (m.context[:, column] > 0))[:1]

    cc, mlo = newest_of(_CC), newest_of(_MLO)
    other = _others(arrays, seed)
    return {
        "CC alone": _cases(arrays, cc),
        "MLO alone": _cases(arrays, mlo),
        "both views": _cases(arrays, lambda case: np.concatenate([cc(case), mlo(case)])),
        "another's MLO": _cases(arrays, lambda case: np.concatenate([cc(case), mlo(int(other[case]))])),
    }


def _prior_variants(arrays: TrainingArrays, seed: int) -> dict[str, Cases]:
    """The newest exam, with its priors, or with those of another patient."""

    def newest(case: int) -> Places:
        return _rows(arrays, case, lambda m: m.newest)

    def priors(case: int) -> Places:
        return _rows(arrays, case, lambda m: ~m.newest)

    other = _others(arrays, seed)
    return {
        "without prior": _cases(arrays, newest),
        "with prior": _cases(arrays, lambda case: np.concatenate([priors(case), newest(case)])),
        "another's prior": _cases(
            arrays, lambda case: np.concatenate([priors(int(other[case])), newest(case)])
        ),
    }


def _rows(arrays: TrainingArrays, case: int, wanted: Callable[[Members], npt.NDArray[np.bool_]]) -> Places:
    """Positions among all members of those of a case that are wanted."""
    found = np.flatnonzero(wanted(arrays.cases.members(np.array([case]))))
    return np.asarray(arrays.cases.offsets[case] + found, np.int64)


def _cases(arrays: TrainingArrays, rows_of: Callable[[int], Places]) -> Cases:
    """The same breasts, each shown by the members that ``rows_of`` gives."""
    rows = [rows_of(case) for case in range(len(arrays))]
    together = np.concatenate(rows)
    cases = arrays.cases
    return dataclasses.replace(
        cases,
        offsets=np.concatenate([[0], np.cumsum([len(each) for each in rows])]).astype(np.int64),
        images=cases.images[together],
        newest=cases.newest[together],
        context=cases.context[together],
    )


def _others(arrays: TrainingArrays, seed: int) -> Places:
    """For each breast one of another patient: the next in a random order that is."""
    order = np.random.default_rng(seed).permutation(len(arrays))
    other = np.empty(len(order), np.int64)
    for place, case in enumerate(order):
        others = (int(order[(place + step) % len(order)]) for step in range(1, len(order)))
        found = next((o for o in others if arrays.groups[o] != arrays.groups[case]), None)
        if found is None:
            raise StudiesError(
                "breasts of two patients or more are required to swap them; got one patient; add others"
            )
        other[case] = found
    return other
