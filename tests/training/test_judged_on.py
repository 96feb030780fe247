"""What a checkpoint's temperature and thresholds are chosen on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from breastlabel.networks.base import HybridNetwork
from breastlabel.training import TrainingArrays, TrainingSettings, load_checkpoint
from breastlabel.training.fitting import fit_checkpoint
from breastlabel.transforms import UltrasoundPreparation

SETTINGS = TrainingSettings(epochs=1, learning_rate=3e-3, batch_size=6, precision="fp32", patience=None)


def test_other_images_than_those_that_choose_the_epoch_can_be_judged_on(
    discs: Callable[..., TrainingArrays], tiny_network: Callable[..., HybridNetwork], tmp_path: Path
) -> None:
    specs = {}
    for name, judged in (("val", None), ("others", discs(9, seed=2))):
        folder = fit_checkpoint(
            tiny_network(),
            discs(12),
            discs(6, seed=1),
            model="ultrasound",
            preparation=UltrasoundPreparation(size=(32, 32)),
            settings=SETTINGS,
            output=tmp_path / name,
            judged_on=judged,
        )
        specs[name] = load_checkpoint(folder).spec
    assert specs["val"]["training"]["n_val"] == 6
    assert specs["others"]["training"]["n_val"] == 9
    # The epoch is chosen by the same images; what was measured at the end is of others.
    assert specs["val"]["training"]["best_epoch"] == specs["others"]["training"]["best_epoch"]
    assert specs["val"]["metrics"]["val"] != specs["others"]["metrics"]["val"]
