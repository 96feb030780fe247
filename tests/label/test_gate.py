from __future__ import annotations

import threading
import time

import pytest

from breastlabel.label.errors import BusyError
from breastlabel.label.gate import InferenceGate


def test_only_so_many_run_at_once() -> None:
    gate = InferenceGate(running=2, waiting=10)
    inside, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with gate.enter():
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == 2


def test_too_many_are_refused_at_once_and_leaving_makes_room() -> None:
    gate = InferenceGate(running=1, waiting=0)
    with gate.enter(), pytest.raises(BusyError, match="at most 1"), gate.enter():
        pytest.fail("entered")
    with gate.enter():
        pass


def test_waiting_ends_after_a_while() -> None:
    gate = InferenceGate(running=1, waiting=1, timeout=0.02)
    with gate.enter(), pytest.raises(BusyError, match="within"), gate.enter():
        pytest.fail("entered")


def test_an_error_inside_frees_the_slot() -> None:
    gate = InferenceGate(running=1, waiting=0)
    with pytest.raises(KeyError), gate.enter():
        raise KeyError
    with gate.enter():
        pass
