"""Scoring by uncertainty: ours against MONAI Label's epistemic scoring, on the same network and images.

Without a GPU, processor time is counted, not the clock's: other work on the machine then does not matter.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import nn

from benchmarks.folders import image_id
from benchmarks.results import Row, at_least
from breastlabel import champions
from breastlabel.activelearning.scores import entropy, mask_disagreements
from breastlabel.activelearning.scoring import score_pool
from breastlabel.catalog import Catalog
from breastlabel.datasets.phantoms import ultrasound_phantom
from breastlabel.imaging import LesionClass, Modality, read_image
from breastlabel.inference import Predictor
from breastlabel.networks import create_network
from breastlabel.networks.dropout import set_dropout
from breastlabel.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

__all__ = ["rows"]

PASSES = 10
# Not BALD: a difference of entropies, which ten naive passes do not even rank as ten others do.
_MODEL, _METHODS = "ultrasound", ("entropy", "mask-disagreement")
_SHAPE = (400, 500)
_NAIVE_RUNS = 4
_now = time.perf_counter if torch.cuda.is_available() else time.process_time

Doubles = npt.NDArray[np.float64]


def rows(*, images: int = 24, turns: int = 2, ranked: int = 60) -> list[Row]:
    """Speed and agreement, for dropout after the decoder and inside it.

    Args:
        images: how many are scored in each turn.
        turns: how often ours and the stock scoring follow one another.
        ranked: how many images are ranked for the agreement; few are ranked by chance as much as by score.
    """
    logging.disable(logging.INFO)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool, large = _pool(folder / "pool", images), _pool(folder / "large", ranked)
        sites = {"after the decoder": (0.0, 5.0), "inside the decoder": (0.1, 1.5)}
        for where, (decoder_dropout, bar) in sites.items():
            checkpoint = _with_dropout(folder / where, decoder_dropout)
            found.append(_speed(checkpoint, pool, where, bar, turns))
            found += _agreements(checkpoint, large, where)
    return found


def _pool(folder: Path, images: int) -> Path:
    folder.mkdir()
    for i in range(images):
        phantom = ultrasound_phantom(i, label=LesionClass(i % 3), shape=_SHAPE)
        Image.fromarray(phantom.pixels.astype(np.uint8)).save(folder / f"{image_id(i)}.png")
    return folder


def _with_dropout(folder: Path, decoder_dropout: float) -> Checkpoint:
    """The shipped champion, with dropout at the wanted place: the weights are the same."""
    champion = load_checkpoint(champions.FOLDER / _MODEL)
    arguments = {**champion.spec["network"], "decoder_dropout": decoder_dropout, "texture": False}
    network = create_network(arguments.pop("name"), **arguments)
    # The layer behind the texture features has another width without them; it is drawn anew.
    shapes = {k: v.shape for k, v in network.state_dict().items()}
    weights = {k: v for k, v in champion.network.state_dict().items() if shapes.get(k) == v.shape}
    torch.manual_seed(0)
    network.load_state_dict({**network.state_dict(), **weights})
    save_checkpoint(
        folder,
        network.eval(),
        model=_MODEL,
        preparation=champion.preparation,
        calibration=champion.spec["calibration"],
        thresholds=champion.spec["thresholds"],
    )
    return load_checkpoint(folder)


def _speed(checkpoint: Checkpoint, pool: Path, where: str, bar: float, turns: int) -> Row:
    n = len(list(pool.iterdir()))
    ours, stock = [], []
    for turn in range(turns):
        runs = [
            (ours, lambda: _ours(checkpoint, pool)[0]),
            (stock, lambda: _stock(checkpoint, pool)),
        ]
        for times, run in runs if turn % 2 else reversed(runs):
            times.append(run())
    mine, theirs = float(np.median(ours)), float(np.median(stock))
    return at_least(
        f"score {n} images, T = {PASSES}, dropout {where}",
        f"{n / mine:.1f} images/s",
        f"epistemic scoring {n / theirs:.1f}",
        theirs / mine,
        bar,
    )


def _ours(checkpoint: Checkpoint, pool: Path) -> tuple[float, dict[str, Doubles]]:
    """Seconds, and each method's scores in the order of the ids."""
    with tempfile.TemporaryDirectory() as name:
        studies = Path(shutil.copytree(pool, Path(name) / "studies"))
        with Catalog.open(studies) as catalog:
            predictor = Predictor(checkpoint)
            started = _now()
            score_pool(predictor, catalog, _METHODS, model=_MODEL, passes=PASSES)
            seconds = _now() - started
            ids = sorted(record.image_id for record in catalog.images())
            known = {i: {score.method: score.value for score in catalog.scores.of(i)} for i in ids}
    return seconds, {method: np.array([known[i][method] for i in ids]) for method in _METHODS}


