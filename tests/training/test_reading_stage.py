"""The reading of whole breasts, learned on features computed once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from breastlabel.imaging.context import CONTEXT_NAMES, CONTEXT_SIZE
from breastlabel.networks import MammographyHybrid
from breastlabel.training import TrainingArrays, TrainingSettings
from breastlabel.training.cases import Cases
from breastlabel.training.reading_stage import ReadingStage, computed_steps, learn_to_read, with_eyes_of
from breastlabel.training.validation import area_under_roc, run_network
from breastlabel.transforms import Augmentation

SETTINGS = TrainingSettings(precision="fp32", seed=3)
STAGE = ReadingStage(epochs=3, batch_size=8, appearances=3)
_IS_PRIOR = CONTEXT_NAMES.index("is_prior")


def network(**arguments: object) -> MammographyHybrid:
    torch.manual_seed(1)
    small = {
        "widths": (4, 8),
        "recurrent_hidden": 8,
        "recurrence": "gru",
        "norm_steps": True,
        "measures": True,
    }
    return MammographyHybrid(**{**small, **arguments}).eval()  # type: ignore[arg-type]


def breasts(n: int, seed: int) -> TrainingArrays:
    """A prior and a newest image each, of one grey each: malignant where the newest is the brighter one."""
    rng = np.random.default_rng(seed)
    greys = rng.uniform(0.2, 0.8, (n, 2))
    images = np.repeat(greys.ravel(), 256).reshape(2 * n, 16, 16).astype(np.float16)
    context = np.zeros((2, CONTEXT_SIZE), np.float32)
    context[0, _IS_PRIOR] = 1
    names = np.array([f"breast-{i}" for i in range(n)])
    return TrainingArrays(
        images,
        np.zeros(images.shape, np.uint8),
        np.zeros(2 * n, bool),
        np.where(greys[:, 1] > greys[:, 0], 2, 0).astype(np.int64),
        np.array([f"image-{i}" for i in range(2 * n)]),
        names,
        Cases.of_lists(
            names.tolist(), [[2 * i, 2 * i + 1] for i in range(n)], [[False, True]] * n, [context] * n
        ),
    )


def test_what_only_two_dates_tell_is_learned():
    stage = ReadingStage(epochs=40, batch_size=16, learning_rate=1e-2, drop_views=0.0, drop_features=0.0)
    held_out = breasts(60, 2)
    result = learn_to_read(network(), breasts(120, 1), held_out, stage=stage, settings=SETTINGS)
    scores = run_network(result.network, held_out, precision="fp32").class_logits[:, 2]
    assert area_under_roc(scores, held_out.labels == 2) > 0.95
    assert result.best_epoch == min(result.history, key=lambda f: f["val_class"])["epoch"]
    assert not result.network.training


@pytest.mark.parametrize("recurrence", ["gru", "lstm", "transformer", "mean", None])
def test_nothing_but_the_reading_changes(recurrence: str | None):
    ours = network(recurrence=recurrence)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    learn_to_read(ours, breasts(20, 1), None, stage=STAGE, settings=SETTINGS)
    read = ("aggregation.", "dense.", "step_norm.")
    for name, value in ours.state_dict().items():
        if name.startswith(read):
            continue
        assert torch.equal(value, before[name]), name
    assert not torch.equal(ours.dense.weight, before["dense.weight"])


def test_another_reading_can_be_put_over_the_same_eyes():
    trained = network()
    ours = with_eyes_of(network(recurrence="lstm", shortcut=True, comparisons=True), trained)
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(ours(images).mask_logits, trained(images).mask_logits)
    with pytest.raises(RuntimeError, match="size mismatch"):
        with_eyes_of(network(widths=(4, 6)), trained)


def test_the_same_seed_learns_the_same():
    first, second = (
        learn_to_read(network(), breasts(20, 1), breasts(8, 2), stage=STAGE, settings=SETTINGS).network
        for _ in range(2)
    )
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_appearances_are_the_image_and_its_turn():
    arrays = breasts(3, 1)
    arrays.images[:] = np.random.default_rng(0).random(arrays.images.shape)
    ours = network()
    steps = computed_steps(ours, arrays, settings=SETTINGS, appearances=2)
    turned = breasts(3, 1)
    turned.images[:] = arrays.images[:, ::-1]
    again = computed_steps(ours, turned, settings=SETTINGS, appearances=2)
    torch.testing.assert_close(steps[0], again[1])
    torch.testing.assert_close(steps[1], again[0])
    assert not torch.allclose(steps[0], steps[1])


def test_augmentation_leaves_the_first_appearance_alone():
    arrays = breasts(3, 1)
    plain, strong = (
        computed_steps(network(), arrays, settings=SETTINGS, appearances=2, augmentation=augmentation)
        for augmentation in (None, Augmentation.strong())
    )
    torch.testing.assert_close(plain[0], strong[0])
    assert not torch.allclose(plain[1], strong[1])


def test_the_network_answers_as_the_computed_steps_do():
    arrays = breasts(6, 1)
    result = learn_to_read(network(), arrays, None, stage=STAGE, settings=SETTINGS)
    answers = run_network(result.network, arrays, precision="fp32").class_logits
    one_by_one = [
        run_network(result.network, arrays.select(np.array([i])), precision="fp32").class_logits[0]
        for i in range(6)
    ]
    np.testing.assert_allclose(answers, one_by_one, atol=1e-5)
    assert [f["epoch"] for f in result.history] == [1, 2, 3]
    assert result.best_epoch == 3


def test_a_breast_without_a_class_teaches_nothing():
    arrays = breasts(8, 1)
    arrays.labels[:] = -1
    ours = network()
    stage = ReadingStage(epochs=1, batch_size=8, weight_decay=0.0, appearances=1)
    result = learn_to_read(ours, arrays, None, stage=stage, settings=SETTINGS)
    assert result.history[0]["train_class"] == 0
    assert float(ours.dense.bias.detach().abs().sum()) == 0
