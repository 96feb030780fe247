"""Where the first reading is blinded, the reading page shows nobody what the AI says before they said it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breastlabel.catalog.label_version import FINAL
from breastlabel.label.caller import caller
from breastlabel.label.errors import ConflictError
from breastlabel.web.cases.blinding import is_blinded

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["require_own_reading"]


def require_own_reading(app: BreastLabelApp, image_id: str, client_id: str) -> None:
    """Pass where the reading is not blinded, or the reader has a final reading of the image.

    Args:
        client_id: by which a reader is known where nobody logs in.

    Raises:
        ConflictError: they have none yet.
    """
    if not is_blinded(app):
        return
    user, client = caller().user, caller().client_id({"client_id": client_id})
    for version in app.catalog.labels.history(image_id):
        own = version.author == user if user is not None else version.client_id == client
        if own and version.tag == FINAL:
            return
    raise ConflictError(
        "a reading of your own is required first (blinded first reading); there is none of this image; read "
        "it in the viewer"
    )
