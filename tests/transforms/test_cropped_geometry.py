import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.transforms.mammograms import dice

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.transforms import CroppedGeometry
from breastlabel.transforms.boxes import component_boxes

FITS = ["letterbox-left", "letterbox", "stretch"]


@st.composite
def boxes(draw):
    rows, cols = draw(st.integers(80, 221)), draw(st.integers(80, 221))
    height, width = draw(st.integers(60, rows)), draw(st.integers(60, cols))
    top, left = draw(st.integers(0, rows - height)), draw(st.integers(0, cols - width))
    return (rows, cols), (top, left, height, width)


@pytest.mark.parametrize("fit", FITS)
@settings(max_examples=40, deadline=None)
@given(case=boxes(), flipped=st.booleans(), where=st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)))
def test_mask_returns_to_its_own_pixels(fit, case, flipped, where):
    shape, box = case
    top, left, height, width = box
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    centre = top + where[0] * height, left + where[1] * width
    mask = ((y - centre[0]) ** 2 + ((x - centre[1]) / 1.3) ** 2 <= 12**2).astype(np.uint8) * 2
    # What is outside the crop cannot return.
    inside = np.zeros(shape, bool)
    inside[top : top + height, left : left + width] = True
    geometry = CroppedGeometry(shape, (128, 96), box, flipped, fit)
    prepared = geometry.apply_mask(mask)
    restored = geometry.restore((prepared == 2)[None].astype(np.float32))
    assert restored.shape == (1, *shape)
    assert not restored[0][~inside].any()
    assert dice(restored[0] > 0.5, (mask > 0) & inside) > 0.9


@settings(max_examples=40, deadline=None)
@given(case=boxes(), flipped=st.booleans())
def test_at_the_crops_own_size_the_way_back_is_exact(case, flipped):
    shape, box = case
    top, left, height, width = box
    geometry = CroppedGeometry(shape, (height, width), box, flipped, "stretch")
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    mask = (image > 0.7).astype(np.uint8)
    expected = np.zeros(shape, np.float32)
    expected[top : top + height, left : left + width] = image[top : top + height, left : left + width]
    np.testing.assert_array_equal(geometry.restore(geometry.apply(image)[None])[0], expected)
    np.testing.assert_array_equal(
        geometry.restore(geometry.apply_mask(mask)[None].astype(np.float32))[0], mask * (expected > 0)
    )


def test_flipped_is_the_mirror_image_cropped():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    geometry = CroppedGeometry((3, 4), (2, 2), (1, 2, 2, 2), flipped=True, fit="stretch")
    np.testing.assert_array_equal(geometry.apply(image), [[7, 6], [11, 10]])


def test_left_aligned_letterbox_pads_on_the_right():
    geometry = CroppedGeometry((8, 4), (8, 8), (0, 0, 8, 4))
    prepared = geometry.apply(np.ones((8, 4), np.float32))
    assert prepared[:, :4].all()
    assert not prepared[:, 4:].any()


def test_shapes_and_boxes_that_do_not_fit_are_refused():
    geometry = CroppedGeometry((8, 4), (8, 8), (0, 0, 8, 4))
    with pytest.raises(InvalidImageError, match=r"\(8, 4\) \(rows, cols\) is required; got \(4, 8\)"):
        geometry.apply(np.ones((4, 8), np.float32))
    with pytest.raises(InvalidLabelError, match="draw it on this image"):
        geometry.apply_mask(np.ones((4, 8), np.uint8))
    with pytest.raises(InvalidImageError, match=r"maps \(C, 8, 8\) are required"):
        geometry.restore(np.ones((1, 4, 8), np.float32))
    with pytest.raises(InvalidImageError, match=r"within 8 x 4 pixels is required; got \(0, 1, 8, 4\)"):
        CroppedGeometry((8, 4), (8, 8), (0, 1, 8, 4))


@pytest.mark.parametrize("fit", FITS)
@settings(max_examples=40, deadline=None)
@given(
    case=boxes(),
    flipped=st.booleans(),
    lesion=st.tuples(st.floats(0.2, 0.4), st.floats(0.2, 0.4), st.floats(0.6, 0.8), st.floats(0.6, 0.8)),
)
def test_a_box_returns_to_where_its_mask_does(fit, case, flipped, lesion):
    shape, box = case
    top, left, height, width = box
    wanted = np.array([top, left, top, left]) + np.array(lesion) * np.array([height, width] * 2)
    row0, col0, row1, col1 = np.rint(wanted).astype(int)
    mask = np.zeros(shape, np.uint8)
    mask[row0:row1, col0:col1] = 1
    geometry = CroppedGeometry(shape, (128, 96), box, flipped, fit)
    (restored,) = geometry.restore_boxes(component_boxes(geometry.apply_mask(mask)))
    # A prepared pixel covers as many of the source's.
    _, _, rows, cols = geometry.resized.window
    coarse = max(1.0, height / rows, width / cols)
    np.testing.assert_allclose(restored, (row0, col0, row1, col1), atol=coarse)


def test_a_box_in_a_mirror_has_its_left_edge_at_the_right():
    geometry = CroppedGeometry((100, 80), (50, 30), (0, 20, 100, 60), flipped=True, fit="stretch")
    assert geometry.restore_boxes(np.array([[5, 0, 10, 3]], np.float32)).tolist() == [[10, 74, 20, 80]]
    assert geometry.restore_boxes(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_what_a_box_has_in_the_padding_is_cut_off():
    # 100 x 100 in 50 x 100: scaled by 1/2, 50 columns of padding at the right.
    geometry = CroppedGeometry((100, 100), (50, 100), (0, 0, 100, 100))
    assert geometry.restore_boxes(np.array([[0, 40, 10, 70]], np.float32)).tolist() == [[0, 80, 20, 100]]
