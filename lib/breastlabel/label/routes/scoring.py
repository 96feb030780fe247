"""``/scoring``: begin, watch and end what the strategies choose by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body

from breastlabel.errors import NotFoundError
from breastlabel.label.infer import plain
from breastlabel.label.options import Options
from breastlabel.label.routes.roles import ANNOTATOR, USER

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """Answers at once; the scoring runs in a process of its own, one at a time.

    It may run beside a training: both let inference go first, and it scores with the version that serves when
    it begins. Where the training then promotes another, the scores stay in use until that one has scored.
    """
    routes = APIRouter(prefix="/scoring", tags=["Scoring"])

    @routes.get("/", summary="The scoring that runs, else the last one", dependencies=USER)
    def status(all: bool = False, check_if_running: bool = False) -> Any:
        running = app.scoring_jobs.running()
        if check_if_running:
            if running is None:
                raise NotFoundError("no scoring is running")
            return plain(running)
        latest = app.scoring_jobs.latest()
        if latest is None:
            raise NotFoundError("no scoring was asked for yet; ask with POST /scoring/")
        return plain(
            app.scoring_jobs.tasks() if all else {**latest, "log": app.scoring_jobs.log(latest["id"])}
        )

    @routes.post("/", summary="Score by every method, in one look at each image", dependencies=ANNOTATOR)
    def run_all(
        params: Annotated[dict[str, Any] | None, Body()] = None, run_sync: bool = False, enqueue: bool = False
    ) -> dict[str, Any]:
        """Options: ``model``, ``passes``, ``batch`` (of methods that choose sets), ``limit``, ``device``.

        ``{"resume": id}`` lets a scoring go on that ended early.
        """
        return _begin(None, params, run_sync=run_sync, enqueue=enqueue)

    @routes.post("/{method}", summary="Score by one method", dependencies=ANNOTATOR)
    def run_one(
        method: str,
        params: Annotated[dict[str, Any] | None, Body()] = None,
        run_sync: bool = False,
        enqueue: bool = False,
    ) -> dict[str, Any]:
        """Options as for all methods; images that were read for another method are not read again."""
        return _begin(method, params, run_sync=run_sync, enqueue=enqueue)

    @routes.delete("/", summary="End the scoring; what was read is kept", dependencies=ANNOTATOR)
    def stop() -> dict[str, Any] | None:
        stopped = app.scoring_jobs.stop()
        return None if stopped is None else dict(plain(stopped))

    def _begin(
        method: str | None, params: dict[str, Any] | None, *, run_sync: bool, enqueue: bool
    ) -> dict[str, Any]:
        if earlier := Options(params).text("resume"):
            task = app.scoring_jobs.resume(earlier, enqueue=enqueue)
        else:
            task = app.async_scoring(method, params, enqueue=enqueue)
        return dict(plain(app.scoring_jobs.wait(task["id"]) if run_sync else task))

    return routes
