"""MLflow's registry shows what the site's files say, and harms nothing where it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from breastlabel.training import ModelRegistry
from breastlabel.training import mlflow_registry as module
from breastlabel.training.mlflow_registry import ALIAS, champions_in_mlflow, main, sync, sync_later

pytest.importorskip("mlflow")

NAME = "breastlabel-ultrasound"


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's store, made once: that takes it ten seconds."""
    from breastlabel.training.mlflow_store import open_client

    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_client(folder)
    return folder / "mlflow.sqlite3"


@pytest.fixture
def site(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A studies folder with a store, and with tracking switched on."""
    for name in ("BREASTLABEL_TRACKING", "MLFLOW_TRACKING_URI", "BREASTLABEL_HOME", "BREASTLABEL_SITE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "studies" / ".breastlabel"
    folder.mkdir(parents=True)
    # SQLite's file is whole once nobody writes.
    (folder / "mlflow.sqlite3").write_bytes(empty_store.read_bytes())
    return folder.parent


def add(registry: ModelRegistry, version: str, **spec: Any) -> str:
    """A version whose weights are none: the mirror reads what a checkpoint says of itself."""
    folder = registry.site_root() / "ultrasound" / version
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"")
    content = {"format": 1, "model": "ultrasound", "version": version, "code_version": "0.1.0", **spec}
    (folder / "model.json").write_text(json.dumps(content))
    return version


def client_of(site: Path) -> Any:
    from breastlabel.training.mlflow_store import open_client

    return open_client(site / ".breastlabel")


def versions_of(client: Any) -> dict[str, Any]:
    return {v.tags["breastlabel.version"]: v for v in client.search_model_versions(f"name='{NAME}'")}


def test_versions_champion_and_decisions_are_shown(site: Path) -> None:
    registry = ModelRegistry(site)
    add(
        registry, "1-first", metrics={"val": {"dice": 0.75, "auc": 0.9}}, training={"data_fingerprint": "abc"}
    )
    add(registry, "2-second", training={"start_from": "1-first"})
    registry.promote("ultrasound", "1-first")
    decision = {"time": "2026-11-21T10:00:00", "champion": "1-first", "challenger": "2-second"}
    decision |= {"promoted": False, "reason": "its Dice may be worse", "challenger_dice": 0.5}
    (registry.site_root() / "ultrasound" / "decisions.jsonl").write_text(json.dumps(decision) + "\n")
    sync(registry)

    client = client_of(site)
    shown = versions_of(client)
    shipped = set(ModelRegistry(None).versions("ultrasound"))
    assert set(shown) == {"1-first", "2-second"} | shipped
    first, second = shown["1-first"], shown["2-second"]
    assert first.source == str(registry.versions("ultrasound")["1-first"])
    assert first.tags["val.dice"] == "0.75"
    assert first.tags["val.auc"] == "0.9"
    assert first.tags["data_fingerprint"] == "abc"
    assert first.tags["breastlabel.code_version"] == "0.1.0"
    assert second.tags["start_from"] == "1-first"
    assert second.tags["decision.promoted"] == "False"
    assert second.tags["decision.reason"] == "its Dice may be worse"
    assert second.tags["decision.challenger_dice"] == "0.5"
    assert client.get_model_version_by_alias(NAME, ALIAS).version == first.version


def test_an_empty_address_is_none(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    registry = ModelRegistry(site)
    add(registry, "1-first")
    sync(registry)
    assert versions_of(client_of(site))["1-first"].source == str(registry.versions("ultrasound")["1-first"])


def test_the_mirror_catches_up_and_repeats_nothing(site: Path) -> None:
    registry = ModelRegistry(site)
    add(registry, "1-first")
    registry.promote("ultrasound", "1-first")
    sync(registry)
    # All of this happens while MLflow is out of reach.
    for name in ("2-second", "3-third"):
        registry.promote("ultrasound", add(registry, name))
    registry.rollback("ultrasound")
    sync(registry)
    once = versions_of(client_of(site))
    assert champions_in_mlflow(registry)["ultrasound"] == "2-second"
    assert {"1-first", "2-second", "3-third"} <= set(once)
    sync(registry)
    assert {k: v.version for k, v in versions_of(client_of(site)).items()} == {
        k: v.version for k, v in once.items()
    }


def test_an_alias_moved_in_mlflow_serves_nothing_and_is_put_back(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from breastlabel.cli import main as command_line

    registry = ModelRegistry(site)
    for name in ("1-first", "2-second"):
        registry.promote("ultrasound", add(registry, name))
    sync(registry)
    client = client_of(site)
    client.set_registered_model_alias(NAME, ALIAS, versions_of(client)["1-first"].version)
    assert registry.champion_version("ultrasound") == "2-second"

    assert command_line(["models", "list", "--studies", str(site), "--mlflow"]) == 0
    out, err = capsys.readouterr()
    assert "MLflow's champion is 1-first" in err
    rows = {line.split()[1]: line.split()[2:] for line in out.splitlines()[1:]}
    assert rows["1-first"] == ["site", "champion"]
    assert rows["2-second"] == ["*", "site"]

    sync(registry)
    assert champions_in_mlflow(registry)["ultrasound"] == "2-second"


def test_sites_that_share_a_server_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.registered_name("ultrasound") == NAME
    monkeypatch.setenv("BREASTLABEL_SITE", "north")
    assert module.registered_name("ultrasound") == "breastlabel-north-ultrasound"


def test_a_store_that_fails_is_told_without_its_address(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "yield_to_requests", lambda: 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://user:secret@store")
    registry = ModelRegistry(site)
    add(registry, "1-first")
    registry.promote("ultrasound", "1-first")
    assert main(["--studies", str(site)]) == 1
    said = capsys.readouterr().err
    assert "was not brought up to date" in said
    assert "secret" not in said
    assert registry.champion_version("ultrasound") == "1-first"


def test_switched_off_nothing_is_started(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(module.subprocess, "Popen", lambda command, **_: started.append(command))
    sync_later(site)
    assert started == [[sys.executable, "-m", "breastlabel.training.mlflow_registry", "--studies", str(site)]]
    monkeypatch.setenv("BREASTLABEL_TRACKING", "off")
    sync_later(site)
    assert len(started) == 1


@pytest.mark.slow
def test_a_kill_while_the_store_is_made_leaves_none_of_it(tmp_path: Path) -> None:
    """MLflow could not mend half of its tables, and every later record would fail."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("BREASTLABEL_TRACKING", "MLFLOW_TRACKING_URI")
    }
    program = "import sys, pathlib; from breastlabel.training.mlflow_store import open_client; "
    program += "open_client(pathlib.Path(sys.argv[1]))"
    maker = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=environment)
    end = time.monotonic() + 60
    while not any(p.stat().st_size for p in tmp_path.glob(".mlflow.sqlite3.*.part")):
        assert time.monotonic() < end
        time.sleep(0.01)
    maker.send_signal(signal.SIGKILL)
    maker.wait(10)
    assert not (tmp_path / "mlflow.sqlite3").exists()
