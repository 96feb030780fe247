"""The trainer's state survives a kill at any instant."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from breastlabel.networks.base import HybridNetwork
from breastlabel.training.state import TrainerState, load_state, save_state

Tiny = Callable[..., HybridNetwork]


class _DyingError(Exception):
    pass


def _die_while_removing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill while a folder is removed: one of its files is gone, the others are there."""

    def dying(folder: Path, **_: object) -> None:
        if Path(folder).is_dir():
            max(p for p in Path(folder).rglob("*") if p.is_file()).unlink()
            raise _DyingError

    monkeypatch.setattr(shutil, "rmtree", dying)


def test_a_kill_while_the_old_state_is_removed_leaves_a_whole_one(
    tiny_network: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny_network()
    state = TrainerState(network, torch.optim.AdamW(network.parameters()))
    folder = tmp_path / "state"
    save_state(state, folder, identity="a")
    state.epoch = 1
    with monkeypatch.context() as patch:
        _die_while_removing(patch)
        with pytest.raises(_DyingError):
            save_state(state, folder, identity="a")
    assert load_state(state, folder, identity="a")
    assert state.epoch == 1
    state.epoch = 2
    save_state(state, folder, identity="a")
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_kill_between_the_renames_leaves_the_state_before(tiny_network: Tiny, tmp_path: Path) -> None:
    network = tiny_network()
    state = TrainerState(network, torch.optim.AdamW(network.parameters()))
    folder = tmp_path / "state"
    save_state(state, folder, identity="a")
    folder.rename(tmp_path / "state.old.partial")
    assert load_state(state, folder, identity="a")
