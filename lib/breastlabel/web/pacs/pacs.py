"""A PACS as the app knows it: everything that speaks with it, put together."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import secrets
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from breastlabel.catalog.studies_id import remember_once
from breastlabel.errors import StudiesError
from breastlabel.imaging.dicom_values import is_uid
from breastlabel.web.pacs.archive import PacsArchive
from breastlabel.web.pacs.client import PacsClient, Place
from breastlabel.web.pacs.known import Known
from breastlabel.web.pacs.mirror import Mirror
from breastlabel.web.pacs.multipart import parts_of
from breastlabel.web.pacs.settings import PacsSettings
from breastlabel.web.pacs.upstream import tls_context

if TYPE_CHECKING:
    from breastlabel.catalog import Catalog

__all__ = ["NOTES_FILE", "Pacs"]

_log = logging.getLogger(__name__)

# ReferencedSOPSequence, and ReferencedSOPInstanceUID in it.
_ACCEPTED, _INSTANCE = "00081199", "00081155"
#: pydicom inflates such a file at once, however much it holds; the mirror looks at it with care.
_DEFLATED = b"1.2.840.10008.1.2.1.99"
#: In the studies folder's ``.breastlabel``.
NOTES_FILE = "pacs.sqlite3"


class Pacs:
    """A PACS and the folder that mirrors it. Nothing is asked of it before `start`.

    Attributes:
        settings: where it is.
        name: of this server towards it, new at each start.
        archive: stores and reads single objects.
        mirror: fetches what is new; its ``progress`` says how that goes.
        on_close: called when the server ends.
    """

    def __init__(self, settings: PacsSettings, catalog: Catalog) -> None:
        """Open what is known of the PACS.

        Raises:
            StudiesError: the folder mirrors another PACS, or cannot be used, or a certificate cannot.
        """
        assert catalog.studies is not None
        if remember_once(catalog.database, "pacs", settings.key) != settings.key:
            raise StudiesError(
                "a folder of its own is required for each PACS; this one mirrors another; "
                "set BREASTLABEL_HOME to another folder, or unset it"
            )
        tls_context(settings)
        self.settings = settings
        self.name = secrets.token_hex(8)
        self._known = Known(
            catalog.studies / ".breastlabel" / NOTES_FILE, wanted=",".join(sorted(settings.modalities))
        )
        client = PacsClient(settings, name=self.name)
        self.archive = PacsArchive(catalog, client, self._known, settings)
        self.mirror = Mirror(settings, client, self._known, self.archive.intake)
        self.on_close: list[Callable[[], None]] = []

    def take_stored(self, message: IO[bytes], boundary: str, answer: bytes) -> None:
        """Take in what a viewer has just stored in the PACS; what cannot be is left to the mirror.

        Args:
            message: the body of the viewer's request, in a file.
            answer: what the PACS said of it, in the DICOM JSON model.
        """
        accepted = _accepted(answer)
        try:
            for data in parts_of(message, boundary):
                place = _place(data)
                if place is not None and place.instance in accepted and len(data) <= self.settings.most_bytes:
                    accepted.discard(place.instance)
                    self.archive.intake.take(place, data, origin="stow")
        except Exception as error:
            # The PACS has it, which is what the viewer is told.
            _log.warning("What was stored in the PACS is taken in later: %s", type(error).__name__)
            accepted.add("")
        if accepted:
            self.mirror.wake()

    def start(self) -> None:
        """Begin to fetch what is new."""
        if self.settings.sends_secrets_openly:
            _log.warning(
                "Whoever listens on the network learns how to get into the PACS: "
                "its address begins with http; use https"
            )
        self.mirror.start()

    def close(self) -> None:
        """End."""
        self.mirror.stop()
        for close in self.on_close:
            with contextlib.suppress(Exception):
                close()
        self._known.close()


def _accepted(answer: bytes) -> set[str]:
    """UIDs of the instances that the PACS says it keeps."""
    try:
        items = json.loads(answer)[_ACCEPTED].get("Value") or []
        return {item[_INSTANCE]["Value"][0] for item in items}
    except (ValueError, LookupError, TypeError, AttributeError):
        # It may have said so in XML, or not at all.
        return {""}


def _place(data: bytes) -> Place | None:
    """Where an object belongs, by its own header; None where that cannot be read."""
    from pydicom import dcmread

    try:
        tags = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
        if _DEFLATED in data[:4096]:
            return None
        header = dcmread(io.BytesIO(data), specific_tags=tags, stop_before_pixels=True)
        place = Place(*(str(header[tag].value) for tag in tags))
    except Exception:
        return None
    return place if all(map(is_uid, place)) else None
