"""How often the views of one breast contradict each other, when each is judged by itself.

P0 gives its recurrence over the views as the remedy: together, a breast has one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from breastlabel.evaluation.bootstrap import Bootstrap, weighted_mean
from breastlabel.evaluation.classification import auc
from breastlabel.evaluation.labelled_breasts import LabelledBreast
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["ViewAnswers", "consistency_measure", "view_answers"]


class ViewAnswers(NamedTuple):
    """What a model says of each view of a breast alone, and of all together.

    Attributes:
        group: the unit of the bootstrap.
        label: class of the breast; None where unknown.
        predicted: class by each view.
        malignancy: probability of malignant by each view.
        together: probability of malignant by all images.
    """

    group: str
    label: int | None
    predicted: tuple[int, ...]
    malignancy: tuple[float, ...]
    together: float


def view_answers(predictor: Any, breast: LabelledBreast, prediction: Any, group: str) -> ViewAnswers | None:
    """Judge each view of the exam alone; None where there are not two.

    Args:
        prediction: of the breast, from all of its images.
    """
    if len(breast.judged) < 2:
        return None
    alone = [
        predictor.predict_sequence([breast.images[i].image], contexts=breast.contexts[i : i + 1])
        for i in breast.judged
    ]
    return ViewAnswers(
        group,
        None if breast.label is None else int(breast.label),
        tuple(int(answer.predicted) for answer in alone),
        tuple(float(answer.malignancy_probability) for answer in alone),
        float(prediction.malignancy_probability),
    )


def consistency_measure(
    answers: Sequence[ViewAnswers], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """``consistency`` of ``metrics.json``.

    ``n_breasts``: those with two views or more; ``contradicting``: share of them whose views do not all give
    one class; ``contradicting_lesion``: share in which one view shows a lesion and another none;
    ``score_spread``: mean over the breasts of the highest less the lowest probability of malignant;
    ``auc_malignant_one_view`` and ``auc_malignant_together``: of the same breasts, by one view (each view is
    a case) and by all images.
    """
    bootstrap = Bootstrap([answer.group for answer in answers], resamples=resamples, seed=seed)
    classes = [answer.predicted for answer in answers]
    columns = {
        "contradicting": [len(set(c)) > 1 for c in classes],
        "contradicting_lesion": [len({v == LesionClass.NORMAL for v in c}) > 1 for c in classes],
        "score_spread": [max(answer.malignancy) - min(answer.malignancy) for answer in answers],
    }
    known = [answer for answer in answers if answer.label is not None]
    return {
        "n_breasts": len(answers),
        **{
            name: bootstrap.interval(lambda w, v=np.array(values, np.float64): weighted_mean(v, w))  # type: ignore[misc]
            for name, values in columns.items()
        },
        "auc_malignant_one_view": _auc(
            [(a.group, a.label, score) for a in known for score in a.malignancy], resamples, seed
        ),
        "auc_malignant_together": _auc([(a.group, a.label, a.together) for a in known], resamples, seed),
    }


def _auc(rows: Sequence[tuple[str, int | None, float]], resamples: int, seed: int) -> Any:
    bootstrap = Bootstrap([group for group, _, _ in rows], resamples=resamples, seed=seed)
    malignant = np.array([label == LesionClass.MALIGNANT for _, label, _ in rows], dtype=bool)
    scores = np.array([score for _, _, score in rows], dtype=np.float64)
    return bootstrap.interval(lambda w: auc(malignant, scores, w))
