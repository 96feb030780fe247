"""Long-range context along the rows and columns of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from breastlabel.errors import UnknownNameError

__all__ = ["SweepRecurrence"]

_CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class SweepRecurrence(nn.Module):
    """Bidirectional sweeps over every row, then over every column of what they found.

    After both, each position has seen the whole map (ReNet, Visin et al. 2015; P1, "row-wise /
    column-wise continuity modeling with LSTM"). The result is projected and added to the input, so
    that the map keeps its shape and the sweep can be left out.
    """

    def __init__(self, channels: int, *, cell: str = "lstm", hidden: int = 64) -> None:
        """Sweep maps of ``channels`` with ``hidden`` units a direction; ``cell`` is "lstm" or "gru"."""
        super().__init__()
        if cell not in _CELLS:
            raise UnknownNameError("recurrence", cell, _CELLS)
        self.rows = _CELLS[cell](channels, hidden, batch_first=True, bidirectional=True)
        self.columns = _CELLS[cell](2 * hidden, hidden, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        batch, channels, height, width = x.shape
        # Full precision: errors of a sweep add up along it, and the map is small.
        with torch.autocast(x.device.type, enabled=False):
            lines = x.float().permute(0, 2, 3, 1).reshape(batch * height, width, channels)
            swept = self.rows(lines)[0].reshape(batch, height, width, -1)
            lines = swept.transpose(1, 2).reshape(batch * width, height, -1)
            swept = self.columns(lines)[0].reshape(batch, width, height, -1)
            context = self.project(swept).permute(0, 3, 2, 1)
        out: Tensor = x + context.to(x.dtype)
        return out