class _MaskOnly(nn.Module):
    """The same network, as the stock scoring wants one: a tensor in, a tensor out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(image).mask_logits
        return logits


def _stock(checkpoint: Checkpoint, pool: Path) -> float:
    from monai.transforms import EnsureChannelFirstd, EnsureTyped, LoadImaged, Resized, ScaleIntensityd
    from monailabel.datastore.local import LocalDatastore
    from monailabel.tasks.scoring.epistemic import EpistemicScoring

    size = tuple(checkpoint.spec["preparation"]["size"])
    transforms = [
        LoadImaged(keys="image"),
        EnsureChannelFirstd(keys="image"),
        ScaleIntensityd(keys="image"),
        Resized(keys="image", spatial_size=size, mode="area"),
        EnsureTyped(keys="image"),
    ]
    with tempfile.TemporaryDirectory() as name:
        store = LocalDatastore(str(shutil.copytree(pool, Path(name) / "studies")), extensions=["*.png"])
        scoring = EpistemicScoring(
            "none.pt", _MaskOnly(checkpoint.network), transforms, roi_size=size, num_samples=PASSES
        )
        started = _now()
        done = scoring({}, store)
        seconds = _now() - started
    assert len(done) == len(list(pool.iterdir())), "the stock scoring left images out"
    return seconds


def _agreements(checkpoint: Checkpoint, pool: Path, where: str) -> list[Row]:
    """Rank correlation with naive passes, against that of naive with naive; means over the runs."""
    images = []
    for path in sorted(pool.iterdir()):
        image = read_image(path, modality=Modality.US)
        images.append(checkpoint.preparation(image.pixels).image)
    batch = torch.from_numpy(np.stack(images)).float()[:, None]
    scores = _ours(checkpoint, pool)[1]
    runs = [_naive(checkpoint, batch, seed) for seed in range(_NAIVE_RUNS)]
    found = []
    for method in _METHODS:
        naive = [run[method] for run in runs]
        among = np.mean([spearmanr(a, b).statistic for a, b in combinations(naive, 2)])
        with_ours = np.mean([spearmanr(scores[method], other).statistic for other in naive])
        found.append(
            at_least(
                f"rank {len(images)} images, T = {PASSES}, dropout {where}: {method}",
                f"correlation with naive passes {with_ours:.3f}",
                f"naive with naive {among:.3f}",
                float(with_ours - among),
                -0.05,
                unit=" more",
            )
        )
    return found


@torch.inference_mode()
def _naive(checkpoint: Checkpoint, batch: torch.Tensor, seed: int) -> dict[str, Doubles]:
    """Each pass a whole run of the network, in which every image meets a draw of its own."""
    torch.manual_seed(seed)
    network, temperature = checkpoint.network, float(checkpoint.spec["calibration"]["temperature"])
    classes, masks = [], []
    set_dropout(network, True)
    for _ in range(PASSES):
        outputs = [network(images) for images in batch.split(8)]
        classes.append(torch.cat([(o.class_logits / temperature).softmax(1) for o in outputs]).numpy())
        masks.append(torch.cat([o.mask_logits.sigmoid()[:, 0] for o in outputs]).numpy())
    set_dropout(network, False)
    level = float(checkpoint.spec["thresholds"]["mask"])
    disagreement = mask_disagreements(np.moveaxis(np.stack(masks), 0, 1), level=level)
    return {"entropy": entropy(np.mean(classes, axis=0)), "mask-disagreement": disagreement}
