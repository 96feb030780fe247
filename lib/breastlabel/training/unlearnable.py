"""A network answers what is asked beside the class only where there is something to learn it from."""

from __future__ import annotations

import logging

import numpy as np

from breastlabel.networks.base import HybridNetwork
from breastlabel.networks.screening import ScreeningNet
from breastlabel.training.arrays import TrainingArrays

__all__ = ["invasive_counts", "leave_out_unlearnable"]

_log = logging.getLogger(__name__)


def invasive_counts(arrays: TrainingArrays) -> dict[str, int]:
    """How many cases are known to be ``invasive`` cancers, and how many ``in_situ``."""
    in_situ, invasive = np.bincount(arrays.invasive[arrays.invasive >= 0], minlength=2)
    return {"invasive": int(invasive), "in_situ": int(in_situ)}


def leave_out_unlearnable(network: HybridNetwork, train: TrainingArrays) -> None:
    """Take heads off a network with random weights that nothing teaches.

    That for invasiveness, where only one kind of cancer is known, and that for boxes, where no lesion is
    drawn. An untrained head would answer all the same, and nobody could tell.

    Args:
        network: changed in place.
        train: all that it is going to learn from.
    """
    if isinstance(network, ScreeningNet) and network.answers_invasive:
        counts = invasive_counts(train)
        if not all(counts.values()):
            network.leave_out_invasive()
            _log.info(
                "invasive cancers and cancers in situ are required to learn to tell them; the train split "
                "has %d and %d; the network is trained without that answer",
                counts["invasive"],
                counts["in_situ"],
            )
    if isinstance(network, ScreeningNet) and network.finds_boxes and not (train.box_classes > 0).any():
        network.leave_out_boxes()
        _log.info(
            "outlines or boxes of lesions are required to learn to find them; the train split has none; the "
            "network is trained without that answer"
        )
