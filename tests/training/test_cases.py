from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from breastlabel.errors import StudiesError
from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.training.cases import Cases


def _context(n: int) -> npt.NDArray[np.float32]:
    return np.arange(n * CONTEXT_SIZE, dtype=np.float32).reshape(n, CONTEXT_SIZE)


@pytest.fixture
def cases() -> Cases:
    """Image 0 is a prior of both cases; images 1 and 2 make the first breast, image 4 the second."""
    return Cases.of_lists(
        ["left", "right"],
        [[0, 1, 2], [0, 4]],
        [[False, True, True], [False, True]],
        [_context(3), _context(2)],
    )


def test_members_stand_case_after_case_in_the_order_asked_for(cases: Cases) -> None:
    members = cases.members(np.array([1, 0, 1]))
    assert members.images.tolist() == [0, 4, 0, 1, 2, 0, 4]
    assert members.sequence.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert members.newest.tolist() == [False, True, False, True, True, False, True]
    np.testing.assert_array_equal(members.context[2:5], _context(3))


def test_a_prior_is_judged_in_no_case(cases: Cases) -> None:
    assert cases.case_of_image(5).tolist() == [-1, 0, 0, -1, 1]


def test_selected_cases_bring_their_images_once(cases: Cases) -> None:
    chosen, images = cases.select(np.array([False, True]))
    assert chosen.keys.tolist() == ["right"]
    assert images.tolist() == [0, 4]
    assert chosen.images.tolist() == [0, 1]
    both, images = cases.select(np.array([1, 0]))
    assert images.tolist() == [0, 1, 2, 4]
    assert images[both.images].tolist() == [0, 4, 0, 1, 2]


def test_concatenated_cases_keep_to_their_own_images(cases: Cases) -> None:
    twice = Cases.concatenate([cases, cases], [5, 5])
    assert twice.images.tolist() == [0, 1, 2, 0, 4, 5, 6, 7, 5, 9]
    assert twice.lengths.tolist() == [3, 2, 3, 2]


def test_images_alone_are_cases_of_their_own(cases: Cases) -> None:
    assert Cases.singles(np.array(["a", "b"])).single
    assert not cases.single


def test_arrays_give_back_the_cases(cases: Cases) -> None:
    back = Cases.from_arrays({**cases.arrays(), "images": np.zeros(3)})
    assert all(np.array_equal(a, b) for a, b in zip(vars(cases).values(), vars(back).values(), strict=False))


def test_a_case_without_an_image_or_a_newest_exam_is_refused() -> None:
    with pytest.raises(StudiesError, match="one image or more"):
        Cases.of_lists(["a", "b"], [[0], []], [[True], []], [_context(1), _context(0)])
    with pytest.raises(StudiesError, match="newest exam"):
        Cases.of_lists(["a", "b"], [[0], [1]], [[True], [False]], [_context(1), _context(1)])
