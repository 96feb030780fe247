from __future__ import annotations

from typing import Any

import pytest

from breastlabel.errors import UnknownNameError
from breastlabel.label.errors import BadRequestError
from breastlabel.label.options import Options


@pytest.mark.parametrize("value", [3, "3", 3.0, [3], ["3", "5"], (3,), [[3]]])
def test_a_number_comes_in_many_forms(value: Any) -> None:
    assert Options({"n": value}).integer("n", 0, low=0, high=9) == 3


@pytest.mark.parametrize("value", [None, "", [], [None]])
def test_nothing_means_the_default(value: Any) -> None:
    options = Options({"x": value})
    assert options.integer("x", 7, low=0, high=9) == 7
    assert options.flag("x", True) is True
    assert options.text("x", "d") == "d"
    assert options.choice("x", ["d", "e"], "d") == "d"


@pytest.mark.parametrize("value", [-1, 10, 2.5, "x", float("nan"), float("inf"), {}, "1e99"])
def test_a_wrong_number_is_refused_with_the_range(value: Any) -> None:
    with pytest.raises(BadRequestError, match="n must be a whole number from 0 to 9; got"):
        Options({"n": value}).integer("n", 0, low=0, high=9)


@pytest.mark.parametrize(("value", "flag"), [(True, True), ("True", True), ("off", False), ([0], False)])
def test_a_flag_comes_in_many_forms(value: Any, flag: bool) -> None:
    assert Options({"f": value}).flag("f") is flag


def test_wrong_words_are_refused() -> None:
    with pytest.raises(BadRequestError, match="f must be true or false; got 'maybe'"):
        Options({"f": "maybe"}).flag("f")
    with pytest.raises(UnknownNameError, match="c must be one of a, b; got 'x'"):
        Options({"c": "x"}).choice("c", ["a", "b"], "a")


@pytest.mark.parametrize(
    ("value", "device"),
    [("cpu", "cpu"), ("cuda", None), ("cuda:0", None), ("NVIDIA H200", None), ("auto", None), (None, None)],
)
def test_any_gpu_that_is_asked_for_means_one_where_there_is_one(value: Any, device: str | None) -> None:
    assert Options({"device": [value]}).device() == device


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="device must be one of auto, cpu, cuda; got 'tpu'"):
        Options({"device": "tpu"}).device()


def test_a_number_is_finite_and_within_its_range() -> None:
    assert Options({"n": ["2.5"]}).number("n", low=0, high=9) == 2.5
    assert Options({"n": ""}).number("n", low=0, high=9) is None
    for value in (-1, "x", float("nan"), "inf", {}):
        with pytest.raises(BadRequestError, match="n must be a number from 0 to 9; got"):
            Options({"n": value}).number("n", low=0, high=9)
