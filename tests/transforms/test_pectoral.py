import numpy as np
import pytest
from tests.transforms.mammograms import mammogram

from breastlabel.transforms import MammographyPreparation, isolate_breast
from breastlabel.transforms.pectoral import find_pectoral, without_pectoral


@pytest.mark.parametrize("right", [False, True])
def test_muscle_is_found_and_taken_out(right):
    shape = (300, 220)
    region = isolate_breast(mammogram(shape, right=right, muscle=True))
    rest = without_pectoral(region)
    gone = region.mask & ~rest.mask
    gone = gone[:, ::-1] if right else gone
    y, x = (np.mgrid[: shape[0], : shape[1]] + 0.5) / np.array(shape)[:, None, None]
    muscle = (x / 0.3 + y / 0.55 < 1) & (((y - 0.5) / 0.42) ** 2 + (x / 0.55) ** 2 < 1)
    assert gone[muscle].mean() > 0.85
    assert gone[~muscle].mean() < 0.01


def test_a_view_without_muscle_stays_as_it_is():
    region = isolate_breast(mammogram((300, 220)))
    assert without_pectoral(region) is region


def test_a_bright_round_mass_in_the_corner_is_not_muscle():
    image = mammogram((300, 220))
    y, x = np.mgrid[:300, :220]
    image[(y - 110) ** 2 + (x - 40) ** 2 < 25**2] += 500
    region = isolate_breast(image)
    assert without_pectoral(region) is region


def test_the_line_meets_the_edges_of_the_muscle():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :120] + 0.5
    image = (300 + 20 * rng.standard_normal((200, 120))).astype(np.float32)
    image[x / 60 + y / 120 < 1] += 150
    line = find_pectoral(image, np.ones(image.shape, bool))
    assert line.col == pytest.approx(60, abs=6)
    assert line.row == pytest.approx(120, abs=10)
    assert line.agreement > 0.95


def test_preparation_keeps_the_muscle_where_asked_and_the_geometry_either_way():
    image = mammogram((300, 220), muscle=True)
    without = MammographyPreparation(size=(128, 96))(image)
    kept = MammographyPreparation(size=(128, 96), pectoral=True)(image)
    assert without.geometry == kept.geometry
    assert float(kept.image[10:30, 2:6].mean()) > 0.8
    assert not without.image[10:30, 2:6].any()


def test_a_mass_projected_on_the_muscle_stays():
    image = mammogram((300, 220), muscle=True)
    y, x = np.mgrid[:300, :220]
    mass = (y - 90) ** 2 + (x - 20) ** 2 < 9**2
    image += 60 * np.sin(x / 2).astype(np.float32) * (image > 1000)
    image[mass] += 400
    region = isolate_breast(image)
    rest = without_pectoral(region)
    assert rest.mask[mass].all()
    assert not rest.mask[110:120, 3:10].any()
