"""Checkpoints: a folder with the weights, everything needed to use them, and a model card.

``model.safetensors`` holds the tensors, ``model.json`` the network and its arguments, the preparation
and its arguments, labels, calibration, thresholds, the training data's fingerprint, metrics and code
version, ``MODEL_CARD.md`` the same for people. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

import breastlabel
from breastlabel.errors import CheckpointError
from breastlabel.imaging.atomic import replace_folder, sync_files
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.networks import create_network, network_config
from breastlabel.networks.base import HybridNetwork
from breastlabel.training.card import model_card
from breastlabel.training.spec import FORMAT, read_spec, set_alias
from breastlabel.transforms import preparation_from_config

__all__ = ["FORMAT", "Checkpoint", "load_checkpoint", "read_spec", "save_checkpoint", "set_alias"]


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, ready to use.

    Attributes:
        network: in evaluation mode, on the CPU.
        preparation: what turns an image's pixels into the network's input.
        spec: the content of ``model.json``.
        path: the folder.
    """

    network: HybridNetwork
    preparation: Any
    spec: Mapping[str, Any]
    path: Path

    @property
    def version(self) -> str:
        """When it was trained and a hash of its weights, e.g. ``20261120-101500-1f9a03bc``."""
        return str(self.spec["version"])

    @property
    def model(self) -> str:
        """The system's name, e.g. ``ultrasound``."""
        return str(self.spec["model"])

    @property
    def labels(self) -> list[str]:
        """Class names in the order of the network's outputs."""
        return list(self.spec["labels"])


def save_checkpoint(
    folder: Path,
    network: HybridNetwork,
    *,
    model: str,
    preparation: Any,
    calibration: Mapping[str, float],
    thresholds: Mapping[str, float],
    operating_point: Mapping[str, Any] | None = None,
    inference: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    half: bool = False,
    card: str | None = None,
    add_files: Callable[[Path], None] | None = None,
) -> Path:
    """Write a checkpoint; the folder appears complete or not at all.

    Args:
        folder: replaced if it exists.
        model: the system's name.
        calibration: ``{"temperature": T}``.
        thresholds: ``mask``, ``normal`` and what else inference applies.
        operating_point: what ``thresholds["malignant"]`` achieves, see `OperatingPoint`.
        inference: defaults of inference (``superpixels``, ``tta``).
        training: settings, seed, data fingerprint, sources, the checkpoint it started from.
        metrics: figures by split.
        half: store weight matrices in 16 bits, half the size; they are used in 32 bits all the same.
        card: Markdown that the model card carries below what it says of every checkpoint.
        add_files: called with the unfinished folder to write what else belongs to the checkpoint.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tensors = {k: _stored(v, half=half) for k, v in network.state_dict().items()}
    weights = save(tensors)
    (partial / "model.safetensors").write_bytes(weights)
    digest = hashlib.sha256(weights).hexdigest()
    now = datetime.now(UTC)
    spec: dict[str, Any] = {
        "format": FORMAT,
        "model": model,
        "version": f"{now:%Y%m%d-%H%M%S}-{digest[:8]}",
        "created": now.isoformat(timespec="seconds"),
        "code_version": breastlabel.__version__,
        "network": network_config(network),
        "preparation": preparation.config(),
        "labels": [c.label for c in LesionClass],
        "calibration": dict(calibration),
        "thresholds": dict(thresholds),
        "operating_point": None if operating_point is None else dict(operating_point),
        "inference": dict(inference or {}),
        "training": dict(training or {}),
        "metrics": dict(metrics or {}),
        "sha256": digest,
    }
    (partial / "model.json").write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")
    (partial / "MODEL_CARD.md").write_text(model_card(spec) + (card or ""), encoding="utf-8")
    if add_files is not None:
        add_files(partial)
    sync_files(partial)
    replace_folder(partial, folder)
    return folder


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint and check that its weights are the ones that were written.

    Raises:
        CheckpointError: files are missing, damaged, or do not fit each other.
    """
    folder = Path(folder)
    spec = read_spec(folder)
    weights = folder / "model.safetensors"
    if hashlib.sha256(weights.read_bytes()).hexdigest() != spec.get("sha256"):
        raise CheckpointError(
            f"model.safetensors must be the file that model.json names by its hash; that of '{folder.name}' "
            "was changed or cut off; copy the checkpoint again"
        )
    try:
        arguments = dict(spec["network"])
        # The weights follow, so a pretrained encoder must not be looked for.
        if "pretrained" in arguments:
            arguments["pretrained"] = False
        network = create_network(arguments.pop("name"), **arguments)
        network.load_state_dict(load_file(weights))
        preparation = preparation_from_config(spec["preparation"])
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"network, weights and preparation of a checkpoint must fit; those of '{folder.name}' do not "
            f"({str(error).splitlines()[0]}); update breastlabel or train again"
        ) from error
    return Checkpoint(network.eval(), preparation, spec, folder)


def _stored(tensor: Tensor, *, half: bool) -> Tensor:
    # Statistics of normalisation keep their 32 bits: a small variance would lose its digits.
    weights = half and tensor.is_floating_point() and tensor.ndim >= 2
    return tensor.detach().cpu().to(torch.float16 if weights else tensor.dtype).contiguous().clone()
