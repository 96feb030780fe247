"""Does a newly trained checkpoint replace the champion? Only if it is not worse where it counts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from breastlabel.errors import CheckpointError
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.training.checkpoint import load_checkpoint
from breastlabel.training.registry import ModelRegistry
from breastlabel.training.run import prepare_split
from breastlabel.training.validation import area_under_roc, dice_scores, run_network

__all__ = ["AUC_MARGIN", "MARGIN", "Decision", "challenge"]

# How much mean Dice a challenger may lose on the validation split before it is refused.
MARGIN = 0.02
# How much malignant AUC it may lose. Here the loss must be shown: with a few dozen images an AUC's interval
# is so wide that no challenger could be shown not to lose, however much better its outlines are.
AUC_MARGIN = 0.02

Difference = tuple[float, float, float]


@dataclass(frozen=True)
class Decision:
    """Whether a challenger became the champion, and why.

    Attributes:
        champion, challenger: versions.
        champion_dice, challenger_dice: mean Dice over the validation images with a lesion, each model
            with its own preparation and threshold; None where there is no such image.
        difference: challenger minus champion on the same images, with its 95 % interval by paired
            bootstrap over patients: mean, low, high; None where there is nothing to compare.
        n: how many images that is.
        champion_auc, challenger_auc: area under the ROC curve of malignant against the rest over the
            validation images whose class is known; None where they are not both malignant and other.
        auc_difference: as ``difference``, of these areas.
        auc_n: how many images that is.
        reason: one sentence.
    """

    champion: str | None
    challenger: str
    promoted: bool
    reason: str
    champion_dice: float | None = None
    challenger_dice: float | None = None
    difference: Difference | None = None
    n: int = 0
    champion_auc: float | None = None
    challenger_auc: float | None = None
    auc_difference: Difference | None = None
    auc_n: int = 0


def challenge(
    registry: ModelRegistry, model: str, challenger: Path, studies: Path, *, always: bool = False
) -> Decision:
    """Add a checkpoint to the registry and promote it if it is not worse; the decision is recorded.

    Not worse means that the whole 95 % interval of its difference to the champion in mean validation Dice
    (paired bootstrap over patients) lies above ``-MARGIN``, and that its malignant AUC is not shown to have
    fallen: by more than ``AUC_MARGIN`` on all images, with the whole interval below 0. Where no AUC is
    defined, Dice alone counts. Where there is a champion and no outlined lesion to compare on, the champion
    stays.

    Args:
        always: promote whatever the figures say (they are still recorded).

    Raises:
        CheckpointError: the challenger cannot be loaded, or the champion that was chosen is damaged and
            ``always`` was not asked for.
    """
    champion_version = registry.champion_version(model)
    if champion_version is None and registry.has_champion(model) and not always:
        registry.champion(model)
    version = registry.add(model, challenger)
    new = _answers(challenger, studies)
    old = None if champion_version is None else _answers(registry.champion(model), studies)
    difference = None if old is None else _dice_difference(new, old)
    auc_difference = None if old is None else _auc_difference(new, old)
    if always:
        promoted, reason = True, "promotion was asked for whatever the figures say"
    elif champion_version is None:
        promoted, reason = True, "there was no champion"
    elif difference is None:
        promoted, reason = False, "the validation split has no outlined lesion to compare on"
    else:
        promoted, reason = _compared(difference, auc_difference)
    decision = Decision(
        champion=champion_version,
        challenger=version,
        promoted=promoted,
        reason=reason,
        champion_dice=None if old is None else old.mean_dice(),
        challenger_dice=new.mean_dice(),
        difference=difference,
        n=len(new.dice),
        champion_auc=None if old is None else old.auc(),
        challenger_auc=new.auc(),
        auc_difference=auc_difference,
        auc_n=len(new.malignant),
    )
    if promoted:
        registry.promote(model, version)
    _record(registry, model, decision)
    return decision


def _compared(dice: Difference, auc: Difference | None) -> tuple[bool, str]:
    """Whether the challenger is not worse in any of them, and the sentence that says so."""
    keeps_dice = dice[1] >= -MARGIN
    relation = "is not" if keeps_dice else "may be"
    reason = f"its validation Dice {relation} worse than the champion's by more than {MARGIN}: {_said(dice)}"
    if auc is None:
        return keeps_dice, reason
    keeps_auc = auc[0] >= -AUC_MARGIN or auc[2] >= 0
    relation = "is not shown to be" if keeps_auc else "is"
    reason += f"; its malignant AUC {relation} worse by more than {AUC_MARGIN}: {_said(auc)}"
    return keeps_dice and keeps_auc, reason


def _said(difference: Difference) -> str:
    mean, low, high = difference
    return f"difference {mean:+.3f} ({low:+.3f} to {high:+.3f})"


@dataclass(frozen=True)
class _Answers:
    """What a checkpoint makes of the validation images, each by image id.

    Attributes:
        dice: of the images with an outlined lesion.
        scores: calibrated probability of malignant.
        malignant: whether the image is, where its class is known.
        groups: patients.
    """

    dice: dict[str, float]
    scores: dict[str, float]
    malignant: dict[str, bool]
    groups: dict[str, str]

    def mean_dice(self) -> float | None:
        return float(np.mean(list(self.dice.values()))) if self.dice else None

    def auc(self) -> float | None:
        ids = list(self.malignant)
        truth = np.array([self.malignant[i] for i in ids], dtype=bool)
        area = area_under_roc(np.array([self.scores[i] for i in ids]), truth)
        return float(area) if np.isfinite(area) else None


def _answers(folder: Path, studies: Path) -> _Answers:
    from breastlabel.inference.calibration import apply_temperature

    checkpoint = load_checkpoint(folder)
    arrays = prepare_split(studies, "val", checkpoint.preparation, model=checkpoint.model)
    if arrays is None:
        return _Answers({}, {}, {}, {})
    views = checkpoint.spec.get("inference", {}).get("tta", ())
    outputs = run_network(checkpoint.network, arrays, views=views)
    threshold = float(checkpoint.spec["thresholds"].get("mask", 0.5))
    dice = dice_scores(outputs.mask_logits, arrays.masks, threshold=threshold)
    # Between three classes the temperature can change which image is the likelier malignant one.
    temperature = float(checkpoint.spec["calibration"].get("temperature", 1.0))
    scores = apply_temperature(outputs.class_logits, temperature)[:, LesionClass.MALIGNANT]
    ids = [str(i) for i in arrays.ids]
    return _Answers(
        {i: float(d) for i, d in zip(ids, dice, strict=True) if np.isfinite(d)},
        {i: float(s) for i, s in zip(ids, scores, strict=True)},
        {i: int(c) == LesionClass.MALIGNANT for i, c in zip(ids, arrays.labels, strict=True) if c >= 0},
        {i: str(group) for i, group in zip(ids, arrays.groups, strict=True)},
    )


def _dice_difference(new: _Answers, old: _Answers) -> Difference | None:
    # Imported here and below: evaluation builds on training.
    from breastlabel.evaluation.bootstrap import paired_bootstrap

    both = sorted(new.dice.keys() & old.dice.keys())
    if not both:
        return None
    found = paired_bootstrap(
        np.array([new.dice[i] for i in both]),
        np.array([old.dice[i] for i in both]),
        [new.groups[i] for i in both],
    )
    return found.mean, found.low, found.high


def _auc_difference(new: _Answers, old: _Answers) -> Difference | None:
    from breastlabel.evaluation.bootstrap import paired_bootstrap
    from breastlabel.evaluation.classification import auc

    both = sorted(new.malignant.keys() & old.malignant.keys())
    truth = np.array([new.malignant[i] for i in both], dtype=bool)
    if truth.all() or not truth.any():
        return None
    found = paired_bootstrap(
        np.array([new.scores[i] for i in both]),
        np.array([old.scores[i] for i in both]),
        [new.groups[i] for i in both],
        statistic=lambda scores, weights: auc(truth, scores, weights),
    )
    return found.mean, found.low, found.high


def _record(registry: ModelRegistry, model: str, decision: Decision) -> None:
    if registry.root is None:
        raise CheckpointError(
            "a studies folder is required to record a decision; name one with --studies DIR"
        )
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(decision)}
    path = registry.root / model / "decisions.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
