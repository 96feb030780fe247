import cv2
import numpy as np
import pytest

from breastlabel.imaging import LesionClass
from breastlabel.inference.overlay import CLASS_COLORS, REFERENCE_COLOR, render_overlay, write_overlay


def scene(shape=(60, 90)):
    pixels = np.full(shape, 50, dtype=np.float32)
    pixels[:, ::2] = 90
    mask = np.zeros(shape, dtype=np.uint8)
    mask[20:40, 30:60] = 1
    return pixels, mask


def near(picture, color):
    return np.abs(picture.astype(int) - np.array(color)).sum(axis=-1) < 40


def test_outlines_have_the_colour_of_their_class_and_lie_on_the_lesions_edge():
    pixels, mask = scene()
    for lesion_class, color in CLASS_COLORS.items():
        picture = render_overlay(pixels, (mask > 0) * np.uint8(lesion_class), names=False, min_side=600)
        assert picture.dtype == np.uint8
        assert picture.shape == (600, 900, 3)
        rows, cols = np.nonzero(near(picture, color))
        assert abs(rows.min() - 200) <= 5
        assert abs(rows.max() - 400) <= 5
        assert abs(cols.min() - 300) <= 5
        assert abs(cols.max() - 600) <= 5
        # An outline, not a filled region.
        assert not near(picture, color)[250:350, 350:550].any()


def test_without_a_lesion_the_picture_stays_grey():
    pixels, mask = scene()
    picture = render_overlay(pixels, np.zeros_like(mask))
    assert (picture[..., 0] == picture[..., 1]).all()
    assert (picture[..., 0] == picture[..., 2]).all()


def test_the_readers_outline_is_dashed_and_of_its_own_colour():
    pixels, mask = scene()
    picture = render_overlay(pixels, np.zeros_like(mask), reference=mask, min_side=600)
    top = near(picture[195:206, 300:600], REFERENCE_COLOR).any(axis=0)
    assert 0.3 < top.mean() < 0.8


def test_heat_colours_only_where_it_is_hot():
    pixels, mask = scene()
    heat = np.zeros(pixels.shape, dtype=np.float32)
    heat[20:40, 30:60] = 1
    picture = render_overlay(pixels, np.zeros_like(mask), heat=heat, min_side=60)
    assert (picture[5, 5] == picture[5, 5, 0]).all()
    red, _, blue = (int(v) for v in picture[30, 45])
    assert red > blue + 50


def test_a_large_image_is_reduced_and_proportions_are_kept():
    pixels = np.tile(np.arange(400, dtype=np.float32), (100, 1))
    assert render_overlay(pixels, np.zeros((100, 400), np.uint8), max_side=200).shape == (50, 200, 3)


def test_names_fit_into_the_picture_of_a_lesion_that_fills_it():
    pixels, _ = scene()
    picture = render_overlay(pixels, np.full(pixels.shape, 2, dtype=np.uint8))
    assert near(picture, CLASS_COLORS[LesionClass.MALIGNANT])[10:60].any()


def test_other_shapes_are_refused():
    pixels, mask = scene()
    with pytest.raises(ValueError, match="heat must have the image's shape"):
        render_overlay(pixels, mask, heat=np.zeros((3, 3), np.float32))


def test_the_png_holds_the_same_colours(tmp_path):
    pixels, mask = scene()
    picture = render_overlay(pixels, mask)
    write_overlay(tmp_path / "overlay.png", picture)
    read = cv2.imread(str(tmp_path / "overlay.png"))[..., ::-1]
    np.testing.assert_array_equal(read, picture)
    assert [p.name for p in tmp_path.iterdir()] == ["overlay.png"]
