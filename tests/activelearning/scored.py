"""Small studies folders, and a tiny model to score them with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from breastlabel.inference import Predictor
from breastlabel.networks import create_network
from breastlabel.networks.base import HybridNetwork
from breastlabel.transforms import preparation_from_config

VERSION = "20261120-000000-12345678"
PREPARATION = {
    "name": "ultrasound",
    "size": (32, 32),
    "percentiles": (0, 100),
    "clahe": False,
    "gaussian": False,
}


def tiny_network(**arguments: Any) -> HybridNetwork:
    """The smallest hybrid whose masks and classes vary from image to image; the same weights each time."""
    torch.manual_seed(0)
    defaults = {"widths": (4, 8), "recurrent_hidden": 4, "texture": False, "mask_dropout": 0.3}
    network = create_network("ultrasound", **(defaults | arguments))
    with torch.no_grad():
        network.mask_head.project.weight.mul_(20)
        network.mask_head.project.bias.zero_()
        network.class_head.project.weight.mul_(100)
    return network.eval()


def tiny_predictor(*, version: str = VERSION, network: HybridNetwork | None = None, **spec: Any) -> Predictor:
    """A predictor on the processor."""
    checkpoint = SimpleNamespace(
        network=network or tiny_network(),
        preparation=preparation_from_config(PREPARATION),
        version=version,
        spec={"calibration": {"temperature": 1.0}, "thresholds": {"mask": 0.5, "normal": 0.5}, **spec},
    )
    return Predictor(checkpoint, device="cpu")


def write_images(studies: Path, n: int, *, seed: int = 0, shape: tuple[int, int] = (24, 28)) -> list[str]:
    """n PNG files, each with a bright disc somewhere on noise; their ids."""
    studies.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    ids = [f"image-{i:03d}" for i in range(n)]
    for image_id in ids:
        row, col, radius = rng.uniform(4, shape[0] - 4), rng.uniform(4, shape[1] - 4), rng.uniform(2, 9)
        disc = (rows - row) ** 2 + (cols - col) ** 2 < radius**2
        pixels = rng.uniform(0, 120, shape) + disc * rng.uniform(20, 130)
        Image.fromarray(pixels.astype(np.uint8)).save(studies / f"{image_id}.png")
    return ids
