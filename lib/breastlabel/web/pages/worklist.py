"""What the worklist page shows: cases in the order of a strategy, open questions, counts, and the filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from breastlabel.catalog.case_order import CaseStatus
from breastlabel.imaging import Modality
from breastlabel.web.cases.worklist import Worklist
from breastlabel.web.pages.training_view import training_view

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["LIMIT", "Filter", "worklist_view"]

#: Cases on a page.
LIMIT = 20
#: Pictures of a case.
_THUMBNAILS = 4
_MOST_QUESTIONS = 20
_SIDES = {"R": "right", "L": "left"}


@dataclass(frozen=True)
class Filter:
    """What is to be shown; its query is the page's."""

    status: CaseStatus = CaseStatus.WAITING
    modality: Modality | None = None
    strategy: str | None = None
    offset: int = 0

    def query(self, **changes: Any) -> str:
        """As a query string, without what is the default; ``changes`` count instead."""
        values = {
            "status": self.status.value,
            "modality": self.modality.value if self.modality else "",
            "strategy": self.strategy or "",
            "offset": self.offset,
        } | changes
        defaults = {"status": CaseStatus.WAITING.value, "modality": "", "strategy": "", "offset": 0}
        return urlencode({k: v for k, v in values.items() if v != defaults[k]})


def worklist_view(app: BreastLabelApp, worklist: Worklist, wanted: Filter, *, address: str) -> dict[str, Any]:
    """What the template shows.

    Args:
        address: of this server, for Slicer.

    Raises:
        NotFoundError: unknown strategy.
    """
    found = worklist.page(
        status=wanted.status,
        modality=wanted.modality,
        strategy=wanted.strategy,
        offset=wanted.offset,
        limit=LIMIT,
    )
    total, shown = found["total"], len(found["cases"])
    return {
        "filter": wanted,
        "cases": [_case(case, address) for case in found["cases"]],
        "total": total,
        "first": wanted.offset + 1 if shown else 0,
        "last": wanted.offset + shown,
        "previous": wanted.query(offset=max(0, wanted.offset - LIMIT)) if wanted.offset else None,
        "next": wanted.query(offset=wanted.offset + LIMIT) if wanted.offset + shown < total else None,
        "strategies": found["strategies"],
        "strategy": found["strategy"],
        "statuses": [status.value for status in CaseStatus],
        "modalities": [modality.value for modality in Modality],
        "questions": _questions(app),
        "training": training_view(app),
        "counts": app.datastore().status(),
    }


def _case(case: Mapping[str, Any], address: str) -> dict[str, Any]:
    images: Sequence[Mapping[str, Any]] = case["images"]
    done = sum(image["status"] == "read" for image in images)
    return {
        **case,
        "title": _views(images) or ", ".join(image["image_id"] for image in images[:_THUMBNAILS]),
        "shown": images[:_THUMBNAILS],
        "more": max(0, len(images) - _THUMBNAILS),
        "done": done,
        "slicer": "\n".join([address, *(image["image_id"] for image in images)]),
    }


def _views(images: Sequence[Mapping[str, Any]]) -> str:
    """``right CC, MLO; left CC, MLO``; empty where no image says its view."""
    sides: dict[str, list[str]] = {}
    for image in images:
        side, view = image["laterality"], image["view_position"]
        if side or view:
            sides.setdefault(_SIDES.get(side or "", "side unknown"), []).append(view or "view unknown")
    return "; ".join(f"{side} {', '.join(dict.fromkeys(views))}" for side, views in sides.items())


def _questions(app: BreastLabelApp) -> list[dict[str, Any]]:
    """The oldest open questions about segments whose names nobody understands."""
    index = app.catalog.questions
    return [
        {
            "id": question.segmentation_id,
            "segments": question.segments,
            "images": index.images(question.segmentation_id),
            "who": question.author or question.client_id,
            "when": f"{question.received_at:%Y-%m-%d %H:%M}",
        }
        for question in index.open(limit=_MOST_QUESTIONS)
    ]
