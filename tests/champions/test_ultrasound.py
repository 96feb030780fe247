"""The shipped ultrasound champion answers as it did when it was shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from breastlabel import champions
from breastlabel.evaluation import dice
from breastlabel.imaging import LesionClass, read_image, read_mask
from breastlabel.inference import Predictor
from breastlabel.training import ModelRegistry, read_spec

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
ANSWERS: dict[str, Any] = json.loads((GOLDEN / "ultrasound.json").read_text(encoding="utf-8"))
# Inference is float32; other processors round it otherwise, by far less than this.
TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(ModelRegistry(None).champion("ultrasound"), device="cpu")


def test_the_golden_answers_are_this_champions(predictor: Predictor) -> None:
    assert predictor.version == ANSWERS["checkpoint"], "run scripts/make-golden and look at what changed"


@pytest.mark.parametrize("name", sorted(ANSWERS["answers"]))
def test_answers_are_the_golden_ones(predictor: Predictor, name: str) -> None:
    golden = ANSWERS["answers"][name]
    prediction = predictor.predict(read_image(ROOT / "sample-data" / f"{name}.nrrd"))
    assert prediction.predicted.label == golden["predicted"]
    assert prediction.class_probabilities == pytest.approx(golden["class_probabilities"], abs=TOLERANCE)
    mean = float(prediction.lesion_probability.mean())
    assert mean == pytest.approx(golden["mean_lesion_probability"], abs=TOLERANCE)
    mask = read_mask(GOLDEN / f"{name}.png")
    np.testing.assert_array_equal(np.unique(prediction.mask), np.unique(mask))
    if mask.any():
        assert dice(mask > 0, prediction.mask > 0) > 0.99


def test_the_card_says_what_a_reader_must_know() -> None:
    folder = champions.FOLDER / "ultrasound"
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    spec = read_spec(folder)
    assert spec["labels"] == [c.label for c in LesionClass]
    for needed in (
        "Not a medical device",
        spec["version"],
        "test splits",
        "plain U-Net",
        "BUSI",
        "BUS-BRA",
        "104863",
    ):
        assert needed in card
    training = spec["training"]
    assert training["epochs_done"] + sum(stage["epochs"] for stage in training["stages"]) > 10
    assert set(spec["metrics"]["test"]) == {"busi", "bus-bra"}
    size = sum(p.stat().st_size for p in folder.iterdir())
    assert size < 40e6
