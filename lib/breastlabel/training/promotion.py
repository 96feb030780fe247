"""Does a newly trained checkpoint replace the champion? Only if it is not worse where it counts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from breastlabel.errors import CheckpointError
from breastlabel.training.answers import Answers, Difference, answers, auc_difference, dice_difference
from breastlabel.training.checkpoint import load_checkpoint
from breastlabel.training.held_out import read_held_out
from breastlabel.training.preparing import prepare_split
from breastlabel.training.registry import ModelRegistry
from breastlabel.training.settings import ENOUGH_PATIENTS

__all__ = ["AUC_MARGIN", "LEAST_PATIENTS", "MARGIN", "Decision", "challenge", "compared", "compared_by_class"]

# How much mean Dice a challenger may lose on the validation split before it is refused.
MARGIN = 0.02
# How much malignant AUC it may lose. Here the loss must be shown: with a few dozen images an AUC's interval
# is so wide that no challenger could be shown not to lose, however much better its outlines are.
AUC_MARGIN = 0.02
# With fewer patients an interval means nothing: that all four of four are better happens by chance once in
# 16 times (five of five: once in 32).
LEAST_PATIENTS = 5


@dataclass(frozen=True)
class Decision:
    """Whether a challenger became the champion, and why.

    Attributes:
        champion, challenger: versions.
        champion_dice, challenger_dice: mean Dice over the compared images with a lesion, each model with its
            own preparation and threshold; None where there is no such image.
        difference: challenger minus champion on the same images, with its 95 % interval by paired
            bootstrap over patients: mean, low, high; None where there is nothing to compare.
        n: how many images that is.
        champion_auc, challenger_auc: area under the ROC curve of malignant against the rest over the
            compared images whose class is known; None where they are not both malignant and other.
        auc_difference: as ``difference``, of these areas.
        auc_n: how many images that is.
        reason: one sentence.
        n_val: how many of the ``n`` images are of the validation split; the others were held out in turn.
        val_difference: as ``difference``, of the validation images alone.
        held_out_difference: as ``difference``, of the held-out images alone.
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
    n_val: int = 0
    val_difference: Difference | None = None
    held_out_difference: Difference | None = None


