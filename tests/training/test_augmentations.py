from __future__ import annotations

import pytest

from breastlabel.errors import UnknownNameError
from breastlabel.training.augmentations import create_augmentation
from breastlabel.training.presets import PRESETS
from breastlabel.transforms import Augmentation


def test_presets_name_augmentations_that_there_are() -> None:
    for presets in PRESETS.values():
        for preset in presets.values():
            assert (create_augmentation(preset.augmentation) is None) == (preset.augmentation is None)
    assert create_augmentation("paper") == Augmentation.paper()


def test_an_unknown_augmentation_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match="paper, strong"):
        create_augmentation("wild")
