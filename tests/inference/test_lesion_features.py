import numpy as np
import pytest

from breastlabel.errors import InvalidImageError
from breastlabel.inference.lesion_features import FEATURE_NAMES, lesion_features

ROWS, COLUMNS = np.mgrid[:96, :96].astype(np.float64) - 47.5
DISC = np.hypot(ROWS, COLUMNS) <= 20
SQUARE = (abs(ROWS) <= 18) & (abs(COLUMNS) <= 18)
BAR = (abs(ROWS) <= 4) & (abs(COLUMNS) <= 24)
STAR = np.hypot(ROWS, COLUMNS) <= 20 + 10 * np.cos(8 * np.arctan2(ROWS, COLUMNS))


def features(image, region):
    values = lesion_features(image.astype(np.float32), region)
    assert values.shape == (len(FEATURE_NAMES),)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    return dict(zip(FEATURE_NAMES, values.tolist(), strict=True))


def flat(value=0.5):
    return np.full((96, 96), value)


def test_a_disc_is_round():
    disc = features(flat(), DISC)
    assert disc["circularity"] == pytest.approx(1.0, abs=0.05)
    assert disc["eccentricity"] == pytest.approx(0.0, abs=0.05)
    assert disc["aspect"] == pytest.approx(1.0, abs=0.02)
    assert disc["solidity"] > 0.95
    assert disc["extent"] == pytest.approx(np.pi / 4, abs=0.03)
    assert disc["area"] == pytest.approx(np.pi * 20**2 / 96**2, rel=0.02)
    assert disc["radial_deviation"] < 0.03


def test_a_square_has_the_circularity_of_a_square():
    square = features(flat(), SQUARE)
    # Crofton's estimate of the perimeter is a few percent short along the axes of the grid.
    assert square["circularity"] == pytest.approx(np.pi / 4, abs=0.12)
    assert square["solidity"] == pytest.approx(1.0)
    assert square["extent"] == pytest.approx(1.0)


def test_a_bar_is_long_and_a_star_is_ragged():
    disc, bar, star = (features(flat(), region) for region in (DISC, BAR, STAR))
    assert bar["aspect"] == pytest.approx(48 / 8, rel=0.15)
    assert bar["eccentricity"] > 0.95
    assert star["circularity"] < 0.6 < disc["circularity"]
    assert star["solidity"] < 0.85 < disc["solidity"]
    assert star["radial_deviation"] > 5 * disc["radial_deviation"]


def test_density_is_read_off_the_grey_values():
    image = np.where(DISC, 0.75, 0.25)
    disc = features(image, DISC)
    assert (disc["mean"], disc["minimum"], disc["maximum"]) == (0.75, 0.75, 0.75)
    assert disc["deviation"] == disc["skewness"] == disc["kurtosis"] == 0.0
    assert disc["contrast"] == pytest.approx(0.5)
    assert disc["edge"] == pytest.approx(0.5)
    assert disc["breast_mean"] == pytest.approx(image.mean())
    assert disc["dense_share"] == pytest.approx(DISC.mean())


def test_even_tissue_has_no_texture_and_stripes_have_much():
    even = features(flat(), DISC)
    assert even["glcm_contrast_1"] == 0.0
    assert even["glcm_homogeneity_1"] == even["glcm_energy_1"] == 1.0
    assert even["glcm_entropy_1"] == 0.0
    stripes = features(np.where(np.arange(96) % 2 == 0, 0.2, 0.8) * np.ones((96, 96)), DISC)
    # Grey levels 3 and 12 of 16: 81 across, 0 along the stripes, 81 on both diagonals.
    assert stripes["glcm_contrast_1"] == pytest.approx(0.75 * 81)
    # Three pixels across is the other stripe, two across and two along (3 at 45 degrees) the same.
    assert stripes["glcm_contrast_3"] == pytest.approx(0.25 * 81)


def test_texture_outside_the_region_does_not_count():
    noise = np.random.default_rng(0).random((96, 96))
    values = features(np.where(DISC, 0.5, noise), DISC)
    assert values["glcm_contrast_1"] == 0.0


@pytest.mark.parametrize("region", [DISC, STAR])
def test_features_do_not_depend_on_where_the_region_is(region):
    image = np.where(region, 0.7, 0.3)
    moved = features(np.roll(image, (9, -7), (0, 1)), np.roll(region, (9, -7), (0, 1)))
    for name, value in features(image, region).items():
        assert moved[name] == pytest.approx(value, abs=1e-4), name


@pytest.mark.parametrize(
    "pixels", [[(0, 0)], [(5, 5), (5, 6)], [(3, c) for c in range(96)], [(1, 1), (90, 90)]]
)
def test_odd_regions_have_finite_features(pixels):
    region = np.zeros((96, 96), np.bool_)
    region[tuple(np.transpose(pixels))] = True
    features(flat(), region)
    features(np.zeros((96, 96)), region)
    features(flat(), np.ones((96, 96), np.bool_))


def test_an_empty_region_and_another_size_are_refused():
    with pytest.raises(InvalidImageError, match="got an empty one; give the breast"):
        lesion_features(flat().astype(np.float32), np.zeros((96, 96), np.bool_))
    with pytest.raises(InvalidImageError, match=r"got \(96, 96\) and \(96, 95\)"):
        lesion_features(flat().astype(np.float32), np.ones((96, 95), np.bool_))
