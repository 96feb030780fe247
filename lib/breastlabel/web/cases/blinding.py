"""A blinded first reading: readers say what they see before they are told what the AI does."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from breastlabel.catalog.first_readings import note_revealed, read_by, revealed_to
from breastlabel.label.caller import caller
from breastlabel.label.errors import ConflictError
from breastlabel.label.options import Options

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["BLINDED_VARIABLE", "Blinding", "is_blinded"]

#: Set to 1 for a blinded first reading; ``--conf blinded true|false`` counts more.
BLINDED_VARIABLE = "BREASTLABEL_BLINDED"


def is_blinded(app: BreastLabelApp) -> bool:
    """Whether readers see the AI's results only after their own.

    Raises:
        BadRequestError: the setting is neither true nor false.
    """
    set_to = app.conf.get("blinded") or os.environ.get(BLINDED_VARIABLE)
    return bool(Options({"blinded": set_to}).flag("blinded", False))


class Blinding:
    """Who may see the AI's opinion on which image.

    A reader is the login's user; without a login, the client id that the request names.

    Args:
        app: whose setting and catalog count.
    """

    def __init__(self, app: BreastLabelApp) -> None:
        self._app = app

    @property
    def is_on(self) -> bool:
        """Whether anything is withheld at all."""
        return is_blinded(self._app)

    def withheld(self, image_ids: Collection[str], client_id: str | None) -> set[str]:
        """Those of the images on which the reader has no reading of their own and asked for no opinion."""
        if not self.is_on:
            return set()
        who = self._reader(client_id)
        with self._app.catalog.database.read() as connection:
            known = read_by(connection, image_ids, **who) | revealed_to(connection, image_ids, **who)
        return set(image_ids) - known

    def reveal(self, image_ids: Collection[str], client_id: str | None) -> None:
        """Show the reader the AI's opinion from now on; the audit notes it."""
        hidden = self.withheld(image_ids, client_id)
        if hidden:
            note_revealed(self._app.catalog.database, hidden, **self._reader(client_id))

    def refuse(self, image_id: str, client_id: str | None) -> None:
        """Do not go on where the reader may not see the AI's opinion on an image yet.

        Raises:
            ConflictError: it is withheld.
        """
        if self.withheld([image_id], client_id):
            raise ConflictError(
                "a reading of one's own is required before the AI's opinion is shown; there is none of this "
                "client; save one, or ask for it to be revealed"
            )

    def _reader(self, client_id: str | None) -> dict[str, str | None]:
        said = {"client_id": client_id}
        return {"client_id": caller().client_id(said), "author": caller().user}
