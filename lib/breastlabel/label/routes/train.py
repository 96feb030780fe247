"""``/train``: begin, watch and end trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body

from breastlabel.errors import NotFoundError
from breastlabel.label.errors import named
from breastlabel.label.infer import plain
from breastlabel.label.options import Options
from breastlabel.label.routes.roles import ADMIN, USER

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]


def router(app: BreastLabelApp) -> APIRouter:
    """Answers at once; the training runs in a process of its own."""
    routes = APIRouter(prefix="/train", tags=["Train"])

    @routes.get("/", summary="The training that runs, else the last one", dependencies=USER)
    def status(all: bool = False, check_if_running: bool = False) -> Any:
        running = app.jobs.running()
        if check_if_running:
            if running is None:
                raise NotFoundError("no training is running")
            return plain(running)
        latest = app.jobs.latest()
        if latest is None:
            raise NotFoundError("no training was asked for yet")
        return plain(app.jobs.tasks() if all else {**latest, "log": app.jobs.log(latest["id"])})

    @routes.post(
        "/", summary="Train every model, one after the other", include_in_schema=False, dependencies=ADMIN
    )
    def train_all(params: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
        return {name: _begin(name, params, enqueue=True) for name in app.trainers()}

    @routes.post("/{model}", summary="Train a model on the labels saved so far", dependencies=ADMIN)
    def train_one(
        model: str,
        params: Annotated[dict[str, Any] | None, Body()] = None,
        run_sync: bool = False,
        enqueue: bool = False,
    ) -> dict[str, Any]:
        """Options as the trainer lists them; ``{"resume": id}`` lets a training go on that ended early."""
        task = _begin(model, params, enqueue=enqueue)
        return dict(plain(app.jobs.wait(task["id"]))) if run_sync else task

    @routes.delete("/", summary="End the training; the champion stays as it is", dependencies=ADMIN)
    def stop() -> dict[str, Any] | None:
        stopped = app.jobs.stop()
        return None if stopped is None else dict(plain(stopped))

    def _begin(model: str, params: dict[str, Any] | None, *, enqueue: bool) -> dict[str, Any]:
        if earlier := Options(params).text("resume"):
            named("trainer", model, {name: name for name in app.trainers()})
            return dict(plain(app.jobs.resume(earlier, enqueue=enqueue)))
        return dict(plain(app.async_training(model, params, enqueue=enqueue)))

    return routes
