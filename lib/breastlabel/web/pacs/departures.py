"""Follows what is deleted in a PACS, and never on one word of it alone.

An object counts as deleted when a list of its study misses it and the PACS, asked for that very object,
says that there is none (404 or 410), and says so again a minute later. An answer that fails, comes late or is
empty takes nothing away, and neither does another filter: a study that is not listed is itself asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from breastlabel.web.pacs.client import PacsClient, Place
from breastlabel.web.pacs.intake import Intake
from breastlabel.web.pacs.known import Known

__all__ = ["Departures"]

_NOT_LISTED = "the PACS lists and gives it no more; it is asked once again"


class Departures:
    """What was fetched and is not there any more; it is fetched anew if it comes back."""

    def __init__(self, client: PacsClient, known: Known, intake: Intake) -> None:
        self._client, self._known, self._intake = client, known, intake

    def missed(self, places: Iterable[Place]) -> None:
        """Ask for objects that were fetched once and that a list now misses; what is denied is due again."""
        for place in places:
            state = self._known.state(place.instance)
            if state is not None and not self._client.has(place):
                self._known.note_failure(place, _NOT_LISTED, at=time.time(), state=state)

    def settle(self, place: Place) -> None:
        """Ask for an object a second time; one that is denied again leaves the folder."""
        if not self._client.has(place):
            self._intake.remove(place)
        elif state := self._known.state(place.instance):
            self._known.note(place, state)
