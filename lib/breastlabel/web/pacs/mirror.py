"""Keeps a studies folder in step with a PACS: what is new there is fetched, in a thread of its own."""

from __future__ import annotations

import errno
import logging
import threading
import time
from dataclasses import dataclass, field

from breastlabel.errors import BreastLabelError
from breastlabel.jobs.lock import try_lock
from breastlabel.web.pacs.client import PacsClient
from breastlabel.web.pacs.errors import PacsError
from breastlabel.web.pacs.intake import Intake, Taken
from breastlabel.web.pacs.known import Known
from breastlabel.web.pacs.settings import PacsSettings
from breastlabel.web.pacs.survey import Stopped, Survey

__all__ = ["Mirror", "MirrorProgress"]

_log = logging.getLogger(__name__)

#: Whatever is wrong, the PACS is asked again after so many seconds.
_LONGEST_PAUSE = 600.0
#: Of the time, listing all studies may take no more than one part in so many.
_SHARE = 20.0
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class MirrorProgress:
    """How it goes, for those who watch the server.

    Attributes:
        taken: what came since the start.
        polls: looks at the PACS that came to their end.
        failed_polls: those that did not.
        studies: listed in the newest look.
        waiting: studies of it that are still to be looked through.
        last_success: when a look came to its end, in seconds since 1970; None before the first.
        trouble: why nothing is fetched at present, in one line; None where all is well.
        disk_full: whether that is for want of space.
        watching: whether this process fetches; where several servers share a folder, one does.
    """

    taken: Taken = field(default_factory=Taken)
    polls: int = 0
    failed_polls: int = 0
    studies: int = 0
    waiting: int = 0
    last_success: float | None = None
    trouble: str | None = None
    disk_full: bool = False
    watching: bool = False


class Mirror:
    """Looks for new studies every few seconds, and for all in a rhythm that their number allows.

    Attributes:
        progress: how it goes.
    """

    def __init__(self, settings: PacsSettings, client: PacsClient, known: Known, intake: Intake) -> None:
        self._settings = settings
        self._known = known
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._next_full = 0.0
        self.progress = MirrorProgress(taken=intake.taken)
        self._survey = Survey(settings, client, known, intake, stopping=self._stopping, progress=self._listed)
        self._lock_file = known.file.with_suffix(".lock")

    def start(self) -> None:
        """Begin; returns at once."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._work, name="pacs-mirror", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the object that is under way."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._thread = None

    def wake(self) -> None:
        """Look now: something was stored."""
        self._next_full = 0.0
        self._wake.set()

    def poll(self) -> None:
        """One look.

        Raises:
            PacsError: the PACS is away, or lets nobody in.
            OSError: the disk is full.
            Stopped: the mirror is being stopped.
        """
        full = time.monotonic() >= self._next_full
        if full:
            # Before the look: what wakes it meanwhile must not be forgotten.
            self._next_full = float("inf")
        try:
            took = self._survey.look(everything=full)
        except BaseException:
            self._next_full = 0.0
            raise
        if full and self._next_full:
            self._next_full = time.monotonic() + max(0.0, _SHARE * took - self._settings.interval)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                with try_lock(self._lock_file) as alone:
                    self.progress.watching = alone
                    if alone:
                        self._keep_polling()
            except OSError as error:
                self._say(f"the lock of the PACS mirror cannot be used ({type(error).__name__})", full=False)
            # Another server fetches into this folder, and may end.
            self._stopping.wait(self._settings.interval)
        self.progress.watching = False

    def _keep_polling(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._wake.clear()
            pause = self._settings.interval
            if self._try_poll():
                failures = 0
            else:
                failures += 1
                pause = min(pause * 2 ** min(failures, 16), max(_LONGEST_PAUSE, pause))
            self._wake.wait(pause)

    def _try_poll(self) -> bool:
        try:
            self.poll()
        except Stopped:
            return True
        except PacsError as error:
            return self._say(str(error), full=False)
        except OSError as error:
            if error.errno in _FULL_DISK:
                return self._say("the disk is full; free some space: fetching goes on by itself", full=True)
            return self._say(f"the studies folder cannot be written ({type(error).__name__})", full=False)
        except BreastLabelError as error:
            return self._say(str(error), full=False)
        except Exception as error:
            # A fault of ours must not end the mirror for good. Not its text: it may quote a header.
            return self._say(f"an unexpected fault ({type(error).__name__})", full=False)
        if self.progress.trouble is not None:
            _log.warning("The PACS is read again")
        self.progress.trouble, self.progress.disk_full = None, False
        self.progress.polls += 1
        self.progress.last_success = time.time()
        return True

    def _say(self, trouble: str, *, full: bool) -> bool:
        """Once for each trouble, however long it lasts."""
        if trouble != self.progress.trouble:
            _log.warning("Nothing is fetched from the PACS: %s. What is here already is served", trouble)
        self.progress.trouble, self.progress.disk_full = trouble, full
        self.progress.failed_polls += 1
        return False

    def _listed(self, studies: int, waiting: int) -> None:
        self.progress.studies, self.progress.waiting = studies, waiting
