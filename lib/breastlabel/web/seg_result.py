"""What becomes of a segmentation that is taken in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from breastlabel.catalog.kept_segmentation import KeptSegmentation, Status

__all__ = ["IntakeResult", "result_of"]


@dataclass(frozen=True)
class IntakeResult:
    """What became of a segmentation.

    Attributes:
        status: ``"saved"``; ``"known"`` where it was taken before, or is one of ours; ``"question"``;
            ``"refused"``; ``"ignored"`` where an answer says that nothing painted is a lesion.
        labels: ``{"image_id", "version"}`` each.
        reason: why it was refused, or what is asked; None otherwise.
        question_id: of the question; None where there is none.
        at_fault: it was refused for what it is, and not because an image is not there or it shows no lesion:
            an archive of these images should not keep it.
    """

    status: str
    labels: tuple[Mapping[str, Any], ...] = ()
    reason: str | None = None
    question_id: int | None = None
    at_fault: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        answer = {"status": self.status, "labels": [dict(v) for v in self.labels], "reason": self.reason}
        return answer if self.question_id is None else {**answer, "question_id": self.question_id}


def result_of(kept: KeptSegmentation, *, known: bool = False) -> IntakeResult:
    """What there is to say of a segmentation that the catalog knows.

    Args:
        known: it was taken before.
    """
    if kept.status is Status.QUESTION:
        asked = len(kept.segments)
        return IntakeResult(
            "question",
            reason=f"{asked} of its segments stand for nothing that is known; say what they mean",
            question_id=kept.segmentation_id,
        )
    question = kept.segmentation_id if kept.answer is not None else None
    status = "known" if known else str(kept.status)
    return IntakeResult(status, tuple(kept.labels), question_id=question)
