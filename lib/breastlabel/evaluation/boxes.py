"""Boxes of the model against boxes of the reader: who finds what, at how many false boxes an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from breastlabel.evaluation.bootstrap import Bootstrap, Weights
from breastlabel.evaluation.lesions import FROC_RATES, HIT_IOU, LesionMatch, froc_at, froc_curve
from breastlabel.transforms.boxes import BoxArray, box_ious

__all__ = ["box_measures", "match_boxes"]


def match_boxes(reader: BoxArray, model: BoxArray, scores: Sequence[float]) -> LesionMatch:
    """Pairs lesions with boxes by the rule of `match_lesions`: the largest IoU, if it is at least 0.2.

    ``hits`` are those by any box, however low its score.

    Args:
        reader: (n, 4) of (row0, col0, row1, col1).
        model: (m, 4), of ``scores``.
    """
    found = [-1] * len(model)
    if len(reader) and len(model):
        agreement = box_ious(reader, model)
        best = agreement.argmax(axis=0)
        found = [int(k) if agreement[k, i] >= HIT_IOU else -1 for i, k in enumerate(best)]
    hit = set(found)
    hits = tuple(k in hit for k in range(len(reader)))
    return LesionMatch(hits, tuple(float(s) for s in scores), tuple(found), len(model))


def box_measures(matches: Sequence[LesionMatch | None], bootstrap: Bootstrap) -> dict[str, Any]:
    """``boxes`` of ``metrics.json``: FROC, and the sensitivity at one false box an image with its interval.

    The interval is that of the threshold which keeps these images at one false box each.

    Args:
        matches: one an image; None where nobody drew its lesions, or the model no boxes.
        bootstrap: over the images.
    """
    known = np.array([match is not None for match in matches], dtype=bool)
    there = [match for match in matches if match is not None]
    rates = froc_at(froc_curve(there)) if there else [float("nan")] * len(FROC_RATES)
    least = _threshold(there)
    lesions = np.array([len(m.hits) for m in there], dtype=np.float64)
    hit = np.array(
        [len({k for k, s in zip(m.lesions, m.scores, strict=True) if k >= 0 and s >= least}) for m in there],
        dtype=np.float64,
    )

    def share(weights: Weights) -> np.ndarray[Any, np.dtype[np.float64]]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights[:, known] @ hit) / (weights[:, known] @ lesions), dtype=np.float64)

    return {
        "n_images": len(there),
        "n_lesions": int(lesions.sum()),
        "iou": HIT_IOU,
        "sensitivity": bootstrap.interval(share),
        "froc": {
            "fp_per_image": list(FROC_RATES),
            "sensitivity": [rate if np.isfinite(rate) else None for rate in rates],
        },
    }


def _threshold(matches: Sequence[LesionMatch]) -> float:
    """The lowest score from which there is at most one false box an image."""
    false = sorted(
        (s for m in matches for k, s in zip(m.lesions, m.scores, strict=True) if k < 0), reverse=True
    )
    most = len(matches)
    return float(np.nextafter(false[most], np.inf)) if len(false) > most else 0.0
