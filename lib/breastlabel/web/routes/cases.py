"""``/api/cases``: what is to be read, in the order in which reading helps most, with the AI's opinion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Query

from breastlabel.catalog.case_order import CaseStatus
from breastlabel.errors import UnknownNameError
from breastlabel.imaging import Modality
from breastlabel.label.caller import ClientId, caller
from breastlabel.label.errors import BadRequestError
from breastlabel.label.infer import plain
from breastlabel.label.options import Options
from breastlabel.label.routes.roles import ANNOTATOR, USER
from breastlabel.web.cases.results import Results
from breastlabel.web.cases.worklist import MOST_CASES, Worklist

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]

_MOST_SKIPPED = 1000
Json = dict[str, Any]


def router(app: BreastLabelApp) -> APIRouter:
    """Listing, finding and giving out cases."""
    routes = APIRouter(prefix="/api/cases", tags=["Reading room"])
    worklist = Worklist(app)
    results = Results(app, worklist)

    @routes.get("", summary="Cases in the order of a strategy", dependencies=USER)
    def listing(
        modality: Modality | None = None,
        status: CaseStatus = CaseStatus.WAITING,
        strategy: Annotated[str | None, Query(max_length=64)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_CASES)] = 50,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> Json:
        return dict(
            plain(
                worklist.page(status=status, modality=modality, strategy=strategy, offset=offset, limit=limit)
            )
        )

    @routes.get("/find", summary="The case of a DICOM study, an instance or an image", dependencies=USER)
    def find(
        study_instance_uid: Annotated[str | None, Query(max_length=64)] = None,
        sop_instance_uid: Annotated[str | None, Query(max_length=64)] = None,
        image_id: Annotated[str | None, Query(max_length=200)] = None,
        client_id: ClientId = None,
    ) -> Json:
        if image_id is not None:
            case = worklist.case_of_image(image_id)
        elif study_instance_uid is not None or sop_instance_uid is not None:
            case = worklist.case_of_uid(study=study_instance_uid, instance=sop_instance_uid)
        else:
            raise BadRequestError(
                "a study_instance_uid, a sop_instance_uid or an image_id is required; got none; name one"
            )
        return results.case_json(case, client_id)

    @routes.get("/{case_id}", summary="A case with the AI's results", dependencies=USER)
    def one(case_id: str, client_id: ClientId = None) -> Json:
        return results.case_json(worklist.case(case_id), client_id)

    @routes.post("/{case_id}/reveal", summary="The AI's results before one's own; noted", dependencies=USER)
    def reveal(case_id: str, params: Annotated[Json | None, Body()] = None) -> Json:
        case, client_id = worklist.case(case_id), Options(params).text("client_id")
        results.blinding.reveal([image.image_id for image in case.images], client_id)
        return results.case_json(case, client_id)

    @routes.post("/next", summary="The next case, on lease to the client", dependencies=ANNOTATOR)
    def next_case(params: Annotated[Json | None, Body()] = None) -> Json:
        options = Options(params)
        skip = (params or {}).get("skip") or []
        if not isinstance(skip, list) or len(skip) > _MOST_SKIPPED:
            raise BadRequestError(
                f"skip must be a list of at most {_MOST_SKIPPED} case ids; got something else; leave it out"
            )
        case = worklist.next(
            caller().client_id(params),
            strategy=options.text("strategy"),
            modality=_modality(options),
            skip=[str(case_id)[:64] for case_id in skip],
        )
        return dict(plain(case))

    return routes


def _modality(options: Options) -> Modality | None:
    text = options.text("modality")
    if text is None:
        return None
    if text not in [modality.value for modality in Modality]:
        raise UnknownNameError("modality", text[:16], [modality.value for modality in Modality])
    return Modality(text)
