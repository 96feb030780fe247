from __future__ import annotations

from pathlib import Path

from breastlabel.label.datastore import StudiesDatastore
from breastlabel.label.strategies import First, Random


def test_first_goes_by_the_alphabet(studies: Path) -> None:
    assert First()({}, StudiesDatastore(studies)) == {"id": "a"}


def test_random_offers_each_image_once_before_any_twice(studies: Path) -> None:
    store, strategy = StudiesDatastore(studies), Random(seed=1)
    offered = [(strategy({}, store) or {})["id"] for _ in range(6)]
    assert sorted(offered[:3]) == ["a", "b", "c"]
    assert offered[3:] == offered[:3], "then the one that was offered longest ago"


def test_random_reaches_every_image_in_every_position(studies: Path) -> None:
    store = StudiesDatastore(studies)
    firsts = {(Random(seed=seed)({}, store) or {})["id"] for seed in range(20)}
    assert firsts == {"a", "b", "c"}


def test_nothing_is_offered_where_nothing_waits(tmp_path: Path) -> None:
    store = StudiesDatastore(tmp_path)
    assert First()({}, store) is None
    assert Random()({}, store) is None
