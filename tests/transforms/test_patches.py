import numpy as np
import pytest

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.transforms.patches import cut_patches


def annotated():
    """A breast in the left half, grey 0.5; a benign lesion of grey 0.7 and a malignant one of 0.9."""
    image, mask = np.zeros((96, 96), np.float32), np.zeros((96, 96), np.uint8)
    image[:, :64] = 0.5
    for value, grey, rows in ((1, 0.7, slice(0, 10)), (2, 0.9, slice(60, 72))):
        image[rows, 20:30] = grey
        mask[rows, 20:30] = value
    return image, mask


def cut(image, mask, seed=0, **arguments):
    return cut_patches(image, mask, **{"size": 16, "rng": np.random.default_rng(seed), **arguments})


def test_each_lesion_and_the_tissue_beside_have_their_patches():
    patches = cut(*annotated(), each=3, beside=5)
    assert patches.images.shape == (11, 1, 16, 16)
    assert patches.classes.tolist() == [1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 0]
    for piece, kind in zip(patches.images[:, 0], patches.classes, strict=True):
        assert piece.max() == np.float32([0.5, 0.7, 0.9][kind])


def test_two_lesions_of_a_class_count_each():
    image, mask = annotated()
    mask[80:85, 50:55] = 2
    assert np.bincount(cut(image, mask, each=4, beside=0).classes).tolist() == [0, 4, 8]


def test_a_normal_image_has_normal_patches_on_the_breast():
    image, _ = annotated()
    patches = cut(image, np.zeros_like(image, np.uint8), beside=6)
    assert patches.classes.tolist() == [0] * 6
    # The centre lies on the breast, unless the image's edge has moved it.
    assert (patches.images[:, 0, 8, 8] > 0).all()


def test_where_lesions_leave_no_room_there_is_no_normal_patch():
    image, mask = annotated()
    mask[::8, ::8] = 1
    assert not (cut(image, mask, each=1).classes == 0).any()
    assert len(cut(np.zeros((32, 32), np.float32), np.zeros((32, 32), np.uint8)).classes) == 0


def test_the_seed_decides():
    image, mask = annotated()
    image += np.random.default_rng(9).random(image.shape, dtype=np.float32) * 0.05
    first, again, other = (cut(image, mask, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


def test_bad_input_is_refused():
    image, mask = annotated()
    with pytest.raises(InvalidImageError, match=r"at least \(128, 128\) pixels is required; got \(96, 96\)"):
        cut(image, mask, size=128)
    with pytest.raises(InvalidLabelError, match=r"values 0, 1, 2 is required; got \(96, 96\) with \[3\]"):
        cut(image, np.full_like(mask, 3))
    with pytest.raises(InvalidLabelError, match=r"got \(96, 95\)"):
        cut(image, mask[:, :-1])


def test_an_offset_takes_lesions_out_of_the_middle_but_not_out_of_the_patch():
    image, mask = np.ones((200, 200), np.float32), np.zeros((200, 200), np.uint8)
    mask[98:103, 98:103] = 1
    places = {}
    for offset in (0.0, 0.4):
        cut = cut_patches(
            image, mask, size=40, each=60, beside=0, offset=offset, rng=np.random.default_rng(0)
        )
        places[offset] = 100 - cut.corners - 20
    assert np.abs(places[0.0]).max() <= 3
    assert 10 < np.abs(places[0.4]).max() < 20
