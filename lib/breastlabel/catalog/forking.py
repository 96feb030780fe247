"""What a database does when its process forks, as servers and test runners do."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, Pool

__all__ = ["ForkGate"]

# A thread that forks while it holds what another one waits for must not wait for that one for ever.
_PATIENCE_SECONDS = 5.0
# A connection must not be used, nor even closed, in a process that inherited it: the parent still talks
# through it. So what a child inherits is kept here, untouched, until it ends.
_INHERITED: list[Pool] = []


class ForkGate:
    """Sees to it that a child process inherits no connection that it could disturb, or be disturbed by.

    SQLite notes in the process's memory which locks its connections hold. A child inherits the notes without
    the locks: it would write unprotected, or wait for a lock that nobody will release there. So a fork waits
    for the transactions of other threads and closes their connections, which are opened again when needed.
    A thread must not fork within a transaction of its own.

    See "How To Corrupt An SQLite Database File", section 2.6, https://www.sqlite.org/howtocorrupt.html.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closes = engine.dialect.name == "sqlite"
        self._own = threading.local()
        self._reset()
        _GATES.add(self)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """While the block runs, no other thread forks."""
        depth = getattr(self._own, "depth", 0)
        with self._changed:
            if not depth:
                self._changed.wait_for(lambda: not self._forking, timeout=_PATIENCE_SECONDS)
            self._active += 1
        self._own.depth = depth + 1
        try:
            yield
        finally:
            self._own.depth = depth
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def before(self) -> None:
        own = getattr(self._own, "depth", 0)
        with self._changed:
            self._forking = True
            if self._closes:
                self._changed.wait_for(lambda: self._active <= own, timeout=_PATIENCE_SECONDS)
        if self._closes:
            self._engine.dispose()

    def after_in_parent(self) -> None:
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def after_in_child(self) -> None:
        _INHERITED.append(self._engine.pool)
        self._engine.dispose(close=False)
        # The locks of threads that do not exist here.
        self._reset()
        self._active = getattr(self._own, "depth", 0)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._active = 0
        self._forking = False


_GATES: weakref.WeakSet[ForkGate] = weakref.WeakSet()


def _before() -> None:
    for gate in list(_GATES):
        gate.before()


def _after_in_parent() -> None:
    for gate in list(_GATES):
        gate.after_in_parent()


def _after_in_child() -> None:
    for gate in list(_GATES):
        gate.after_in_child()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
