from __future__ import annotations

import numpy as np
import pytest

from breastlabel.label.explain import heat_map_params
from breastlabel.label.infer import plain

HEAT = np.array([[0.0, 0.2, 0.1], [0.4, 1.0, 0.6]], np.float32)


def test_region_and_peak_are_told_beside_the_lesion() -> None:
    mask = np.array([[0, 0, 0], [0, 1, 0]], np.uint8)
    params = heat_map_params(HEAT, mask)
    assert params["peak"] == [1, 1]
    assert params["peak_in_lesion"] is True
    # Two of six pixels have at least half the maximum; one of them lies in the lesion.
    assert params["region_fraction"] == pytest.approx(2 / 6)
    assert params["region_in_lesion"] == pytest.approx(1 / 2)


def test_without_a_lesion_nothing_is_said_of_it() -> None:
    params = heat_map_params(HEAT, np.zeros((2, 3), np.uint8))
    assert params["peak_in_lesion"] is None
    assert params["region_in_lesion"] is None


def test_a_cold_map_has_no_region() -> None:
    params = heat_map_params(np.zeros((2, 3), np.float32), np.ones((2, 3), np.uint8))
    assert params["region_fraction"] == 0
    assert params["peak_in_lesion"] is False


def test_answers_are_plain_json() -> None:
    value = {"a": np.float32(1.5), "b": [np.int64(2), float("nan")], 3: (True, None), "d": np.arange(2)}
    assert plain(value) == {"a": 1.5, "b": [2, None], "3": [True, None], "d": [0, 1]}
