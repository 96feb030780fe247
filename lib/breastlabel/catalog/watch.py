"""Takes files that come and go while a server runs into the catalog, without listing the folder."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from breastlabel.catalog.folder import sync_folder, take_in
from breastlabel.catalog.label_folder import LABELS_ROOT
from breastlabel.catalog.orphans import remove_orphans
from breastlabel.catalog.reconcile import reconcile
from breastlabel.errors import StudiesError

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["FolderWatcher"]

_log = logging.getLogger(__name__)

#: More names at once than this are found faster by listing the folder. A burst is also when the system's
#: queue of events can run over.
_MANY = 500
#: A file that never comes to rest is looked at after so many seconds all the same.
_PATIENCE = 30.0
#: Kinds of file system on which what other machines write raises no event here.
_REMOTE = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "glusterfs", "beegfs", "fuse.")
_CHANGES = ("created", "modified", "closed", "moved", "deleted")
#: Stands among the names of changed files for the whole folder.
_EVERYTHING = ""


class FolderWatcher:
    """Keeps a catalog in step with its folder while a server runs.

    At first, and in a thread of its own, it compares all labels with the catalog (`reconcile`). From then on
    the system's events name what changed. Where events do not arrive (network folders, or a system that
    grants no more watches) the folder's time stamps are looked at every few seconds instead.

    Args:
        catalog: one with a studies folder; it stays open as long as the watcher runs.
        quiet: seconds without another event after which a file counts as written.
        poll_every: seconds between two looks, where it has come to that.
        on_look: called after each comparison with the names of the files that changed; None for any.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        quiet: float = 0.5,
        poll_every: float = 5.0,
        on_look: Callable[[Collection[str] | None], object] = lambda names: None,
    ) -> None:
        if catalog.studies is None:
            raise StudiesError("a studies folder is required to be watched; got none; give `studies`")
        self._catalog = catalog
        self._studies: Path = catalog.studies
        self._quiet, self._poll_every = quiet, poll_every
        self._on_look = on_look
        self._changed = _Changed()
        self._observer: Any = None
        self._thread: threading.Thread | None = None
        self._compared = threading.Event()

    @property
    def compared(self) -> bool:
        """Whether the first comparison of folder and catalog is done."""
        return self._compared.is_set()

    @property
    def polls(self) -> bool:
        """Whether time stamps are looked at because events do not arrive."""
        return self._thread is not None and self._observer is None

    def start(self) -> None:
        """Begin to watch; returns at once."""
        if self._thread is not None:
            return
        self._changed = _Changed()
        self._compared.clear()
        self._observer = self._observe()
        self._thread = threading.Thread(target=self._work, name="folder-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what was noticed before is still taken in."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        if self._thread is not None:
            self._changed.close()
            self._thread.join()
        self._observer = self._thread = None

    def _observe(self) -> Any:
        """A running observer, or None where it has to be polling."""
        kind = _file_system(self._studies)
        why = f"it lies on a file system ({kind}) that does not announce what other machines write"
        if not kind.startswith(_REMOTE):
            try:
                return _started_observer(self._studies, self._note)
            except ImportError:
                why = "the package watchdog is not installed"
            except OSError as error:
                # The error's text names the folder; its number does not.
                reason = os.strerror(error.errno or 0)
                why = f"the system grants no watch on it ({reason}; see fs.inotify.max_user_watches)"
        _log.warning("The studies folder is looked at every %g s, because %s", self._poll_every, why)
        return None

    def _note(self, path: str | bytes, *, is_folder: bool) -> None:
        relative = PurePath(os.fsdecode(path)).relative_to(self._studies)
        parts = relative.parts
        if not parts or any(part.startswith(".") for part in parts):
            return
        in_labels = parts[0] == LABELS_ROOT
        if is_folder and in_labels:
            # Of what lies in a folder that was moved here as a whole no event tells.
            self._changed.add(_EVERYTHING)
        elif not is_folder and len(parts) == (3 if in_labels else 1):
            self._changed.add(relative.as_posix())

    def _work(self) -> None:
        # Between opening the catalog and the first watch something may have come or gone.
        self._guard(lambda: sync_folder(self._studies, catalog=self._catalog))
        self._guard(lambda: reconcile(self._catalog, full=True))
        self._guard(lambda: remove_orphans(self._catalog))
        self._compared.set()
        self._guard(lambda: self._on_look(None))
        if self._observer is None:
            while not self._changed.closed_within(self._poll_every):
                self._guard(lambda: sync_folder(self._studies, catalog=self._catalog))
                self._guard(lambda: self._on_look(None))
            return
        while names := self._changed.wait(self._quiet):
            if _EVERYTHING in names:
                self._guard(lambda: sync_folder(self._studies, catalog=self._catalog, always=True))
                self._guard(lambda: self._on_look(None))
            else:
                self._guard(lambda names=names: take_in(self._catalog, names))  # type: ignore[misc]
                self._guard(lambda names=names: self._on_look(names))  # type: ignore[misc]

    def _guard(self, act: Callable[[], object]) -> None:
        """A full disk or a database that is away must not end the watch."""
        try:
            act()
        except Exception as error:
            # Not the message: it may name a file, and a file may be named after a patient.
            _log.warning(
                "The studies folder could not be compared with its catalog: %s", type(error).__name__
            )


class _Changed:
    """Names of files that changed, held back until no more events come for them."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._closed = False

    def add(self, name: str) -> None:
        with self._condition:
            now = time.monotonic()
            if len(self._last) >= _MANY:
                self._first.clear()
                self._last.clear()
                name = _EVERYTHING
            self._first.setdefault(name, now)
            self._last[name] = now
            self._condition.notify()

    def close(self) -> None:
        """Hold nothing back any more."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def closed_within(self, seconds: float) -> bool:
        with self._condition:
            return self._condition.wait_for(lambda: self._closed, seconds)

    def wait(self, quiet: float) -> list[str]:
        """Names for which no event came for ``quiet`` seconds; none only when closed."""
        with self._condition:
            while True:
                now = time.monotonic()
                due = {n: min(last + quiet, self._first[n] + _PATIENCE) for n, last in self._last.items()}
                ready = [n for n, when in due.items() if when <= now or self._closed]
                if ready or self._closed:
                    for name in ready:
                        del self._first[name], self._last[name]
                    return ready
                self._condition.wait(min(due.values()) - now if due else None)


def _started_observer(studies: Path, note: Callable[..., None]) -> Any:
    """A running watchdog observer of the folder and of its labels.

    Raises:
        OSError: the system grants no more watches.
        ImportError: watchdog is not installed.
    """
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type not in _CHANGES:
                return
            for path in (event.src_path, event.dest_path):
                # A folder is "modified" whenever a file in it comes or goes; that file's event tells of it.
                if path and not (event.is_directory and event.event_type == "modified"):
                    note(path, is_folder=event.is_directory)

    labels = studies / LABELS_ROOT
    labels.mkdir(exist_ok=True)
    observer = Observer()
    try:
        observer.schedule(Handler(), str(studies), recursive=False)
        observer.schedule(Handler(), str(labels), recursive=True)
        observer.start()
    except BaseException:
        observer.unschedule_all()
        raise
    return observer


def _file_system(path: Path) -> str:
    """The kind of file system that a path lies on, for example ``ext4``; empty where it cannot be told."""
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        return ""
    real = path.resolve()
    mounts: dict[str, str] = {p.mountpoint: p.fstype for p in psutil.disk_partitions(all=True)}
    return next((mounts[str(p)].lower() for p in (real, *real.parents) if str(p) in mounts), "")
