"""Memory while a large pool is scored."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import psutil
import torch

from benchmarks.folders import studies_of
from benchmarks.results import Row, at_most
from breastlabel.activelearning.scoring import score_pool
from breastlabel.catalog import Catalog
from breastlabel.inference import Predictor
from breastlabel.networks import create_network
from breastlabel.training.checkpoint import load_checkpoint, save_checkpoint
from breastlabel.training.presets import preset
from breastlabel.transforms import preparation_from_config

__all__ = ["rows"]

#: From here on everything is loaded that scoring needs.
_SETTLED = 0.1
_MIB = 2**20


def rows(*, images: int = 50_000) -> list[Row]:
    """How much the process grows between the first tenth of the images and the end, scores written."""
    logging.disable(logging.INFO)
    process = psutil.Process()
    seen: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as name:
        studies = studies_of(Path(name) / "studies", images)
        predictor = Predictor(load_checkpoint(_tiny(Path(name) / "checkpoint")))
        with Catalog.open(studies) as catalog:
            result = score_pool(
                predictor,
                catalog,
                ("entropy", "bald"),
                model="ultrasound",
                batch_size=64,
                progress=lambda what, done, total: seen.append((done, process.memory_info().rss)),
            )
        seen.append((images, process.memory_info().rss))
    assert result.n_scored == images, "scoring left images out"
    settled = next(rss for done, rss in seen if done >= _SETTLED * images)
    peak = max(rss for done, rss in seen if done >= _SETTLED * images)
    return [
        at_most(
            f"score {images:,} images, tiny network",
            f"{result.images_per_second:.0f} images/s, peak {peak / _MIB:.0f} MiB",
            f"after a tenth of them {settled / _MIB:.0f} MiB",
            (peak - settled) / _MIB,
            100.0,
            unit=" MiB more",
        )
    ]


def _tiny(folder: Path) -> Path:
    tiny = preset("ultrasound", "tiny")
    torch.manual_seed(0)
    arguments = dict(tiny.network)
    network = create_network(arguments.pop("name"), **arguments)
    return save_checkpoint(
        folder,
        network.eval(),
        model="ultrasound",
        preparation=preparation_from_config(dict(tiny.preparation)),
        calibration={"temperature": 1.0},
        thresholds={"mask": 0.5, "normal": 0.5},
    )
