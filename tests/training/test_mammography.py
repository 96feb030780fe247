"""The four systems for mammography, from a studies folder to a checkpoint, and on from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from breastlabel import champions
from breastlabel.datasets.phantoms import write_mammogram_phantoms
from breastlabel.imaging import LesionClass, Modality
from breastlabel.networks.sequences import SequenceNetwork
from breastlabel.training import ModelRegistry, load_checkpoint
from breastlabel.training.presets import MODALITIES, PRESETS
from breastlabel.training.promotion import challenge
from breastlabel.training.run import train
from breastlabel.transforms import preparation_from_config

SYSTEMS = ["mammography", "cad", "screening", "fusionview"]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five patients to learn from, and six to choose on, each with a malignant and another breast."""
    folder = tmp_path_factory.mktemp("studies")
    shape, classes = (128, 104), [(LesionClass.MALIGNANT, LesionClass.BENIGN)]
    for split, exams, seed in (("train", 5, 1), ("val", 6, 2)):
        write_mammogram_phantoms(
            folder, exams=exams, seed=seed, shape=shape, classes=classes, priors=0.2, split=split, truth=False
        )
    return folder


@pytest.mark.parametrize("model", SYSTEMS)
def test_it_trains_goes_on_and_is_compared(
    model: str, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What ships is another comparison.
    monkeypatch.setattr(champions, "FOLDER", tmp_path)
    first = train(model, studies, output=tmp_path / "a", preset="tiny", epochs=1)
    checkpoint = load_checkpoint(first)
    assert isinstance(checkpoint.network, SequenceNetwork)
    point = checkpoint.spec["operating_point"]
    assert point["n_malignant"] >= 6
    assert point["sensitivity"] >= point["sensitivity_wanted"] == 0.9
    assert checkpoint.spec["thresholds"]["malignant"] == point["threshold"]
    assert "chosen for a sensitivity of 0.9" in (first / "MODEL_CARD.md").read_text()
    training = checkpoint.spec["training"]
    # P2 judges each image alone.
    assert (training["n_train"] < training["n_train_images"]) == (model != "cad")

    registry = ModelRegistry(studies)
    assert challenge(registry, model, first, studies).promoted
    second = train(model, studies, output=tmp_path / "b", preset="tiny", epochs=1, start_from=first)
    assert load_checkpoint(second).spec["training"]["start_from"] == checkpoint.version
    decision = challenge(registry, model, second, studies)
    assert decision.champion == checkpoint.version
    assert decision.auc_difference is not None
    assert decision.auc_n >= 12
    assert (decision.difference is not None) == (model == "mammography")


@pytest.mark.parametrize("model", SYSTEMS)
def test_every_preset_is_for_mammograms_of_a_size_that_its_network_takes(model: str) -> None:
    from breastlabel.networks import create_network

    assert MODALITIES[model] is Modality.MG
    assert set(PRESETS[model]) == {"default", "paper", "tiny"}
    for preset in PRESETS[model].values():
        network = create_network(**preset.network)
        rows, cols = preparation_from_config(preset.preparation).size
        assert rows % network.stride == cols % network.stride == 0
