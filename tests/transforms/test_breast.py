import numpy as np
import pytest
from tests.transforms.mammograms import dice, mammogram

from breastlabel.errors import InvalidImageError
from breastlabel.transforms import isolate_breast, looks_like_mammogram


def tissue(shape: tuple[int, int], *, right: bool = False) -> np.ndarray:
    rows, cols = shape
    y, x = (np.mgrid[:rows, :cols] + 0.5) / np.array(shape)[:, None, None]
    inside = ((y - 0.5) / 0.42) ** 2 + (x / 0.55) ** 2 < 1
    return inside[:, ::-1] if right else inside


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("label", [False, True])
@pytest.mark.parametrize("shape", [(240, 180), (211, 173), (383, 301)])
def test_the_breast_is_found_and_its_side(shape, right, label):
    region = isolate_breast(mammogram(shape, right=right, label=label))
    assert dice(region.mask, tissue(shape, right=right)) > 0.97
    assert region.chest_wall_right == right
    assert looks_like_mammogram(region) is None


def test_a_label_and_a_film_border_are_not_breast():
    region = isolate_breast(mammogram(label=True))
    assert not region.mask[:30, 130:].any()
    assert not region.mask[-4:].any()


def test_a_bright_film_border_along_the_chest_wall_is_cut_off():
    image = mammogram((240, 180))
    image[:, :4] = 1500
    region = isolate_breast(image)
    assert not region.mask[:, :3].any()
    assert not region.chest_wall_right
    assert dice(region.mask, tissue((240, 180))) > 0.93


@pytest.mark.parametrize("right", [False, True])
def test_padding_beside_the_chest_wall_hides_neither_wall_nor_side(right):
    image = mammogram(right=right)
    padded = np.pad(image, ((0, 0), (60, 60)))
    region = isolate_breast(padded)
    assert region.chest_wall_right == right
    top, left, height, width = region.box()
    wall = left + width if right else left
    assert abs(wall - (60 + image.shape[1] if right else 60)) <= 2
    assert abs(top - 19) <= 4
    assert abs(height - 202) <= 8


def test_a_large_image_is_boxed_within_its_own_pixels():
    shape = (1203, 901)
    region = isolate_breast(mammogram(shape))
    top, left, height, width = region.box()
    rows, cols = np.nonzero(tissue(shape))
    scale = 1203 / 384
    assert left == 0
    assert abs(top - rows.min()) <= 3 * scale
    assert abs(top + height - 1 - rows.max()) <= 3 * scale
    assert abs(width - 1 - cols.max()) <= 3 * scale


def test_margin_is_added_but_not_at_the_chest_wall():
    region = isolate_breast(mammogram(right=True))
    plain, wider = region.box(), region.box(0.05)
    assert wider[0] < plain[0]
    assert wider[1] < plain[1]
    assert wider[1] + wider[3] == plain[1] + plain[3] == 180


def test_any_scale_gives_the_same_breast():
    image = mammogram()
    plain = isolate_breast(image).mask
    np.testing.assert_array_equal(isolate_breast(image * 3.7 - 1000).mask, plain)


def test_without_a_breast_it_is_said():
    page = np.zeros((200, 200), np.float32)
    page[::12, 10:180:3] = 255
    with pytest.raises(InvalidImageError, match="no breast was found"):
        isolate_breast(page)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "finite number"), (np.inf, "finite number")], ids=["nan", "inf"]
)
def test_pixels_that_are_no_numbers_are_refused(value, message):
    image = mammogram()
    image[100, 20] = value
    with pytest.raises(InvalidImageError, match=message):
        isolate_breast(image)


@pytest.mark.parametrize("shape", [(3, 40, 40), (20, 40)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InvalidImageError, match="32 x 32 pixels or more is required; got an array of shape"):
        isolate_breast(np.ones(shape, np.float32))


def test_what_is_unlike_a_mammogram_is_named():
    y, x = np.mgrid[:200, :200] / 200
    speck = np.where((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.06**2, 900.0, 10.0).astype(np.float32)
    assert "covers 1% of the image" in looks_like_mammogram(isolate_breast(speck))
    specimen = np.where((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.3**2, 900.0, 10.0).astype(np.float32)
    assert "no straight side" in looks_like_mammogram(isolate_breast(specimen))
    spot = np.where((abs(y - 0.5) < 0.3), 900.0, 10.0).astype(np.float32)
    assert "straight on both sides" in looks_like_mammogram(isolate_breast(spot))
    bar = np.where((abs(y - 0.5) < 0.05), 900.0, 10.0).astype(np.float32)
    assert "times as high as wide" in looks_like_mammogram(isolate_breast(bar))
