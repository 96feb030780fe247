"""Grad-CAM: where the class comes from (Selvaraju et al., ICCV 2017; P1, section V and figure 7).

The heat is read off the network's deepest feature map, after the recurrence where there is one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from breastlabel.imaging.image import FloatArray
from breastlabel.networks import HybridNetwork

__all__ = ["class_heat_map", "grad_cam", "peak_in_lesion", "thresholded_region", "unit_heat"]


def class_heat_map(network: HybridNetwork, image: Tensor, class_index: int | None = None) -> FloatArray:
    """Heat map of one image for one class.

    Args:
        network: in evaluation mode; its parameters and their gradients are left alone.
        image: (1, 1, H, W), on the network's device.
        class_index: the class to explain, "normal" (0) too; the predicted one where None.

    Returns:
        (H, W), float32 in [0, 1], 1 at the peak; all zero where nothing speaks for the class.
    """
    network.check_input(image)
    with torch.no_grad():
        features = network.encode(image)
    with torch.enable_grad():
        # The gradient starts behind the encoder and its recurrence: no backward pass through either.
        deepest = features[-1].detach().requires_grad_(True)
        decoded = network.decode([*features[:-1], deepest])
        logits = network.heads(decoded, deepest, image).class_logits[0]
        index = int(logits.argmax()) if class_index is None else class_index
        if not logits.requires_grad:
            return np.zeros(tuple(image.shape[-2:]), dtype=np.float32)
        # A class that is not read off the feature map (a baseline on texture alone) lights nothing.
        gradients: tuple[Tensor, ...] = torch.autograd.grad(
            logits[index], deepest, allow_unused=True, materialize_grads=True
        )
    heat = grad_cam(deepest.detach(), gradients[0])
    upsampled = F.interpolate(heat[:, None], size=image.shape[-2:], mode="bilinear", align_corners=False)
    return unit_heat(upsampled[0, 0].float().cpu().numpy())


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """ReLU of the feature maps weighted by their mean gradients, equations 1 and 2 of the paper.

    (B, C, h, w) and its gradient of the same shape -> (B, h, w), not normalised.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return F.relu((weights * activations).sum(dim=1))


def unit_heat(heat: FloatArray) -> FloatArray:
    """Scale a heat map so that its maximum is 1; an all-zero map stays so."""
    peak = float(heat.max())
    positive = np.maximum(heat, 0.0)
    return (positive / peak if peak > 0.0 else positive).astype(np.float32)


def thresholded_region(heat: FloatArray, *, fraction: float = 0.5) -> npt.NDArray[np.bool_]:
    """Pixels with at least ``fraction`` of the heat map's maximum (P1, figure 7c); none if it is all zero."""
    peak = float(heat.max())
    if peak <= 0.0:
        return np.zeros(heat.shape, dtype=np.bool_)
    result: npt.NDArray[np.bool_] = heat >= fraction * peak
    return result


def peak_in_lesion(heat: FloatArray, mask: npt.NDArray[np.generic]) -> bool:
    """Whether the hottest pixel lies in the lesion (``mask`` nonzero); never, if the heat is all zero."""
    if heat.shape != mask.shape:
        raise ValueError(f"heat and mask must have one shape; got {heat.shape} and {mask.shape}")
    if float(heat.max()) <= 0.0:
        return False
    return bool(mask.flat[int(np.argmax(heat))])
