"""What a predictor is made from: a checkpoint, loaded or in its folder, and the right to run its network."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from torch import nn

__all__ = ["CheckpointLike", "load", "lock_of"]

_LOCKS: WeakKeyDictionary[nn.Module, threading.Lock] = WeakKeyDictionary()
_LOCKS_GUARD = threading.Lock()


class CheckpointLike(Protocol):
    """What a predictor needs of a checkpoint; `breastlabel.training.Checkpoint` has it."""

    @property
    def network(self) -> nn.Module:
        """In evaluation mode."""
        ...

    @property
    def preparation(self) -> Any:
        """Pixels (rows, cols) -> Prepared."""
        ...

    @property
    def spec(self) -> Mapping[str, Any]:
        """``calibration``, ``thresholds``, ``operating_point`` and ``inference`` are read here."""
        ...

    @property
    def version(self) -> str:
        """Named in every answer."""
        ...


def load(checkpoint: Path | str | CheckpointLike) -> CheckpointLike:
    """The checkpoint of a folder; one that is loaded already is handed on.

    Raises:
        CheckpointError: the folder is no usable checkpoint.
    """
    if not isinstance(checkpoint, (str, Path)):
        return checkpoint
    # Training uses this package's calibration, so it is imported only where it is needed.
    from breastlabel.training.checkpoint import load_checkpoint

    return load_checkpoint(Path(checkpoint))


def lock_of(network: nn.Module) -> threading.Lock:
    """The one lock of a network, whichever predictor asks: its dropout is switched on and off."""
    with _LOCKS_GUARD:
        return _LOCKS.setdefault(network, threading.Lock())
