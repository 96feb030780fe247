from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from breastlabel.inference.calibration import fit_temperature
from breastlabel.networks import HybridOutput
from breastlabel.training import TrainingArrays
from breastlabel.training.calibrate import Kept, choose_on_validation


class _Answers(nn.Module):
    """Answers with the logits it was given, whatever the image shows."""

    def __init__(self, mask_logits: Tensor, class_logits: Tensor) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.mask_logits, self.class_logits = mask_logits, class_logits
        self.invasive_logits: Tensor | None = None

    def forward(self, image: Tensor) -> HybridOutput:
        return HybridOutput(self.mask_logits, self.class_logits, self.invasive_logits)


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def _arrays(masks: np.ndarray, labels: list[int]) -> TrainingArrays:
    n = len(masks)
    names = np.asarray([str(i) for i in range(n)])
    images = np.zeros(masks.shape, np.float16)
    return TrainingArrays(images, masks.astype(np.uint8), np.ones(n, bool), np.asarray(labels), names, names)


def test_thresholds_are_those_that_serve_the_validation_images_best() -> None:
    masks = np.zeros((3, 4, 4), bool)
    masks[:2, :2] = True
    # Lesion pixels have probability 0.63, the rest 0.57: only thresholds between part them.
    mask_logits = torch.where(torch.from_numpy(masks)[:, None], _logit(0.63), _logit(0.57))
    # The second lesion's image looks normal with 0.72, the true normal with 0.88.
    p = torch.tensor([[0.1, 0.8, 0.1], [0.72, 0.2, 0.08], [0.88, 0.1, 0.02]])
    choice = choose_on_validation(
        _Answers(mask_logits.float(), p.log()),
        _arrays(masks, [1, 1, 0]),  # type: ignore[arg-type]
    )
    assert choice.thresholds["mask"] == 0.6
    sharpened = (p.log() / choice.calibration["temperature"]).softmax(1)[:, 0]
    assert sharpened[1] < choice.thresholds["normal"] <= sharpened[2]
    assert choice.calibration["temperature"] > 0


def test_without_validation_images_the_values_are_neutral() -> None:
    choice = choose_on_validation(_Answers(torch.zeros(1), torch.zeros(1)), None)  # type: ignore[arg-type]
    assert choice.calibration == {"temperature": 1.0}
    assert choice.thresholds == {"mask": 0.5, "normal": 0.5}
    assert choice.figures == {}


class _OneSided(nn.Module):
    """Speaks for the second class by the left half of the image, and against it by the right half."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> HybridOutput:
        half = image.shape[-1] // 2
        left, right = image[..., :half].mean((1, 2, 3)), image[..., half:].mean((1, 2, 3))
        classes = torch.stack([torch.zeros_like(left), 4 * left - 2 * right, torch.zeros_like(left)], dim=1)
        return HybridOutput(torch.zeros_like(image), classes)


def test_temperature_is_fitted_on_what_the_checkpoint_will_answer() -> None:
    arrays = _arrays(np.zeros((4, 4, 4), bool), [1, 1, 0, 1])
    arrays.images[:3, :, :2] = 1
    arrays.images[3, :, 2:] = 1
    network: Any = _OneSided()
    # By hand: flipped, left and right change places; the mean of 4 and -2 is 1 for every image.
    mean = np.array([[0, 1, 0]] * 4, np.float32)
    both = choose_on_validation(network, arrays, views=("horizontal_flip",)).calibration["temperature"]
    assert both == pytest.approx(fit_temperature(mean, arrays.labels), rel=1e-3)
    assert both != pytest.approx(choose_on_validation(network, arrays).calibration["temperature"], rel=0.1)


def test_the_threshold_of_a_breast_is_chosen_for_a_stated_sensitivity() -> None:
    masks = np.zeros((5, 4, 4), bool)
    # Malignant with 0.9, 0.6, 0.3; the others with 0.5 and 0.1.
    p = torch.tensor([[1 - m - 0.01, 0.01, m] for m in (0.9, 0.6, 0.3, 0.5, 0.1)])
    arrays = _arrays(masks, [2, 2, 2, 1, 0])
    network: Any = _Answers(torch.full((5, 1, 4, 4), -5.0), p.log())
    choice = choose_on_validation(network, arrays, sensitivity=0.6)
    point = choice.operating_point
    assert point is not None
    assert point["sensitivity"] == pytest.approx(2 / 3)
    assert point["specificity"] == 1
    assert choice.thresholds["malignant"] == point["threshold"]
    assert choose_on_validation(network, arrays).operating_point["specificity"] == 0.5  # type: ignore[index]
    kept = Kept({"temperature": 1.0}, {"mask": 0.5, "normal": 0.5, "malignant": 0.8})
    measured = choose_on_validation(network, arrays, kept=kept)
    assert measured.thresholds == kept.thresholds
    assert measured.operating_point is not None
    assert measured.operating_point["sensitivity"] == pytest.approx(1 / 3)


def test_without_a_malignant_case_there_is_no_operating_point() -> None:
    network: Any = _Answers(torch.full((2, 1, 4, 4), -5.0), torch.zeros(2, 3))
    choice = choose_on_validation(network, _arrays(np.zeros((2, 4, 4), bool), [0, 1]))
    assert choice.operating_point is None
    assert "malignant" not in choice.thresholds


def test_whether_cancers_are_invasive_is_calibrated_by_itself() -> None:
    network = _Answers(torch.zeros(31, 1, 2, 2), torch.zeros(31, 3))
    network.invasive_logits = torch.full((31,), 4.0)
    arrays = _arrays(np.zeros((31, 2, 2), bool), [2] * 30 + [0])
    # Of 30 cancers that look alike 20 are invasive: odds of 2 to 1 for a logit of 4 / T.
    arrays.invasive[:30] = [1] * 20 + [0] * 10
    choice = choose_on_validation(network, arrays)  # type: ignore[arg-type]
    assert 4.0 / choice.calibration["invasive_temperature"] == pytest.approx(np.log(2), abs=1e-3)
    assert choice.figures["auc_invasive"] == 0.5
    arrays.invasive[20] = -1
    few = choose_on_validation(network, arrays)  # type: ignore[arg-type]
    assert "invasive_temperature" not in few.calibration
    arrays.invasive[:30] = 1
    alike = choose_on_validation(network, arrays)  # type: ignore[arg-type]
    assert "auc_invasive" not in alike.figures
