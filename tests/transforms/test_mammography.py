import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from tests.imaging.mammograms import mammogram as mammogram_dataset
from tests.transforms.mammograms import dice, disc, mammogram

from breastlabel.errors import InvalidImageError, UnknownNameError
from breastlabel.imaging import read_image
from breastlabel.transforms import (
    PREPARATIONS,
    MammographyPreparation,
    preparation_from_config,
)


def small(**arguments) -> MammographyPreparation:
    return MammographyPreparation(**{"size": (192, 160), **arguments})


def test_an_image_is_prepared_in_its_tissues_own_scale():
    image = mammogram(label=True)
    prepared = small()(image)
    assert prepared.image.shape == (192, 160)
    assert prepared.image.dtype == np.float32
    assert prepared.image.min() == 0.0
    assert prepared.image.max() == 1.0
    rescaled = small()(image * 4 + 100)
    np.testing.assert_allclose(rescaled.image, prepared.image, atol=1e-4)


def test_all_that_is_not_breast_is_exactly_zero():
    image = mammogram((300, 200), label=True)
    prepared = small(margin=0.3)(image)
    y, x = (np.mgrid[:300, :200] + 0.5) / np.array((300, 200))[:, None, None]
    beyond = ((y - 0.5) / 0.46) ** 2 + (x / 0.6) ** 2 > 1
    outside = prepared.geometry.apply_mask(beyond.astype(np.uint8)) > 0
    assert outside.mean() > 0.2
    assert not prepared.image[outside].any()


def test_a_right_breast_is_prepared_as_the_left_one_mirrored():
    left, right = small()(mammogram((240, 180))), small()(mammogram((240, 180), right=True))
    np.testing.assert_allclose(left.image, right.image, atol=1e-5)
    assert right.geometry.flipped
    assert not left.geometry.flipped


@pytest.mark.parametrize("fit", ["letterbox-left", "letterbox", "stretch"])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("shape", [(240, 180), (331, 207), (1001, 777), (200, 400)])
def test_a_lesion_seen_in_the_prepared_image_returns_to_its_own_pixels(shape, right, fit):
    lesion = disc(shape, (0.55, 0.75 if right else 0.25), 0.08)
    image = mammogram(shape, right=right)
    image[lesion > 0] = 2000
    prepared = small(fit=fit, percentiles=(0.0, 100.0))(image)
    seen = prepared.image > 0.7
    restored = prepared.geometry.restore(seen[None].astype(np.float32))[0] > 0.5
    assert dice(restored, lesion > 0) > 0.93
    again = prepared.geometry.restore((prepared.geometry.apply_mask(lesion) == 2)[None].astype(np.float32))
    assert dice(again[0] > 0.5, lesion > 0) > 0.95


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("spacing", [[0.1, 0.1], [0.2, 0.1]], ids=["square", "twice as high"])
def test_a_mask_lands_on_the_right_pixels_of_the_dicom(tmp_path: Path, photometric, right, spacing):
    shape = (150, 230) if spacing[0] > spacing[1] else (300, 230)
    lesion = disc(shape, (0.6, 0.72 if right else 0.28), 0.09)
    tissue = mammogram(shape, right=right, label=True)
    tissue[lesion > 0] = 2000
    stored = np.clip(tissue, 0, 4095).astype(np.uint16)
    if photometric == "MONOCHROME1":
        stored = (4095 - stored).astype(np.uint16)
    dataset: Dataset = mammogram_dataset(
        stored,
        PhotometricInterpretation=photometric,
        ImageLaterality="R" if right else "L",
        ViewPosition="MLO",
        ImagerPixelSpacing=spacing,
        PixelSpacing=spacing,
    )
    path = tmp_path / "mammogram.dcm"
    dataset.save_as(path, write_like_original=False)
    image = read_image(path)
    prepared = small(percentiles=(0.0, 100.0))(image.pixels)
    assert prepared.geometry.flipped == right
    restored = prepared.geometry.restore((prepared.image > 0.7)[None].astype(np.float32))[0] > 0.5
    assert restored.shape == stored.shape
    assert dice(restored, lesion > 0) > 0.93


@pytest.mark.parametrize("option", ["clahe", "histogram_equalization"])
def test_equalisation_changes_tissue_and_nothing_else(option):
    plain, equalised = small()(mammogram()), small(**{option: True})(mammogram())
    assert equalised.geometry == plain.geometry
    assert np.abs(equalised.image - plain.image).max() > 0.05
    tissue = plain.image > 0.01
    assert not equalised.image[~tissue & (equalised.image == 0)].any()
    assert equalised.image.min() == 0.0
    assert equalised.image.max() <= 1.0
    # The label's corner and the dark beside the breast.
    assert not equalised.image[:4, 120:].any()


def test_the_whole_image_is_prepared_as_it_lies_where_nothing_is_isolated():
    pixels = mammogram(right=True)
    prepared = MammographyPreparation(size=(40, 32), fit="stretch", percentiles=(0, 100), isolate=False)(
        pixels
    )
    assert prepared.image.min() == 0
    assert prepared.image.max() == 1
    # Neither cut nor turned: the chest wall stays at the right.
    assert prepared.image[:, 16:].mean() > prepared.image[:, :16].mean()
    everything = np.ones(pixels.shape, np.uint8)
    assert prepared.geometry.apply_mask(everything).all()


def test_an_image_unlike_a_mammogram_is_refused_unless_asked_not_to():
    y, x = np.mgrid[:200, :200] / 200
    specimen = np.where((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.3**2, 900 + 100 * x, 10).astype(np.float32)
    with pytest.raises(InvalidImageError, match=r"one whole breast .*no straight side.*not analysable"):
        small()(specimen)
    assert small(check=False)(specimen).image.max() == 1.0


def test_a_flat_breast_is_refused():
    flat = np.zeros((240, 180), np.float32)
    flat[40:200, :100] = 500.0
    with pytest.raises(InvalidImageError, match="a breast with contrast is required"):
        small(check=False, percentiles=(20, 90))(flat)


def test_configuration_survives_json():
    preparation = small(clahe=True, percentiles=(1, 99), fit="stretch", pectoral=True)
    config = json.loads(json.dumps(preparation.config()))
    assert preparation_from_config(config) == preparation
    assert config["name"] == "mammography"
    assert PREPARATIONS["mammography"] is MammographyPreparation
    with pytest.raises(UnknownNameError, match="the preparation's name must be one of mammography; got"):
        MammographyPreparation.from_config({"name": "ultrasound"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fit": "crop"}, "fit must be one of letterbox, letterbox-left, stretch; got 'crop'"),
        ({"size": (0, 10)}, "size must be"),
        ({"percentiles": (50, 50)}, "percentiles must be 0 <= lower < upper <= 100"),
        ({"margin": 0.6}, r"margin must lie in \[0, 0.5\]; got 0.6"),
        ({"clahe_clip": 0}, "clahe_clip must be above 0"),
    ],
)
def test_wrong_options_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MammographyPreparation(**arguments)
