from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from breastlabel import champions
from breastlabel.errors import CheckpointError, NotFoundError
from breastlabel.networks.base import HybridNetwork
from breastlabel.training import ModelRegistry, load_checkpoint, save_checkpoint
from breastlabel.training import registry as registry_module
from breastlabel.training.promotion import challenge
from breastlabel.transforms import UltrasoundPreparation

Save = Callable[..., Path]


@pytest.fixture
def save(tiny_network: Callable[..., HybridNetwork], tmp_path: Path) -> Save:
    def make(name: str = "checkpoint", **changes: object) -> Path:
        network = tiny_network().eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += torch.randn_like(parameter) * 0.01 * (1 + len(name))
        arguments: dict[str, object] = {
            "model": "ultrasound",
            "preparation": UltrasoundPreparation(size=(32, 32), clahe=False),
            "calibration": {"temperature": 1.5},
            "thresholds": {"mask": 0.4, "normal": 0.5},
            "training": {"seed": 3},
            "metrics": {"val": {"dice": 0.5}},
        }
        return save_checkpoint(tmp_path / name, network, **(arguments | changes))  # type: ignore[arg-type]

    return make


def test_a_checkpoint_gives_back_the_same_answers_and_preparation(save: Save) -> None:
    folder = save()
    first, second = load_checkpoint(folder), load_checkpoint(folder)
    image = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        for a, b in zip(first.network(image), second.network(image), strict=True):
            torch.testing.assert_close(a, b)
    assert first.preparation == UltrasoundPreparation(size=(32, 32), clahe=False)
    assert first.spec["calibration"] == {"temperature": 1.5}
    assert first.labels == ["normal", "benign", "malignant"]
    assert not first.network.training
    card = (folder / "MODEL_CARD.md").read_text()
    assert "Not a medical device" in card
    assert first.version in card


def test_weights_that_were_cut_off_are_refused(save: Save) -> None:
    folder = save()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="was changed or cut off"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(save: Save, name: str) -> None:
    folder = save()
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        load_checkpoint(folder)


def test_a_newer_format_is_refused(save: Save) -> None:
    folder = save()
    spec = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(spec | {"format": 99}))
    with pytest.raises(CheckpointError, match="update breastlabel"):
        load_checkpoint(folder)


def test_a_model_json_that_is_no_json_is_refused(save: Save) -> None:
    folder = save()
    (folder / "model.json").write_text("{")
    with pytest.raises(CheckpointError, match="restore it"):
        load_checkpoint(folder)


def test_an_unknown_network_is_refused_with_the_reason(save: Save) -> None:
    folder = save()
    spec = json.loads((folder / "model.json").read_text())
    spec["network"]["name"] = "unheard-of"
    (folder / "model.json").write_text(json.dumps(spec))
    with pytest.raises(CheckpointError, match="network must be one of"):
        load_checkpoint(folder)


def test_the_champion_is_the_promoted_version_and_rollback_goes_back(save: Save, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path / "studies")
    versions = [registry.add("ultrasound", save(name)) for name in ("a", "bb", "ccc")]
    before = registry.champion_version("ultrasound")
    assert before not in versions
    for version in versions:
        registry.promote("ultrasound", version)
        assert load_checkpoint(registry.champion("ultrasound")).version == version
    assert registry.rollback("ultrasound") == versions[1]
    assert registry.rollback("ultrasound") == versions[0]
    assert registry.champion_version("ultrasound") == versions[0]
    assert set(versions) <= set(registry.versions("ultrasound"))


def test_an_unknown_version_is_not_promoted(save: Save, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path / "studies")
    version = registry.add("ultrasound", save())
    with pytest.raises(NotFoundError, match=version):
        registry.promote("ultrasound", "20200101-000000-00000000")


def test_a_model_without_checkpoint_says_how_to_train_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="breastlabel train nothing"):
        ModelRegistry(tmp_path).champion("nothing")


def test_a_half_written_checkpoint_is_not_a_version(save: Save, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path / "studies")
    version = registry.add("ultrasound", save())
    assert registry.root is not None
    folder = registry.root / "ultrasound"
    (folder / f"{version}.77.partial").mkdir()
    (folder / f"{version}.77.partial" / "model.json").write_text("{}")
    assert list(registry.versions("ultrasound")).count(version) == 1


