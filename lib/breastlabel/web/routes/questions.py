"""``/api/questions``: what readers are asked about segmentations that other viewers stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Query

from breastlabel.catalog.kept_segmentation import KeptSegmentation
from breastlabel.label.errors import BadRequestError
from breastlabel.label.options import Options
from breastlabel.label.routes.roles import ANNOTATOR, USER
from breastlabel.web.seg_intake import SegIntake

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]

_ANSWER = {"segments": {"Segment 1": "malignant"}, "remember": False}


def router(app: BreastLabelApp) -> APIRouter:
    """Listing the open questions and answering them."""
    routes = APIRouter(prefix="/api", tags=["Reading room"])
    intake, questions = SegIntake(app), app.catalog.questions

    @routes.get(
        "/questions", summary="The questions that nobody has answered, oldest first", dependencies=USER
    )
    def listing(
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    ) -> dict[str, Any]:
        found = questions.open(limit=limit, offset=offset)
        return {"questions": [described(question) for question in found], "total": questions.count()}

    @routes.get("/questions/{question_id}", summary="One question, answered or not", dependencies=USER)
    def one(question_id: int) -> dict[str, Any]:
        return described(questions.get(question_id))

    @routes.post(
        "/questions/{question_id}",
        summary="Say what the segments mean; the segmentation then becomes label versions",
        dependencies=ANNOTATOR,
    )
    def answer(question_id: int, body: Annotated[dict[str, Any], Body(examples=[_ANSWER])]) -> dict[str, Any]:
        """``remember``: the answer counts from now on for every segment of such a name."""
        segments = body.get("segments")
        if not isinstance(segments, dict):
            raise BadRequestError(
                'segments must be {"name": "benign", "malignant" or "ignore"}; got something else; name each'
            )
        options = Options(body)
        result = intake.answer(
            question_id,
            segments,
            author=options.name("author"),
            client_id=options.name("client_id"),
            remember=bool(options.flag("remember", False)),
        )
        return result.to_json()

    def described(question: KeptSegmentation) -> dict[str, Any]:
        notes = question.info.get("notes", {})
        image_ids = questions.images(question.segmentation_id) or [v["image_id"] for v in question.labels]
        return {
            "question_id": question.segmentation_id,
            "status": str(question.status),
            "received_at": question.received_at.isoformat(),
            "author": question.author,
            "client_id": question.client_id,
            "viewer": notes.get("viewer"),
            "drawn_at": notes.get("drawn_at"),
            "image_ids": image_ids,
            "thumbnails": [f"/api/images/{quote(image_id, safe='')}/thumbnail.png" for image_id in image_ids],
            "segments": [dict(segment) for segment in question.segments],
            "meanings": ["benign", "malignant", "ignore"],
            "answer": None if question.answer is None else dict(question.answer),
            "labels": [dict(label) for label in question.labels],
        }

    return routes
