"""The trainer's state on disk, so that a killed training goes on where it was.

Tensors go into ``state.safetensors``, numbers into ``state.json``; both are replaced together, with the
folder that holds them, so that a kill at any instant leaves the old state or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from breastlabel.errors import CheckpointError
from breastlabel.imaging.atomic import replace_folder, restore_folder, write_bytes_atomically
from breastlabel.networks.base import HybridNetwork

__all__ = ["TrainerState", "load_state", "save_state"]


class TrainerState:
    """What goes on from epoch to epoch.

    Attributes:
        network: the network in training.
        average: moving average of its parameters and buffers by name, empty when switched off.
        best: the weights of the best epoch by name.
        optimizer: AdamW over ``network``'s parameters.
        epoch: epochs done.
        best_epoch: which one was best, 0 before the first.
        best_value: the monitored figure there.
        elapsed: seconds on the training's clock, over all its runs.
        history: one dict an epoch.
    """

    def __init__(self, network: HybridNetwork, optimizer: torch.optim.Optimizer) -> None:
        self.network = network
        self.optimizer = optimizer
        self.average: dict[str, Tensor] = {}
        self.best: dict[str, Tensor] = {}
        self.epoch = 0
        self.best_epoch = 0
        self.best_value = float("inf")
        self.elapsed = 0.0
        self.history: list[dict[str, float]] = []


_NUMBERS = ("epoch", "best_epoch", "best_value", "elapsed", "history")


def save_state(state: TrainerState, folder: Path, *, identity: str) -> None:
    """Write the state into ``folder``.

    Args:
        identity: names what is trained on what (network, settings, data, origin); a state of another
            identity is not resumed.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tensors = {f"network.{k}": v for k, v in state.network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.items()}
    tensors |= {f"best.{k}": v for k, v in state.best.items()}
    for index, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in values.items()}
    save_file(
        {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, partial / "state.safetensors"
    )
    numbers = {name: getattr(state, name) for name in _NUMBERS} | {"identity": identity}
    # Last and whole: a folder that has it is complete.
    write_bytes_atomically(partial / "state.json", json.dumps(numbers).encode())
    replace_folder(partial, folder)


def load_state(state: TrainerState, folder: Path, *, identity: str) -> bool:
    """Read the state of a killed training into ``state``; False where there is none.

    Raises:
        CheckpointError: the folder holds the state of another training.
    """
    partial = folder.with_name(folder.name + ".partial")
    if not folder.exists() and (partial / "state.json").exists():
        os.replace(partial, folder)
    restore_folder(folder)
    if not (folder / "state.json").exists():
        return False
    numbers = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if numbers.pop("identity") != identity:
        raise CheckpointError(
            "the output folder must be empty or hold this very training, to go on with it; it holds one with "
            "another start, another network, other settings or other labels; give another --output or remove "
            "it"
        )
    tensors = load_file(folder / "state.safetensors")
    state.network.load_state_dict(_with_prefix(tensors, "network."))
    state.average = _to_device(_with_prefix(tensors, "average."), state.network)
    state.best = _with_prefix(tensors, "best.")
    values: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _with_prefix(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        values.setdefault(int(index), {})[key] = tensor
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": values, "param_groups": groups})
    for name in _NUMBERS:
        setattr(state, name, numbers[name])
    return True


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _to_device(tensors: dict[str, Tensor], network: HybridNetwork) -> dict[str, Tensor]:
    device = next(network.parameters()).device
    return {k: v.to(device) for k, v in tensors.items()}
