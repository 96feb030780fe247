"""Readings wait, run one at a time, can be stopped, are their owner's, and leave nothing behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from breastlabel.errors import InvalidImageError, NotFoundError, StoppedError
from breastlabel.label.errors import BusyError
from breastlabel.web.pages.readings import Reading, Readings, ReadingState


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where readings lie."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def over(reading: Reading) -> bool:
    return reading.state in (ReadingState.DONE, ReadingState.FAILED)


def begun(readings: Readings, owner: str | None = None) -> Reading:
    reading = readings.new(owner)
    (reading.folder / "image.png").write_bytes(b"pixels")
    readings.start(reading)
    return reading


def test_what_comes_of_it_is_held() -> None:
    readings = Readings(lambda reading: {"said": reading.asked})
    reading = readings.new("anna")
    reading.asked = "this"
    readings.start(reading)
    until(lambda: over(reading))
    assert readings.get(reading.id, "anna").to_json() == {
        "id": reading.id,
        "state": "done",
        "stage": "done",
        "reason": None,
        "result": {"said": "this"},
    }


@pytest.mark.parametrize("owner", ["bert", None])
def test_it_is_nobody_elses(owner: str | None) -> None:
    readings = Readings(lambda reading: {})
    reading = begun(readings, "anna")
    with pytest.raises(NotFoundError, match="let go"):
        readings.get(reading.id, owner)


def test_why_it_failed_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def fail(reading: Reading) -> Mapping[str, Any]:
        raise {"user": InvalidImageError("a mammogram is required; got a text; send another")}.get(
            reading.asked, ZeroDivisionError("secret path")
        )

    readings = Readings(fail)
    for asked in ("user", "program"):
        reading = readings.new(None)
        reading.asked = asked
        readings.start(reading)
        until(lambda reading=reading: over(reading))  # type: ignore[misc]
        assert reading.state is ReadingState.FAILED
        assert reading.reason is not None
        assert "\n" not in reading.reason
        assert "secret" not in reading.reason
    (logged,) = (record.getMessage() for record in caplog.records)
    assert logged.startswith("a reading failed\n")
    assert logged.endswith("ZeroDivisionError")
    assert "secret" not in caplog.text


def test_one_that_is_removed_stops_and_leaves_nothing(temporary: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def run(reading: Reading) -> Mapping[str, Any]:
        entered.set()
        assert go_on.wait(10)
        if reading.stop.is_set():
            # As a run that writes its pictures just now.
            reading.folder.mkdir(exist_ok=True)
            (reading.folder / "late.png").write_bytes(b"pixels")
            raise StoppedError("stopped")
        return {}

    readings = Readings(run)
    first, second = begun(readings), begun(readings)
    assert entered.wait(10)
    assert second.state is ReadingState.WAITING, "one runs at a time"
    readings.remove(second)
    readings.remove(first)
    go_on.set()
    third = begun(readings)
    until(lambda: over(third))
    assert third.state is ReadingState.DONE
    assert second.state is ReadingState.WAITING, "what was removed before its turn never runs"
    kept = list(temporary.rglob("*.png"))
    assert kept == [third.folder / "image.png"]
    with pytest.raises(NotFoundError):
        readings.get(first.id, None)


def test_they_are_forgotten_after_a_while() -> None:
    readings = Readings(lambda reading: {}, seconds=0.05)
    reading = begun(readings)
    until(lambda: over(reading))
    time.sleep(0.06)
    with pytest.raises(NotFoundError):
        readings.get(reading.id, None)
    assert not reading.folder.exists()


def test_the_oldest_that_is_over_makes_room() -> None:
    go_on = threading.Event()

    def run(reading: Reading) -> Mapping[str, Any]:
        assert reading.asked == "quick" or go_on.wait(10)
        return {}

    readings = Readings(run, most=2)
    quick = readings.new(None)
    quick.asked = "quick"
    readings.start(quick)
    until(lambda: over(quick))
    begun(readings)
    begun(readings)
    assert not quick.folder.exists()
    with pytest.raises(BusyError, match="at most 2"):
        readings.new(None)
    go_on.set()


def test_what_a_killed_server_left_is_removed(temporary: Path) -> None:
    # The largest number that Linux gives a process is 2**22.
    left = temporary / f"breastlabel-readings-{2**22 + 1}-x"
    other = temporary / f"breastlabel-readings-{os.getppid()}-x"
    for folder in (left, other):
        folder.mkdir()
        (folder / "image.dcm").write_bytes(b"pixels")
    Readings(lambda reading: {})
    assert not left.exists()
    assert other.exists(), "that of a server that runs stays"


@pytest.mark.parametrize("name", ["", "../x", "0" * 31, "g" * 32])
def test_a_name_is_looked_up_and_no_path(name: str) -> None:
    with pytest.raises(NotFoundError):
        Readings(lambda reading: {}).get(name, None)


def test_closing_stops_what_runs_and_what_waits_and_leaves_no_file(temporary: Path) -> None:
    running = threading.Event()

    def run(reading: Reading) -> Mapping[str, Any]:
        running.set()
        assert reading.stop.wait(10)
        raise StoppedError("stopped")

    before = set(threading.enumerate())
    readings = Readings(run)
    first, second = begun(readings), begun(readings)
    assert running.wait(10)
    readings.close()
    assert first.state is ReadingState.FAILED
    assert second.state is ReadingState.WAITING
    assert set(threading.enumerate()) <= before
    assert list(temporary.iterdir()) == []
