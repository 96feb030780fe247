"""Which role each route asks for: none but those listed here may be called without one, or change things."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC

from breastlabel.label.app import BreastLabelApp
from breastlabel.label.caller import identify
from breastlabel.label.login.users import UserFile
from breastlabel.label.routes import all_routers
from breastlabel.web import web_routers
from breastlabel.web.monitoring import Monitoring
from breastlabel.web.own_objects import OwnObjects
from breastlabel.web.pacs import proxy
from breastlabel.web.routes import health

ROOT = Path(__file__).parents[2]
#: They show nothing of images, readings or people: the login, what its page looks like, and where to go.
OPEN = {
    "GET /",
    "GET /assets/{name}",
    "GET /auth/",
    "POST /auth/token",
    "GET /auth/token/valid",
    "GET /health",
    "GET /login",
    "POST /login",
    "GET /login/start",
    "GET /login/callback",
    "POST /logout",
}
#: What a reader, who may only look, may nevertheless send: a question to a model, whose answer is kept as the
#: model's own; an upload that is forgotten; a request for the next image, which is leased for a while; a
#: look at the AI's opinion before a reading of one's own, which is noted.
READERS = {
    "POST /infer/{model}",
    "POST /activelearning/{strategy}",
    "PUT /session/",
    "DELETE /session/{session_id}",
    "POST /api/readings",
    "DELETE /api/readings/{reading_id}",
    "POST /api/images/{image_id}/run",
    "POST /api/cases/{case_id}/reveal",
}
SAFE = {"GET", "HEAD"}


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The roles that each route asks for, by method and path, of a server with a login."""
    folder = tmp_path_factory.mktemp("roles")
    (folder / "studies").mkdir()
    users = UserFile(folder / "users.json")
    users.put("ada", "correct horse", ["admin"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(folder / "sessions"))
        patch.setenv("BREASTLABEL_LOGIN", str(users.path))
        app = BreastLabelApp(str(ROOT / "apps" / "breast"), str(folder / "studies"), {"models": "ultrasound"})
        try:
            yield _roles(app)
        finally:
            app.close()


def _roles(app: BreastLabelApp) -> dict[str, set[str]]:
    pacs: Any = SimpleNamespace(settings=None, name="here", on_close=[])
    # Instead of the folder's own DICOMweb, where the studies are a PACS's.
    reached = proxy.router(pacs, OwnObjects(app))
    routers = [*all_routers(app), *web_routers(app), health.router(app, Monitoring(app)), reached]
    found: dict[str, set[str]] = {}
    for router in routers:
        for route in router.routes:
            assert isinstance(route, APIRoute), route
            asked = [depends.dependency for depends in route.dependencies]
            names = {str(check.roles) for check in asked if isinstance(check, RBAC)}
            assert not names or identify in asked, f"{route.path} does not note who calls"
            for method in route.methods:
                found.setdefault(f"{method} {route.path}", set()).update(names)
    return found


def test_without_a_role_only_the_login_is_answered(roles: dict[str, set[str]]) -> None:
    assert {route for route, asked in roles.items() if not asked} == OPEN


def test_who_may_only_look_changes_nothing_that_stays(roles: dict[str, set[str]]) -> None:
    reader = {settings.MONAI_LABEL_AUTH_ROLE_USER}
    assert {
        route for route, asked in roles.items() if asked == reader and route.split()[0] not in SAFE
    } == READERS


def test_what_cannot_be_undone_by_saving_anew_is_the_engineers(roles: dict[str, set[str]]) -> None:
    admin, reviewer = settings.MONAI_LABEL_AUTH_ROLE_ADMIN, settings.MONAI_LABEL_AUTH_ROLE_REVIEWER
    for route in ("DELETE /datastore/image", "DELETE /datastore/label", "POST /train/{model}", "GET /logs/"):
        assert admin in roles[route], route
    for route in ("PUT /datastore/label/state", "PUT /datastore/label/restore"):
        assert reviewer in roles[route], route
    assert settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR in roles["POST /dicom-web/{path:path}"]
