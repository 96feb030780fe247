"""A blinded first reading: readers say what they see before they are told what the AI does."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from breastlabel.catalog.first_readings import note_revealed, read_by, revealed_to
from breastlabel.label.caller import caller
from breastlabel.label.errors import BadRequestError, ConflictError
from breastlabel.label.options import Options

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["BLINDED_VARIABLE", "Blinding", "is_blinded"]

#: Set to 1 for a blinded first reading; ``--conf blinded true|false`` counts more.
BLINDED_VARIABLE = "BREASTLABEL_BLINDED"
#: Images that one query asks about.
_CHUNK = 500


def is_blinded(app: BreastLabelApp) -> bool:
    """Whether readers see the AI's results only after their own.

    Raises:
        BadRequestError: the setting is neither true nor false.
    """
    set_to = app.conf.get("blinded") or os.environ.get(BLINDED_VARIABLE)
    return bool(Options({"blinded": set_to}).flag("blinded", False))


class Blinding:
    """Who may see the AI's opinion on which image.

    A reader is the login's user; without a login, the client id that the request, or the browser's cookie,
    names. Who names none cannot be told from anybody else, and is shown nothing.

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
        """Those of the images on which the reader has no reading of their own and asked for no opinion.

        Args:
            client_id: as the request says it; None where it says nothing.
        """
        if not self.is_on:
            return set()
        who, asked = _reader(client_id), list(image_ids)
        known: set[str] = set()
        with self._app.catalog.database.read() as connection:
            for start in range(0, len(asked), _CHUNK):
                some = asked[start : start + _CHUNK]
                known |= read_by(connection, some, **who) | revealed_to(connection, some, **who)
        return set(asked) - known

    def reveal(self, image_ids: Collection[str], client_id: str | None) -> None:
        """Show the reader the AI's opinion from now on; the audit notes it.

        Raises:
            BadRequestError: nobody is logged in, and the request names no client.
        """
        hidden = self.withheld(image_ids, client_id)
        if not hidden:
            return
        if not any(_reader(client_id).values()):
            raise BadRequestError("a client_id is required where nobody is logged in; got none; name one")
        who = caller()
        note_revealed(
            self._app.catalog.database,
            hidden,
            client_id=who.client_id({"client_id": client_id}),
            author=who.user,
        )

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


def _reader(client_id: str | None) -> dict[str, str | None]:
    """By what a reader is known. Of somebody who is logged in, what the client calls itself says nothing."""
    who = caller()
    if who.user is not None:
        return {"author": who.user, "client_id": None}
    return {"author": None, "client_id": who.named_client({"client_id": client_id})}