def test_a_kill_while_an_old_checkpoint_is_removed_leaves_a_whole_one(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save()

    def dying(path: Path, **_: object) -> None:
        if Path(path).is_dir():
            (Path(path) / "model.safetensors").unlink()
            raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", dying)
        with pytest.raises(InterruptedError):
            save()
    load_checkpoint(folder)


def test_a_damaged_version_does_not_keep_the_champion_from_serving(save: Save, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path / "studies")
    champion, other = (registry.add("ultrasound", save(name)) for name in ("a", "bb"))
    registry.promote("ultrasound", champion)
    (registry.versions("ultrasound")[other] / "model.safetensors").unlink()
    assert registry.champion_version("ultrasound") == champion
    assert other not in registry.versions("ultrasound")


def test_a_damaged_champion_is_not_taken_for_none(save: Save, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path / "studies")
    assert not registry.has_champion("never-shipped")
    version = registry.add("ultrasound", save())
    registry.promote("ultrasound", version)
    (registry.versions("ultrasound")[version] / "model.safetensors").unlink()
    assert registry.has_champion("ultrasound")
    with pytest.raises(CheckpointError, match="gone or damaged"):
        challenge(registry, "ultrasound", save("bb"), tmp_path / "studies")
    assert list(registry.versions("ultrasound")) == list(ModelRegistry(None).versions("ultrasound"))


def test_the_weights_are_on_the_disk_before_they_are_a_version(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, registry = save(), ModelRegistry(tmp_path / "studies")
    synced: list[int] = []
    fsync = os.fsync
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd)))
        version = registry.add("ultrasound", checkpoint)
    folder = registry.versions("ultrasound")[version]
    assert {(folder / name).stat().st_ino for name in ("model.safetensors", "model.json")} <= set(synced)


def test_files_beside_the_weights_appear_with_them(save: Save, tmp_path: Path) -> None:
    seen: list[bool] = []

    def add_files(folder: Path) -> None:
        seen.append((tmp_path / "checkpoint").exists())
        (folder / "history.json").write_text("[]")

    folder = save(add_files=add_files)
    assert seen == [False]
    assert (folder / "history.json").read_text() == "[]"


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("late", [False, True])
def test_a_kill_during_a_promotion_does_not_prevent_the_way_back(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """Before the alias changes, or right after."""
    registry = ModelRegistry(tmp_path / "studies")
    a, b, c = (registry.add("ultrasound", save(name)) for name in ("a", "bb", "ccc"))
    registry.promote("ultrasound", a)
    registry.promote("ultrasound", b)
    set_alias = registry_module.set_alias

    def killed(path: Path, version: str) -> None:
        if late:
            set_alias(path, version)
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(registry_module, "set_alias", killed)
        with pytest.raises(_KilledError):
            registry.promote("ultrasound", c)
    assert registry.champion_version("ultrasound") == (c if late else b)
    if late:
        assert registry.rollback("ultrasound") == b
    assert registry.rollback("ultrasound") == a


def test_the_shipped_champion_serves_where_an_update_took_the_chosen_one(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A site that had gone back to the shipped champion of an earlier package."""
    shipped = tmp_path / "package"
    shipped.mkdir()
    monkeypatch.setattr(champions, "FOLDER", shipped)
    save("package/ultrasound")
    registry = ModelRegistry(tmp_path / "studies")
    old = registry.champion_version("ultrasound")
    assert old is not None
    registry.promote("ultrasound", old)
    shutil.rmtree(shipped / "ultrasound")
    assert not list(registry.versions("ultrasound"))
    with pytest.raises(CheckpointError, match="gone or damaged"):
        registry.champion("ultrasound")
    shutil.move(save("new"), shipped / "ultrasound")
    with caplog.at_level(logging.WARNING):
        new = registry.champion_version("ultrasound")
        assert registry.champion("ultrasound") == shipped / "ultrasound"
    assert new not in (None, old)
    assert [str(old) in record.getMessage() for record in caplog.records] == [True]
    # A site's own checkpoint that is there and damaged is an error as before.
    own = registry.add("ultrasound", save("of-this-site"))
    registry.promote("ultrasound", own)
    (registry.versions("ultrasound")[own] / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="gone or damaged"):
        registry.champion("ultrasound")
