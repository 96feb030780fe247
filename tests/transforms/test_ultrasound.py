"""P1's preparation: its steps, its switches, its configuration."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from breastlabel.errors import InvalidImageError, InvalidLabelError, UnknownNameError
from breastlabel.transforms import UltrasoundPreparation, preparation_from_config

SWITCHES = ["histogram_equalization", "clahe", "gaussian", "anisotropic_diffusion"]


@pytest.fixture
def pixels() -> np.ndarray:
    rng = np.random.default_rng(1)
    rows, cols = np.mgrid[:90, :130]
    tissue = 100 + 40 * np.sin(rows / 12) + 0.2 * cols
    tissue[30:50, 60:100] = 20
    return np.clip(tissue * rng.gamma(8, 1 / 8, tissue.shape), 0, 255).astype(np.uint8).astype(np.float32)


def plain(**options) -> UltrasoundPreparation:
    return UltrasoundPreparation(**(dict.fromkeys(SWITCHES, False) | {"size": (64, 64)} | options))


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_prepared_image_is_float32_in_unit_range_at_the_size_asked_for(pixels, fit):
    image, geometry = UltrasoundPreparation(size=(48, 80), fit=fit)(pixels)
    assert image.shape == (48, 80)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    assert geometry.source_shape == pixels.shape
    assert geometry.size == (48, 80)


@pytest.mark.parametrize(("factor", "offset"), [(1 / 255, 0.0), (257.0, 0.0), (3.0, -1000.0)])
def test_units_of_the_file_do_not_matter(pixels, factor, offset):
    prep = UltrasoundPreparation(size=(64, 64))
    np.testing.assert_allclose(prep(pixels * factor + offset).image, prep(pixels).image, atol=0.02)


def test_without_any_step_the_scale_is_min_max(pixels):
    prep = plain(size=pixels.shape, percentiles=(0, 100))
    expected = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    np.testing.assert_allclose(prep(pixels).image, expected, atol=1e-6)


def test_a_white_caption_does_not_darken_the_tissue(pixels):
    dark = pixels / 2
    captioned = dark.copy()
    captioned[:3, :10] = 255
    prep = plain(size=pixels.shape)
    difference = np.abs(prep(captioned).image - prep(dark).image)[3:]
    assert difference.mean() < 0.03


def test_small_image_in_a_large_empty_frame_has_contrast():
    frame = np.zeros((400, 400), np.float32)
    frame[200:204, 200:204] = 90
    assert plain(size=(400, 400))(frame).image.max() == 1


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_step_can_be_switched(pixels, switch):
    assert np.abs(plain(**{switch: True})(pixels).image - plain()(pixels).image).mean() > 1e-3


def test_steps_come_in_the_papers_order(pixels):
    image = plain(size=pixels.shape, percentiles=(0, 100))(pixels).image
    levels = np.rint(image * 255).astype(np.uint8)
    levels = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(cv2.equalizeHist(levels))
    kernel = np.array([1, 2, 1]) / 4
    expected = cv2.filter2D(levels / 255.0, -1, np.outer(kernel, kernel))
    prep = UltrasoundPreparation(size=pixels.shape, percentiles=(0, 100), histogram_equalization=True)
    np.testing.assert_allclose(prep(pixels).image, expected, atol=1e-5)


def test_clahe_raises_the_contrast_of_faint_structure():
    rows, cols = np.mgrid[:96, :96]
    faint = (100 + 3 * np.sin(cols / 4) + rows).astype(np.float32)
    flat = plain(size=(96, 96))(faint).image
    enhanced = plain(size=(96, 96), clahe=True)(faint).image
    assert enhanced[48].std() > 1.3 * flat[48].std()


def test_input_is_not_changed(pixels):
    before = pixels.copy()
    UltrasoundPreparation(size=(32, 32), anisotropic_diffusion=True)(pixels)
    np.testing.assert_array_equal(pixels, before)


def test_configuration_makes_an_equal_object():
    prep = UltrasoundPreparation(
        size=(96, 128), fit="letterbox", clahe=False, anisotropic_diffusion=True, diffusion_kappa=0.07
    )
    stored = json.loads(json.dumps(prep.config()))
    assert stored["name"] == "ultrasound"
    again = preparation_from_config(stored)
    assert again == prep
    assert hash(again) == hash(prep)
    assert again.config() == prep.config()
    assert UltrasoundPreparation.from_config(stored) == prep


def test_options_left_out_have_their_defaults():
    assert preparation_from_config({"name": "ultrasound"}) == UltrasoundPreparation()
    assert UltrasoundPreparation(size=[64, 64]).size == (64, 64)


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UnknownNameError, match="must be one of mammography, ultrasound; got 'mamography'"):
        preparation_from_config({"name": "mamography"})
    with pytest.raises(UnknownNameError, match="must be one of mammography, ultrasound; got 'None'"):
        preparation_from_config({})
    with pytest.raises(
        UnknownNameError, match=r"option of UltrasoundPreparation must be .*gaussian.*; got 'blur'"
    ):
        preparation_from_config({"name": "ultrasound", "blur": True})
    with pytest.raises(UnknownNameError, match="letterbox, stretch; got 'crop'"):
        UltrasoundPreparation(fit="crop")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 8)}, "size must be"),
        ({"percentiles": (60, 40)}, "percentiles must be 0 <= lower < upper <= 100"),
        ({"clahe_clip": 0}, "clahe_clip must be above 0"),
        ({"diffusion_kappa": 0}, "diffusion_kappa above 0"),
        ({"diffusion_step": 0.3}, r"diffusion_step must lie in \(0, 0.25\]; got 0.3"),
    ],
)
def test_an_object_that_exists_is_valid(options, message):
    with pytest.raises(ValueError, match=message):
        UltrasoundPreparation(**options)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 5, 3), np.float32), r"\(rows, cols\) is required; got an array of shape \(4, 5, 3\)"),
        (np.zeros((0, 5), np.float32), r"got an array of shape \(0, 5\)"),
        (np.full((4, 5), 7, np.float32), "contrast is required; all pixels are 7"),
        (np.array([[1, np.nan]], np.float32), "finite number; got NaN"),
        (np.array([[1, np.inf]], np.float32), "finite number"),
    ],
)
def test_images_that_cannot_be_analysed_are_refused(image, message):
    with pytest.raises(InvalidImageError, match=message):
        UltrasoundPreparation()(image)


def test_mask_with_a_channel_axis_is_refused():
    with pytest.raises(
        InvalidLabelError, match=r"label map \(rows, cols\) is required; .* shape \(4, 5, 3\)"
    ):
        UltrasoundPreparation().mask(np.zeros((4, 5, 3), np.uint8))


def test_tiny_images_can_be_prepared():
    image = UltrasoundPreparation(size=(32, 32), anisotropic_diffusion=True)(
        np.array([[0, 1]], np.float32)
    ).image
    assert image.shape == (32, 32)
    assert np.isfinite(image).all()


def test_import_needs_no_server_or_file_packages():
    # Training machines hold torch, numpy, OpenCV and little else.
    code = (
        "import sys\n"
        "for name in ('SimpleITK', 'nibabel', 'pydicom', 'monai', 'monailabel', 'sqlalchemy', 'mlflow'):\n"
        "    sys.modules[name] = None\n"
        "import breastlabel.transforms"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
