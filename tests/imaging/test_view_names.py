"""Side and view are read from a name only where it says both, clearly."""

import pytest

from breastlabel.imaging import Laterality, ViewPosition
from breastlabel.imaging.view_names import side_and_view


@pytest.mark.parametrize(
    ("name", "side", "view"),
    [
        ("case7_R_MLO", "R", "MLO"),
        ("P1_L_DM_CC_LCC", "L", "CC"),
        ("LCC-2", "L", "CC"),
        ("mlo.left", "L", "MLO"),
        ("Mass-Training_P_00001_LEFT_CC", "L", "CC"),
        ("scan right ml 3", "R", "ML"),
    ],
)
def test_names_that_say_side_and_view(name, side, view):
    assert side_and_view(name) == (Laterality(side), ViewPosition(view))


@pytest.mark.parametrize(
    "name", ["", "bus_0001-l", "CC", "R", "L_benign_CC", "R_CC_L_CC", "lmo", "blcc", "R_CC-R_MLO"]
)
def test_names_that_do_not(name):
    assert side_and_view(name) is None
