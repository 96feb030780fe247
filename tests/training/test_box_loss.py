"""Boxes are learned from outlines and from drawn boxes alike, and from nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from breastlabel.catalog import ImageRecord
from breastlabel.datasets import LabelledImage
from breastlabel.imaging import BreastImage, LesionClass, Modality
from breastlabel.networks import create_network
from breastlabel.networks.base import HybridNetwork
from breastlabel.training import TrainingArrays, TrainingSettings, load_checkpoint
from breastlabel.training.box_loss import box_loss
from breastlabel.training.fitting import fit_checkpoint
from breastlabel.training.losses import JointLoss
from breastlabel.training.picks import OnDevice, chunks, pick
from breastlabel.training.step import Step
from breastlabel.transforms import UltrasoundPreparation

pytest.importorskip("torchvision")

Breasts = Callable[..., TrainingArrays]


def _network() -> HybridNetwork:
    torch.manual_seed(0)
    return create_network("screening", cnn=(4, 8), backbone=None, hidden=4, features=4, boxes=True)


def _step(network: HybridNetwork, arrays: TrainingArrays, max_images: int | None = None) -> torch.Tensor:
    network.eval().zero_grad()
    step = Step(network, OnDevice(arrays, torch.device("cpu")), JointLoss(), "fp32", None, torch.Generator())
    return step(chunks(pick(network, arrays, torch.arange(len(arrays))), max_images))


def _of_boxes(network: HybridNetwork) -> dict[str, torch.Tensor]:
    named = network.named_parameters()
    return {k: p.grad.clone() for k, p in named if k.startswith("boxes.") and p.grad is not None}


def test_parts_of_a_step_add_up_and_unknown_images_teach_no_box(breasts: Breasts) -> None:
    arrays, network = breasts(6), _network()
    arrays.has_mask[[0, 4, 5]] = False
    whole, expected = _step(network, arrays), _of_boxes(network)
    assert whole[5] > 0
    assert whole[0] == pytest.approx(float(whole[3] + whole[5]))
    parts, in_parts = _step(network, arrays, max_images=4), _of_boxes(network)
    torch.testing.assert_close(parts, whole)
    for name, gradient in expected.items():
        torch.testing.assert_close(in_parts[name], gradient, msg=name, atol=1e-6, rtol=1e-3)
    # What is painted where nobody drew says nothing.
    arrays.masks[[0, 4, 5]] = 1 - arrays.masks[[0, 4, 5]]
    torch.testing.assert_close(_step(network, dataclasses.replace(arrays)), whole)
    arrays.has_mask[:] = False
    nothing = _step(network, dataclasses.replace(arrays))
    assert nothing[5] == 0
    assert not any(gradient.any() for gradient in _of_boxes(network).values())


def test_what_is_drawn_has_the_class_of_its_breast(breasts: Breasts) -> None:
    arrays = breasts(3)
    assert arrays.labels.tolist() == [0, 1, 2]
    expected = arrays.labels[arrays.image_cases]
    assert arrays.box_classes.tolist() == expected.tolist()
    arrays.masks[0] = 1
    arrays.labels[2] = -1
    changed = dataclasses.replace(arrays).box_classes
    # A lesion in a normal breast, and one of unknown class.
    assert changed[0] == -1
    assert (changed[arrays.image_cases == 2] == -1).all()
    arrays.has_mask[:], arrays.has_boxes[1] = False, True
    only = dataclasses.replace(arrays).box_classes
    assert (only >= 0).nonzero()[0].tolist() == [1]


def test_other_networks_have_no_box_loss(breasts: Breasts) -> None:
    network = create_network("screening", cnn=(4, 8), backbone=None, hidden=4, features=4)
    assert box_loss(network, None, masks=torch.zeros(1, 1, 8, 8), classes=torch.zeros(1)) is None


def test_drawn_boxes_come_along_with_the_image_and_are_no_outline(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((64, 32)).astype(np.float32)
    record = ImageRecord(
        "a", "a.png", "vindr-mammo", Modality.MG, "p", "p", metadata={"boxes": [[16, 8, 32, 24]]}
    )
    image = BreastImage(pixels, Modality.MG)
    items = [LabelledImage(record, image, mask, LesionClass.MALIGNANT) for mask in (None, np.zeros((64, 32)))]
    preparation = UltrasoundPreparation(size=(32, 16), fit="stretch")
    arrays = TrainingArrays.prepare(items, preparation)  # type: ignore[arg-type]
    assert arrays.has_boxes.tolist() == [True, False]
    assert arrays.has_mask.tolist() == [False, True]
    assert np.argwhere(arrays.masks[0]).min(0).tolist() == [8, 4]
    assert np.argwhere(arrays.masks[0]).max(0).tolist() == [15, 11]
    # A label map is newer than the boxes.
    assert not arrays.masks[1].any()
    arrays.save(tmp_path / "pack.npz")
    back = TrainingArrays.load(tmp_path / "pack.npz")
    assert back.select(np.array([1, 0])).has_boxes.tolist() == [False, True]


@pytest.mark.parametrize("drawn", [True, False])
def test_a_checkpoint_draws_boxes_where_lesions_were_drawn(
    drawn: bool, breasts: Breasts, tmp_path: Path
) -> None:
    arrays = breasts(6)
    arrays.has_mask[:] = drawn
    folder = fit_checkpoint(
        _network(),
        arrays,
        breasts(3, seed=1),
        model="screening",
        preparation=UltrasoundPreparation(size=(32, 32)),
        settings=TrainingSettings(epochs=1, batch_size=6, precision="fp32", patience=None),
        output=tmp_path / "a",
    )
    assert load_checkpoint(folder).network.finds_boxes == drawn
    assert ("train_boxes" in (folder / "history.json").read_text()) == drawn
