"""Gradient checkpointing: memory for time, and nothing else changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

__all__ = ["run_checkpointed"]


def run_checkpointed(module: nn.Module, *inputs: Any) -> Any:
    """``module(*inputs)``, whose inner activations are computed again for the gradient (Chen et al. 2016).

    Batch statistics are counted once, not twice. Without gradients it is a plain call.
    """
    if not (module.training and torch.is_grad_enabled()):
        return module(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _without_statistics(module)

    return checkpoint(module, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _without_statistics(module: nn.Module) -> Iterator[None]:
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
