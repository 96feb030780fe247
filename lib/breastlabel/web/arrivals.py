"""AI on arrival: images are read before anybody opens them, so that no reader waits.

What is read, one image at a time and only while nobody else asks the models for anything:

1. the cases that readers have in front of them,
2. images that came into the folder after the server's first start on it, the newest first,
3. the cases at the top of the worklist.

So a folder of 50,000 images that was there before is not read through: of it the next few cases are,
always. What was read is known from the proposals, and what could not be from a note at the image; so a server
that was ended goes on where it was, and a champion reads no image twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breastlabel.activelearning import DEFAULT_STRATEGY
from breastlabel.catalog.case_order import CaseList, case_page
from breastlabel.catalog.cases import leased_cases, load_cases
from breastlabel.catalog.unread import Serving, UnreadImage, unread_images
from breastlabel.errors import InvalidImageError, InvalidLabelError, NotFoundError
from breastlabel.imaging import Modality
from breastlabel.imaging.stamps import stamp_of
from breastlabel.label.blinding import is_blinded
from breastlabel.label.errors import BadRequestError
from breastlabel.label.systems import MODELS
from breastlabel.web.reading import read_image_by_ai

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["FAILED", "Arrivals"]

logger = logging.getLogger(__name__)

#: In the notes on an image: which version could not read which file, and why.
FAILED = "ai_failed"
_SINCE = "arrivals_since"
#: Cases at the top of the worklist that are kept read.
_AHEAD = 8
#: Before anything is looked at, so that the start of the server is over.
_FIRST = 5.0
#: An exam's images come one by one, and are to be judged together; but not for ever.
_QUIET, _PATIENCE = 3.0, 30.0
#: After what may pass by itself: a full disk, a database or a PACS that is away.
_AGAIN, _PUT_OFF = 30.0, 600.0
#: Looking through all images takes no more than this share of the time.
_SHARE = 0.02
#: What will not be otherwise the next time, unless the file or the champion changes.
_LASTING = (InvalidImageError, InvalidLabelError, BadRequestError, NotFoundError)


class Arrivals:
    """Reads what has come, in a thread of its own.

    Attributes:
        read: images read since the server started.
        failed: images that could not be.
        waiting: images that came and are still to be read, as last counted.

    Args:
        app: whose folder, champions and gate these are.
        every: seconds between two looks, where there is nothing to do.
        first: seconds until the first look.
        quiet: seconds without a further image after which an exam counts as complete.
    """

    def __init__(
        self, app: BreastLabelApp, *, every: float = 2.0, first: float = _FIRST, quiet: float = _QUIET
    ) -> None:
        self._app = app
        self._every, self._first, self._quiet = every, first, quiet
        self.read = self.failed = self.waiting = 0
        self._over = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._since: float | None = None
        self._stamp: Any = None
        self._next_look = 0.0
        self._older: set[str] = set()
        self._new: dict[str, float] = {}
        self._settles = (0.0, 0.0)
        self._put_off: dict[str, float] = {}
        self._idle: Any = None

    @property
    def alive(self) -> bool:
        """Whether the thread works."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin; returns at once."""
        self._app.archive.on_stored.append(lambda _: self.wake())
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look soon: something has come."""
        self._wake.set()

    def close(self, seconds: float = 20.0) -> None:
        """End after the image that is being read."""
        self._over.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def look(self) -> bool:
        """Read one image, if one is to be read and nobody else wants the models.

        Returns:
            Whether something was done, so that the next look is worth while at once.
        """
        serving = self._serving()
        self._discover(serving)
        if not serving or self._app.gate.present:
            return False
        state = self._state()
        if state == self._idle:
            return False
        for image in self._candidates(serving):
            if self._over.is_set() or self._app.gate.present:
                return False
            if self._put_off.get(image.image_id, 0.0) > time.monotonic():
                continue
            failed = self._is_failed(image, serving)
            if not failed:
                self._read(image, serving)
            self._new.pop(image.image_id, None)
            if not failed:
                return True
        if time.monotonic() >= self._settles[0]:
            self._idle = state
        return False

    def _state(self) -> Any:
        """Whatever could give something to do; now and then another, for an order may change unseen."""
        leases = frozenset(lease.image_id for lease in self._app.catalog.leases.live())
        return self._stamp, tuple(self._new), leases, time.monotonic() // _AGAIN

    def _run(self) -> None:
        self._over.wait(self._first)
        while not self._over.is_set():
            try:
                busy = self.look()
            except Exception as error:
                # Not the message: it may name a file, and a file may be named after a patient.
                logger.warning("what has come could not be read by the AI now: %s", type(error).__name__)
                self._over.wait(_AGAIN)
                continue
            if not busy:
                self._wake.wait(self._every)
                self._wake.clear()

    def _serving(self) -> dict[Modality, Serving]:
        found: dict[Modality, Serving] = {}
        for model in self._app.trainers():
            version = self._app.predictors.version(model) if MODELS[model].outlines else None
            if version is not None:
                found.setdefault(MODELS[model].modality, Serving(model, version))
        return found

    def _discover(self, serving: Mapping[Modality, Serving]) -> None:
        """Learn what came; looks through all images only where something about them changed."""
        counts = self._app.catalog.counts()
        stamp = (counts.total, counts.missing, counts.waiting, tuple(serving.items()))
        if stamp == self._stamp or time.monotonic() < self._next_look:
            return
        began = time.monotonic()
        since = self._first_start()
        with self._app.catalog.database.read() as connection:
            unread = unread_images(connection, serving)
        new = {}
        for image in unread:
            if image.image_id in self._older:
                continue
            came = self._new.get(image.image_id) or self._came(image)
            if came is None or came < since:
                self._older.add(image.image_id)
            else:
                new[image.image_id] = came
        now = time.monotonic()
        if new.keys() - self._new.keys():
            begun = self._settles[1] if now < self._settles[0] else now
            self._settles = (min(now + self._quiet, begun + _PATIENCE), begun)
        self._new, self.waiting, self._stamp = new, len(new), stamp
        self._next_look = now + (now - began) / _SHARE

    def _first_start(self) -> float:
        """When a server with this was first started on the folder, in seconds since 1970."""
        if self._since is None:
            known = self._app.catalog.state(_SINCE)
            if known is None:
                known = datetime.now(UTC).isoformat()
                self._app.catalog.set_state(_SINCE, known)
            self._since = datetime.fromisoformat(known).timestamp()
        return self._since

    def _came(self, image: UnreadImage) -> float | None:
        """When the file came into the folder; a copy may keep the time at which its content was written."""
        try:
            return (Path(self._app.studies) / image.file).stat().st_ctime
        except OSError:
            return None

    def _candidates(self, serving: Mapping[Modality, Serving]) -> Iterator[UnreadImage]:
        """What is to be read, in its order; each is looked up when it is its turn."""
        with self._app.catalog.database.read() as connection:
            keys = list(leased_cases(connection))
        yield from self._of_cases(keys, serving)
        if time.monotonic() >= self._settles[0]:
            for image_id in sorted(self._new, key=lambda i: (-self._new[i], i)):
                unread = self._still_unread([image_id], serving)
                if not unread:
                    # With another view of its breast, or by a reader.
                    self._new.pop(image_id, None)
                yield from unread
            self.waiting = len(self._new)
        strategy = self._app.strategies()[DEFAULT_STRATEGY]
        listed = CaseList(strategy.orders(self._app.catalog))
        with self._app.catalog.database.read() as connection:
            top = [place.key for place in case_page(connection, listed, limit=_AHEAD)]
        yield from self._of_cases(top, serving)

    def _of_cases(self, keys: list[str], serving: Mapping[Modality, Serving]) -> Iterator[UnreadImage]:
        with self._app.catalog.database.read() as connection:
            cases = load_cases(connection, keys)
        # What came a moment ago is not complete yet.
        fresh = self._new.keys() if time.monotonic() < self._settles[0] else ()
        for case in cases.values():
            complete = [i.image_id for i in case.images if i.image_id not in fresh]
            yield from self._still_unread(complete, serving)

    def _still_unread(self, image_ids: list[str], serving: Mapping[Modality, Serving]) -> list[UnreadImage]:
        with self._app.catalog.database.read() as connection:
            return unread_images(connection, serving, of=image_ids)

    def _is_failed(self, image: UnreadImage, serving: Mapping[Modality, Serving]) -> bool:
        noted = self._app.catalog.image_info(image.image_id).get(FAILED)
        return noted is not None and noted == self._failure(image, serving, str(noted.get("reason")))

    def _failure(
        self, image: UnreadImage, serving: Mapping[Modality, Serving], reason: str
    ) -> dict[str, Any]:
        stamp = stamp_of(Path(self._app.studies) / image.file)
        version = serving[self._app.catalog.image(image.image_id).modality].version
        return {"version": version, "file": None if stamp is None else list(stamp), "reason": reason}

    def _read(self, image: UnreadImage, serving: Mapping[Modality, Serving]) -> None:
        try:
            read_image_by_ai(self._app, image.image_id, store=not is_blinded(self._app))
            self.read += 1
        except _LASTING as error:
            self._note_failure(image, serving, error)
        except Exception:
            # It may pass, and must not keep the other images waiting until it does.
            self._put_off[image.image_id] = time.monotonic() + _PUT_OFF
            raise

    def _note_failure(
        self, image: UnreadImage, serving: Mapping[Modality, Serving], error: Exception
    ) -> None:
        self.failed += 1
        logger.info("an image could not be read by the AI: %s", type(error).__name__)
        noted = self._failure(image, serving, type(error).__name__)
        self._app.catalog.update_image_info(image.image_id, {FAILED: noted})
