import numpy as np
import pytest

from breastlabel.activelearning.simulation.learner import Answers
from breastlabel.activelearning.simulation.store import Results
from breastlabel.errors import StudiesError


def test_what_was_kept_is_found_again(tmp_path):
    results = Results(tmp_path, {"batch": 3})
    given = Answers(np.array([0.5, np.nan]), np.array([0.25, 0.125]))
    assert not results.has_answers(1, "badge", 2)
    assert results.choice(1, "badge", 2) is None
    results.keep_answers(1, "badge", 2, {"val": given, "test": given})
    results.keep_choice(1, "badge", 2, ["b", "a"])
    again = Results(tmp_path, {"batch": 3})
    assert again.has_answers(1, "badge", 2)
    assert again.choice(1, "badge", 2) == ["b", "a"]
    found = again.answers(1, "badge", 2, "test")
    np.testing.assert_array_equal(found.dice, given.dice)
    np.testing.assert_array_equal(found.malignant, given.malignant)


def test_another_design_is_not_gone_on_with(tmp_path):
    Results(tmp_path, {"batch": 3, "rounds": 2})
    with pytest.raises(StudiesError, match="the one in it differs in batch; give another name"):
        Results(tmp_path, {"batch": 4, "rounds": 2})


def test_nothing_half_written_lies_about(tmp_path):
    results = Results(tmp_path, {})
    results.keep_choice(0, "random", 1, ["a"])
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"design.json", "choice-1.json"}
