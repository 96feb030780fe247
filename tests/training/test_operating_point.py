from __future__ import annotations

import numpy as np
import pytest

from breastlabel.training.operating_point import operating_point


def test_it_is_the_highest_threshold_that_finds_the_wanted_share() -> None:
    malignant = np.array([True] * 10 + [False] * 4)
    scores = np.array([0.05, *np.arange(0.2, 1.1, 0.1), 0.1, 0.14, 0.3, 0.5])
    point = operating_point(scores, malignant, wanted=0.9)
    assert point is not None
    # Nine of ten must be found: all but the one at 0.05. The next score below 0.2 is 0.14.
    assert point["threshold"] == pytest.approx(0.17)
    assert point["sensitivity"] == pytest.approx(0.9)
    assert point["specificity"] == pytest.approx(0.5)
    assert (point["n_malignant"], point["n_other"]) == (10, 4)


def test_all_are_found_where_all_are_wanted() -> None:
    point = operating_point(np.array([0.2, 0.9, 0.1]), np.array([True, True, False]), wanted=1.0)
    assert point is not None
    assert (point["sensitivity"], point["specificity"]) == (1, 1)
    assert point["threshold"] == pytest.approx(0.15)


def test_equal_scores_are_called_alike() -> None:
    point = operating_point(np.full(4, 0.5), np.array([True, True, False, False]), wanted=0.5)
    assert point is not None
    assert (point["threshold"], point["sensitivity"], point["specificity"]) == (0.25, 1, 0)


def test_without_malignant_cases_there_is_none_and_without_others_no_specificity() -> None:
    assert operating_point(np.array([0.3]), np.array([False])) is None
    point = operating_point(np.array([0.3]), np.array([True]))
    assert point is not None
    assert point["specificity"] is None


def test_a_given_threshold_is_measured() -> None:
    point = operating_point(np.array([0.2, 0.9, 0.1]), np.array([True, True, False]), threshold=0.5)
    assert point is not None
    assert (point["threshold"], point["sensitivity"], point["specificity"]) == (0.5, 0.5, 1)


@pytest.mark.parametrize("wanted", [0.0, 1.1])
def test_no_sensitivity_is_refused(wanted: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        operating_point(np.array([0.5]), np.array([True]), wanted=wanted)
