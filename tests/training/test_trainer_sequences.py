"""The trainer on breasts of several images, and that it does to single images what it always did."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from breastlabel.networks.base import HybridNetwork
from breastlabel.networks.sequences import SequenceNetwork
from breastlabel.training import TrainingArrays, TrainingSettings, fit
from breastlabel.training.losses import JointLoss
from breastlabel.training.trainer import EpochCallback, class_weights
from breastlabel.training.validation import run_network, validate
from breastlabel.transforms import Augmentation

Arrays = Callable[..., TrainingArrays]
Sequences = Callable[..., SequenceNetwork]
QUICK = TrainingSettings(epochs=4, learning_rate=3e-3, batch_size=4, precision="fp32", patience=None)


class _KilledError(Exception):
    pass


def _kill_after_two(figures: dict[str, float]) -> None:
    if figures["epoch"] == 2:
        raise _KilledError


def test_a_killed_training_on_breasts_goes_on_as_if_it_had_not_been(
    breasts: Arrays, tiny_sequences: Sequences, tmp_path: Path
) -> None:
    settings = dataclasses.replace(QUICK, average_decay=0.9, schedule="cosine", drop_views=0.3, max_images=5)
    train, val = breasts(9), breasts(6, seed=1)

    def run(folder: Path | None = None, on_epoch: Sequence[EpochCallback] = ()) -> HybridNetwork:
        augmentation = Augmentation(vertical_flip=0.5)
        return fit(
            tiny_sequences(), train, val, settings=settings, augmentation=augmentation, state_folder=folder,
            on_epoch=on_epoch,
        ).network  # fmt: skip

    whole = run()
    with pytest.raises(_KilledError):
        run(tmp_path / "state", on_epoch=(_kill_after_two,))
    epochs: list[float] = []
    resumed = run(tmp_path / "state", on_epoch=(lambda f: epochs.append(f["epoch"]),))
    assert epochs == [3, 4]
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_it_learns_outlines_and_the_class_of_a_breast(breasts: Arrays, tiny_sequences: Sequences) -> None:
    settings = dataclasses.replace(QUICK, epochs=20, learning_rate=1e-2, monitor="score")
    network = tiny_sequences(dropout=0.0, mask_dropout=0.0)
    result = fit(network, breasts(18), breasts(9, seed=1), settings=settings)
    best = result.history[result.best_epoch - 1]
    assert best["val_dice"] > 0.8
    assert best["val_auc"] > 0.9


def test_single_images_are_learned_from_as_before(
    discs: Arrays, tiny_network: Callable[..., HybridNetwork]
) -> None:
    """The loop as it was before there were cases, written out."""
    arrays, settings = discs(12), dataclasses.replace(QUICK, epochs=2, batch_size=6)
    augmentation = Augmentation.strong()
    found = fit(tiny_network(), arrays, None, settings=settings, augmentation=augmentation).network
    torch.manual_seed(settings.seed)
    network = tiny_network()
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
    loss = JointLoss(class_weights=class_weights(arrays.labels))
    for epoch in range(2):
        network.train()
        torch.manual_seed(epoch)
        order = torch.Generator().manual_seed(epoch)
        generator = torch.Generator().manual_seed(epoch)
        for index in torch.split(torch.randperm(12, generator=order), 6):
            images = torch.from_numpy(arrays.images)[index].float()[:, None]
            masks = torch.from_numpy(arrays.masks)[index].float()[:, None]
            images, masks = augmentation.apply(augmentation.draw(6, (32, 32), generator), images, masks)
            output = network(images.contiguous(memory_format=torch.channels_last))
            labels, has_mask = torch.from_numpy(arrays.labels)[index], torch.ones(6, dtype=torch.bool)
            parts = loss(
                output.mask_logits, output.class_logits, masks=masks, has_mask=has_mask, labels=labels
            )
            optimizer.zero_grad()
            torch.autograd.backward(parts.total)
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
    for (name, a), b in zip(found.state_dict().items(), network.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_answers_are_one_outline_an_image_and_one_class_a_breast(
    breasts: Arrays, tiny_sequences: Sequences
) -> None:
    arrays, network = breasts(6), tiny_sequences().eval()
    outputs = run_network(network, arrays, precision="fp32", batch_size=4)
    assert outputs.mask_logits.shape == arrays.images.shape
    assert outputs.class_logits.shape == (6, 3)
    for c in range(6):
        alone = arrays.select(np.array([c]))
        answer = run_network(network, alone, precision="fp32")
        np.testing.assert_allclose(outputs.class_logits[c], answer.class_logits[0], atol=1e-5)
        where = [arrays.ids.tolist().index(i) for i in alone.ids]
        np.testing.assert_allclose(outputs.mask_logits[where], answer.mask_logits, atol=1e-2)


def test_an_outline_of_a_prior_alone_is_not_judged(breasts: Arrays, tiny_sequences: Sequences) -> None:
    # The second breast, whose prior is of no other case here.
    arrays, network = breasts(6).select(np.array([4, 5])), tiny_sequences()
    for name, parameter in network.mask_head.named_parameters():  # type: ignore[union-attr]
        if name.endswith("bias"):
            # It outlines everything, so that what is wrong in a mask is seen.
            torch.nn.init.constant_(parameter, 5.0)
    alone = arrays.select(np.array([1]))
    prior = int(alone.cases.images[0])
    before = validate(network, alone, JointLoss(), QUICK)["val_dice"]
    alone.masks[prior] = 1 - alone.masks[prior]
    assert validate(network, alone, JointLoss(), QUICK)["val_dice"] == before
    judged = int(alone.cases.images[1])
    alone.masks[judged] = 1
    assert validate(network, alone, JointLoss(), QUICK)["val_dice"] != before


def test_flips_at_test_time_are_averaged_over_all_views(breasts: Arrays, tiny_sequences: Sequences) -> None:
    arrays, network = breasts(3), tiny_sequences().eval()
    plain = run_network(network, arrays, precision="fp32")
    flipped = dataclasses.replace(arrays, images=arrays.images[:, ::-1].copy())
    other = run_network(network, flipped, precision="fp32")
    both = run_network(network, arrays, views=("vertical_flip",), precision="fp32")
    mean = (plain.class_logits + other.class_logits) / 2
    np.testing.assert_allclose(both.class_logits, mean, atol=1e-5)
