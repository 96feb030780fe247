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
        n: how many images that is.
        reason: one sentence.
    """

    champion: str | None
    challenger: str
    promoted: bool
    reason: str
    champion_dice: float | None = None
    challenger_dice: float | None = None
    n: int = 0


def challenge(
    registry: ModelRegistry, model: str, challenger: Path, studies: Path, *, always: bool = False
) -> Decision:
    """Add a checkpoint to the registry and promote it unless it is worse; the decision is recorded.

    Args:
        always: promote whatever the figures say (they are still recorded).
    """
    champion_version = registry.champion_version(model)
    version = registry.add(model, challenger)
    new = _mean_dice(challenger, studies)
    old = None
    if champion_version is not None:
        old = _mean_dice(registry.champion(model), studies)
    if always:
        promoted, reason = True, "promotion was asked for whatever the figures say"
    elif champion_version is None:
        promoted, reason = True, "there was no champion"
    elif new is None or old is None:
        promoted, reason = True, "the validation split has no outlined lesion to compare on"
    else:
        promoted = new[0] >= old[0] - MARGIN
        relation = "not worse than" if promoted else "worse than"
        reason = f"its validation Dice {new[0]:.3f} is {relation} the champion's {old[0]:.3f} less {MARGIN}"
    decision = Decision(
        champion=champion_version,
        challenger=version,
        promoted=promoted,
        reason=reason,
        champion_dice=None if old is None else old[0],
        challenger_dice=None if new is None else new[0],
        n=0 if new is None else new[1],
    )
    if promoted:
        registry.promote(model, version)
    _record(registry, model, decision)
    return decision


def _mean_dice(folder: Path, studies: Path) -> tuple[float, int] | None:
    checkpoint = load_checkpoint(folder)
    arrays = prepare_split(studies, "val", checkpoint.preparation)
    if arrays is None or not arrays.masks.any():
        return None
    outputs = run_network(checkpoint.network, arrays)
    threshold = float(checkpoint.spec["thresholds"].get("mask", 0.5))
    dice = dice_scores(outputs.mask_logits, arrays.masks, threshold=threshold)
    return float(np.nanmean(dice)), int(np.isfinite(dice).sum())


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
