"""Drawn parameters of a batch: tensors whose first axis is the item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Self

import torch
from torch import Tensor

__all__ = ["BatchParameters"]


class BatchParameters:
    """Base of frozen dataclasses whose tensors have the batch as first axis. None: not drawn at all."""

    def __getitem__(self, items: slice) -> Self:
        """The parameters of some of the items."""
        return self._map(lambda tensor: tensor[items])

    def to(self, device: torch.device) -> Self:
        """The same parameters on `device`."""
        return self._map(lambda tensor: tensor.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        changed = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **changed)  # type: ignore[type-var]
