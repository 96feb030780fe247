"""The routes of the server, one file for each of MONAI Label's route groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from breastlabel.label.routes import (
    activelearning,
    auth,
    batch,
    datastore,
    home,
    infer,
    info,
    labels,
    logs,
    model,
    scoring,
    session,
    train,
)

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["all_routers"]

_GROUPS = (
    home,
    info,
    infer,
    datastore,
    labels,
    activelearning,
    train,
    scoring,
    batch,
    model,
    session,
    logs,
    auth,
)


def all_routers(app: BreastLabelApp) -> list[APIRouter]:
    """Every group's router, bound to the app."""
    return [group.router(app) for group in _GROUPS]
