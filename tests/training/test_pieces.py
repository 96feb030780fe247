"""Pieces of images: what they show, and which class they have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from breastlabel.errors import InvalidImageError
from breastlabel.training import TrainingArrays
from breastlabel.training.cases import Cases
from breastlabel.training.pieces import pieces_of

Arrays = Callable[..., TrainingArrays]


@pytest.fixture
def three() -> TrainingArrays:
    """A normal, a benign and a malignant image of 24 x 24, each lesion a square of 6 in the middle."""
    masks = np.zeros((3, 24, 24), np.uint8)
    masks[1:, 9:15, 9:15] = 1
    images = np.full((3, 24, 24), 0.5, np.float16)
    images[masks > 0] = 0.9
    return TrainingArrays(
        images, masks, np.ones(3, bool), np.arange(3), np.array(["a", "b", "c"]), np.array(["p", "p", "q"])
    )


def test_three_of_every_lesion_and_one_of_tissue_beside_are_cut(three: TrainingArrays) -> None:
    pieces = pieces_of(three, size=8, seed=0)
    assert pieces.images.shape == (9, 8, 8)
    assert pieces.labels.tolist() == [0, 1, 1, 1, 0, 2, 2, 2, 0]
    assert pieces.groups.tolist() == ["p"] * 5 + ["q"] * 4
    assert pieces.cases.single
    assert pieces.has_mask.all()
    assert (pieces.masks.any((1, 2)) == (pieces.labels > 0)).all()
    np.testing.assert_array_equal(pieces.images == np.float16(0.9), pieces.masks > 0)


def test_the_same_seed_cuts_the_same_places(three: TrainingArrays) -> None:
    fingerprints = [pieces_of(three, size=8, seed=seed, each=9).fingerprint() for seed in (1, 1, 2)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_lesions_may_be_off_the_middle(three: TrainingArrays) -> None:
    middle, off = (pieces_of(three, size=8, seed=0, each=9, offset=offset) for offset in (0.0, 0.4))
    assert off.labels.tolist() == middle.labels.tolist()
    assert off.masks[off.labels > 0].any((1, 2)).all()
    assert middle.masks[middle.labels > 0, 4, 4].all()
    assert not off.masks[off.labels > 0, 4, 4].all()


def test_a_lesion_of_unknown_class_stays_one(three: TrainingArrays) -> None:
    unknown = dataclasses.replace(three, labels=np.array([0, -1, 2]))
    pieces = pieces_of(unknown, size=8, seed=0)
    assert pieces.labels.tolist() == [0, -1, -1, -1, 0, 2, 2, 2, 0]
    assert pieces.masks[1:4].any((1, 2)).all()


def test_an_outline_in_a_normal_breast_is_no_normal_tissue(three: TrainingArrays) -> None:
    contradicted = dataclasses.replace(three, labels=np.array([0, 0, 2]))
    pieces = pieces_of(contradicted, size=8, seed=0)
    assert not pieces.masks[pieces.labels == 0].any()


def test_images_without_a_mask_and_priors_give_none(three: TrainingArrays) -> None:
    assert len(pieces_of(dataclasses.replace(three, has_mask=np.zeros(3, bool)), size=8, seed=0)) == 0
    # Image 1 is the prior of image 2, which is the one that is judged.
    context = np.zeros((2, three.cases.context.shape[1]), np.float32)
    cases = Cases.of_lists(["breast"], [[1, 2]], [[False, True]], [context])
    breast = dataclasses.replace(
        three, labels=np.array([2]), groups=np.array(["q"]), cases=cases, invasive=np.array([1])
    )
    pieces = pieces_of(breast, size=8, seed=0)
    assert pieces.labels.tolist() == [2, 2, 2, 0]
    # The tissue beside an invasive cancer is no cancer.
    assert pieces.invasive.tolist() == [1, 1, 1, -1]


def test_images_smaller_than_a_piece_are_refused(three: TrainingArrays) -> None:
    with pytest.raises(InvalidImageError, match=r"at least \(32, 32\) pixels is required"):
        pieces_of(three, size=32, seed=0)
