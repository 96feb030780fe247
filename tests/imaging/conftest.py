"""Small asymmetric pictures, so that a flip, a turn or a shift cannot go unseen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

ROWS, COLS = 5, 7


@pytest.fixture
def grey() -> npt.NDArray[np.uint8]:
    return (np.arange(ROWS * COLS).reshape(ROWS, COLS) * 7).astype(np.uint8)


@pytest.fixture
def mask() -> npt.NDArray[np.uint8]:
    """An L: no flip or turn maps it onto itself."""
    labels = np.zeros((ROWS, COLS), np.uint8)
    labels[1:4, 2] = 1
    labels[3, 3:6] = 2
    return labels
