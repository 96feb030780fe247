"""Does a newly trained checkpoint replace the champion? Only if it is not worse where it counts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from breastlabel.errors import CheckpointError
from breastlabel.training.checkpoint import load_checkpoint
from breastlabel.training.registry import ModelRegistry
from breastlabel.training.run import prepare_split
from breastlabel.training.validation import dice_scores, run_network

__all__ = ["MARGIN", "Decision", "challenge"]

# How much mean Dice a challenger may lose on the validation split before it is refused.
MARGIN = 0.02


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
        reason: one sentence.
    """

    champion: str | None
    challenger: str
    promoted: bool
    reason: str
    champion_dice: float | None = None
    challenger_dice: float | None = None
    difference: tuple[float, float, float] | None = None
    n: int = 0


def challenge(
    registry: ModelRegistry, model: str, challenger: Path, studies: Path, *, always: bool = False
) -> Decision:
    """Add a checkpoint to the registry and promote it if it is not worse; the decision is recorded.

    Not worse means that the whole 95 % interval of its difference to the champion in mean validation Dice
    (paired bootstrap over patients) lies above ``-MARGIN``. Where there is a champion and nothing to compare
    on, the champion stays.

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
    new = _dice(challenger, studies)
    old = None if champion_version is None else _dice(registry.champion(model), studies)
    difference = None if new is None or old is None else _difference(new, old)
    if always:
        promoted, reason = True, "promotion was asked for whatever the figures say"
    elif champion_version is None:
        promoted, reason = True, "there was no champion"
    elif difference is None:
        promoted, reason = False, "the validation split has no outlined lesion to compare on"
    else:
        mean, low, high = difference
        promoted = low >= -MARGIN
        relation = "is not" if promoted else "may be"
        reason = (
            f"its validation Dice {relation} worse than the champion's by more than {MARGIN}: "
            f"difference {mean:+.3f} ({low:+.3f} to {high:+.3f})"
        )
    decision = Decision(
        champion=champion_version,
        challenger=version,
        promoted=promoted,
        reason=reason,
        champion_dice=None if old is None else float(np.mean([d for d, _ in old.values()])),
        challenger_dice=None if new is None else float(np.mean([d for d, _ in new.values()])),
        difference=difference,
        n=0 if new is None else len(new),
    )
    if promoted:
        registry.promote(model, version)
    _record(registry, model, decision)
    return decision


def _dice(folder: Path, studies: Path) -> dict[str, tuple[float, str]] | None:
    """Image id -> (Dice, group) of the validation images with a lesion; None where there is none."""
    checkpoint = load_checkpoint(folder)
    arrays = prepare_split(studies, "val", checkpoint.preparation)
    if arrays is None or not arrays.masks.any():
        return None
    views = checkpoint.spec.get("inference", {}).get("tta", ())
    outputs = run_network(checkpoint.network, arrays, views=views)
    threshold = float(checkpoint.spec["thresholds"].get("mask", 0.5))
    dice = dice_scores(outputs.mask_logits, arrays.masks, threshold=threshold)
    rows = zip(arrays.ids, dice, arrays.groups, strict=True)
    return {str(i): (float(d), str(group)) for i, d, group in rows if np.isfinite(d)}


def _difference(
    new: dict[str, tuple[float, str]], old: dict[str, tuple[float, str]]
) -> tuple[float, float, float] | None:
    # Imported here: evaluation builds on training.
    from breastlabel.evaluation.bootstrap import paired_bootstrap

    both = sorted(new.keys() & old.keys())
    if not both:
        return None
    found = paired_bootstrap(
        np.array([new[i][0] for i in both]), np.array([old[i][0] for i in both]), [new[i][1] for i in both]
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