def challenge(
    registry: ModelRegistry, model: str, challenger: Path, studies: Path, *, always: bool = False
) -> Decision:
    """Add a checkpoint to the registry and promote it if it is not worse; the decision is recorded.

    The fixed validation split decides. Where it has fewer than `ENOUGH_PATIENTS` with an outlined lesion, the
    new labels that fine-tuning held out in turn are added (`HeldOut`), if it started from this very champion.

    Not worse means that the whole 95 % interval of its difference to the champion in mean Dice (paired
    bootstrap over patients) lies above ``-MARGIN``, and that its malignant AUC is not shown to have
    fallen: by more than ``AUC_MARGIN`` on all images, with the whole interval below 0. Where no AUC is
    defined, Dice alone counts. Where held-out labels count, not being shown to be worse is not enough: mean
    Dice must have risen, and malignant AUC, as measured, must not have fallen by more than ``AUC_MARGIN``.
    Where there is a champion and fewer than `LEAST_PATIENTS` patients with an
    outlined lesion to compare on, the champion stays.

    Of a system that does not outline, malignant AUC decides alone: as measured, it must not have fallen by
    more than ``AUC_MARGIN``, or must have risen where held-out labels count; and there must be
    `LEAST_PATIENTS` patients with a malignant case.

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
    new = val_new = _answers(challenger, studies)
    old = val_old = None if champion_version is None else _answers(registry.champion(model), studies)
    held_out = read_held_out(challenger)
    held_out_difference, must_gain = None, False
    if (
        old is not None
        and held_out is not None
        and held_out.champion == champion_version
        and new.n_patients < ENOUGH_PATIENTS
    ):
        held_out_difference = dice_difference(held_out.after, held_out.before)
        new, old = new | held_out.after, old | held_out.before
        must_gain = held_out_difference is not None or not new.outlines
    difference = None if old is None else dice_difference(new, old)
    auc = None if old is None else auc_difference(new, old)
    if always:
        promoted, reason = True, "promotion was asked for whatever the figures say"
    elif champion_version is None:
        promoted, reason = True, "there was no champion"
    elif not new.outlines:
        promoted, reason = compared_by_class(new.n_patients, auc, must_gain=must_gain)
    elif difference is None:
        promoted, reason = False, "the validation split has no outlined lesion to compare on"
    elif new.n_patients < LEAST_PATIENTS:
        promoted, reason = False, _too_few(new.n_patients, difference)
    else:
        promoted, reason = compared(
            difference,
            auc,
            must_gain=must_gain,
            where=_where(len(val_new.dice), len(new.dice)),
        )
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
        auc_difference=auc,
        auc_n=len(new.malignant),
        n_val=len(val_new.dice),
        val_difference=None if val_old is None else dice_difference(val_new, val_old),
        held_out_difference=held_out_difference,
    )
    if promoted:
        registry.promote(model, version)
    _record(registry, model, decision)
    return decision


def compared(
    dice: Difference, auc: Difference | None, *, must_gain: bool = False, where: str = ""
) -> tuple[bool, str]:
    """Whether the challenger is good enough in both, and the sentence that says so.

    Args:
        dice, auc: its differences to the champion; None where no AUC is defined.
        must_gain: mean Dice must have risen and AUC not have fallen by more than ``AUC_MARGIN``, as measured.
            So it is where the evidence is of the recipe, not of the weights that would serve: whoever
            replaces a champion on so little should at least see a gain.
        where: said of the images.
    """
    keeps_dice = dice[1] >= -MARGIN
    relation = "is not" if keeps_dice else "may be"
    reason = f"its validation Dice {relation} worse than the champion's by more than {MARGIN}: {_said(dice)}"
    reason += where
    if must_gain and keeps_dice and dice[0] <= 0:
        keeps_dice = False
        reason += ", but a gain is required on so few validation images"
    if auc is None:
        return keeps_dice, reason
    shown = auc[0] < -AUC_MARGIN and auc[2] < 0
    keeps_auc = not shown and not (must_gain and auc[0] < -AUC_MARGIN)
    relation = "is" if shown else "is not shown to be" if keeps_auc else "is not shown to be, but may be,"
    reason += f"; its malignant AUC {relation} worse by more than {AUC_MARGIN}: {_said(auc)}"
    return keeps_dice and keeps_auc, reason


def compared_by_class(
    n_patients: int, auc: Difference | None, *, must_gain: bool = False
) -> tuple[bool, str]:
    """As `compared`, for a system that does not outline.

    Args:
        n_patients: how many have a malignant case.
        auc: its difference to the champion; None where it is not defined.
    """
    if auc is None:
        return False, "there are no malignant and other cases to compare on"
    if n_patients < LEAST_PATIENTS:
        return False, (
            f"{LEAST_PATIENTS} patients with a malignant case are required to compare on; there are "
            f"{n_patients} ({_said(auc)}); label more images"
        )
    kept = auc[0] > 0 if must_gain else auc[0] >= -AUC_MARGIN
    if must_gain:
        relation = "is" if kept else "is not"
        return kept, (
            f"its malignant AUC, held-out labels included, {relation} better than the champion's, as is "
            f"required there: {_said(auc)}"
        )
    relation = "is not" if kept else "is"
    return kept, (
        f"its malignant AUC, as measured, {relation} worse than the champion's by more than {AUC_MARGIN}: "
        f"{_said(auc)}"
    )


def _too_few(n: int, difference: Difference) -> str:
    return (
        f"{LEAST_PATIENTS} patients with an outlined lesion are required to compare on, in the validation "
        f"split or among new labels; there are {n} ({_said(difference)}); label more images"
    )


def _where(n_val: int, n: int) -> str:
    if n == n_val:
        return ""
    return f" on {n_val} validation images and {n - n_val} new ones that were held out in turn"


def _said(difference: Difference) -> str:
    mean, low, high = difference
    return f"difference {mean:+.3f} ({low:+.3f} to {high:+.3f})"


def _answers(folder: Path, studies: Path) -> Answers:
    checkpoint = load_checkpoint(folder)
    arrays = prepare_split(
        studies, "val", checkpoint.preparation, model=checkpoint.model, network=checkpoint.network
    )
    if arrays is None:
        return Answers()
    return answers(
        checkpoint.network,
        arrays,
        mask_threshold=float(checkpoint.spec["thresholds"].get("mask", 0.5)),
        temperature=float(checkpoint.spec["calibration"].get("temperature", 1.0)),
        views=checkpoint.spec.get("inference", {}).get("tta", ()),
    )


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
