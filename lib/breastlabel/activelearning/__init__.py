"""Which images to label next: acquisition functions and selection on arrays, without server or catalog."""

from breastlabel.activelearning.acquisition import Acquisition, Need, Round
from breastlabel.activelearning.pool import PoolError, PoolOutputs
from breastlabel.activelearning.registry import ACQUISITIONS, DEFAULT_STRATEGY, create_acquisition, select

__all__ = [
    "ACQUISITIONS",
    "DEFAULT_STRATEGY",
    "Acquisition",
    "Need",
    "PoolError",
    "PoolOutputs",
    "Round",
    "create_acquisition",
    "select",
]
