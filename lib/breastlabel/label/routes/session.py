"""``/session``: images that a client uploads for a while, outside the studies folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import FileResponse

from breastlabel.errors import NotFoundError
from breastlabel.imaging import read_image
from breastlabel.label.errors import BadRequestError
from breastlabel.label.routes.roles import USER
from breastlabel.label.routes.uploads import received

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router", "session_image"]

# Sessions lie in folders named by their id.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def session_image(app: BreastLabelApp, session_id: str) -> Path:
    """The file of a session's image.

    Raises:
        NotFoundError: there is no such session, or it expired.
    """
    return Path(_session(app, session_id).image)


def router(app: BreastLabelApp) -> APIRouter:
    """Making, reading and removing sessions."""
    routes = APIRouter(prefix="/session", tags=["Session"], dependencies=USER)

    @routes.get("/{session_id}", summary="A session, or its image")
    def get_session(session_id: str, update_ts: bool = False, image: bool = False) -> Any:
        session = _session(app, session_id, update_ts=update_ts)
        if image:
            return FileResponse(session.image, filename=Path(session.image).name)
        return session.to_json()

    @routes.put("/", summary="Make a session of one image")
    def create_session(files: Annotated[list[UploadFile], File()], expiry: int = 0) -> dict[str, Any]:
        if len(files) != 1:
            raise BadRequestError(f"one image a session is required; got {len(files)}; send a still image")
        app.cleanup_sessions()
        with received(files[0], default_suffix=".nii.gz") as path:
            read_image(path)
            session_id, session = _sessions(app).add_session(str(path), expiry)
        return {"session_id": session_id, "session_info": session.to_json()}

    @routes.delete("/{session_id}", summary="Remove a session")
    def remove_session(session_id: str) -> Any:
        session = _session(app, session_id)
        _sessions(app).remove_session(session_id)
        return session.to_json()

    return routes


def _sessions(app: BreastLabelApp) -> Any:
    sessions = app.sessions()
    if sessions is None:
        raise BadRequestError("sessions are switched off here; set MONAI_LABEL_SESSIONS to use them")
    return sessions


def _session(app: BreastLabelApp, session_id: str, *, update_ts: bool = True) -> Any:
    found = None
    if _ID.fullmatch(session_id):
        found = _sessions(app).get_session(session_id, update_ts=update_ts)
    if not found:
        raise NotFoundError(
            "a session that was made and did not expire is required; make one with PUT /session/"
        )
    return found
