import time

import pytest

from breastlabel.catalog import Score, scores
from breastlabel.errors import StudiesError


def test_scores_are_written_replaced_and_told_apart_by_version(catalog, add):
    add("ab")
    assert catalog.scores.write("bald", "ultrasound", "1", {"a": 0.25, "b": 0.5}) == 2
    assert catalog.scores.write("bald", "ultrasound", "1", {"b": 0.75}) == 2
    assert catalog.scores.write("bald", "ultrasound", "2", {"a": 0.125}) == 1
    assert catalog.scores.of("a") == [
        Score("a", "bald", "ultrasound", "1", 0.25),
        Score("a", "bald", "ultrasound", "2", 0.125),
    ]
    assert catalog.scores.of("b") == [Score("b", "bald", "ultrasound", "1", 0.75)]
    runs = catalog.scores.runs()
    assert [(r.method, r.model, r.model_version, r.n) for r in runs] == [
        ("bald", "ultrasound", "1", 2),
        ("bald", "ultrasound", "2", 1),
    ]
    assert runs[0].newest <= runs[1].newest


def test_images_that_are_not_there_are_passed_over(catalog, add):
    add("a")
    assert catalog.scores.write("bald", "ultrasound", "1", {"a": 1.0, "nobody": 2.0}) == 1
    assert catalog.scores.of("nobody") == []
    assert catalog.scores.write("bald", "ultrasound", "1", {}) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_is_a_finite_number(catalog, add, value):
    add("ab")
    with pytest.raises(StudiesError, match=f"a score must be a finite number; got {value} for image 'b'"):
        catalog.scores.write("bald", "ultrasound", "1", {"a": 1.0, "b": value})
    assert catalog.scores.runs() == []


def test_clearing_keeps_the_version_named(catalog, add):
    add("a")
    for version in "123":
        catalog.scores.write("bald", "ultrasound", version, {"a": 1.0})
    catalog.scores.write("margin", "ultrasound", "1", {"a": 1.0})
    catalog.scores.clear("bald", "ultrasound", keep_version="2")
    assert [(r.method, r.model_version) for r in catalog.scores.runs()] == [("bald", "2"), ("margin", "1")]
    catalog.scores.clear("bald", "ultrasound")
    assert [s.method for s in catalog.scores.of("a")] == ["margin"]


def test_more_scores_than_a_transaction_holds(catalog, add, monkeypatch):
    monkeypatch.setattr(scores, "_CHUNK", 7)
    add(f"i{n:02}" for n in range(20))
    assert catalog.scores.write("bald", "ultrasound", "1", {f"i{n:02}": n for n in range(20)}) == 20
    assert catalog.scores.of("i19")[0].value == 19


def test_bulk_writing_is_much_faster_than_one_by_one(catalog, add):
    """The bar is 200 times against a datastore that writes its whole index for one score."""
    n = 2000
    add(f"i{k}" for k in range(n))
    catalog.scores.write("bald", "ultrasound", "1", {"i0": 0.0})
    start = time.perf_counter()
    for k in range(10):
        catalog.scores.write("bald", "ultrasound", "1", {f"i{k}": 0.5})
    single = (time.perf_counter() - start) / 10
    start = time.perf_counter()
    catalog.scores.write("bald", "ultrasound", "1", {f"i{k}": 0.5 for k in range(n)})
    bulk = (time.perf_counter() - start) / n
    assert single / bulk > 5


def test_a_run_can_be_replaced_as_a_whole_and_its_best_listed(catalog, add):
    add("abc")
    catalog.scores.write("badge", "us", "1", {"a": 1.0, "b": 2.0})
    assert catalog.scores.write("badge", "us", "1", {"c": 3.0, "b": 1.0}, replace=True) == 2
    assert [(s.image_id, s.value) for s in catalog.scores.best("badge", "us", "1", n=5)] == [
        ("c", 3),
        ("b", 1),
    ]
    assert [s.image_id for s in catalog.scores.best("badge", "us", "1", n=1)] == ["c"]
    assert catalog.scores.of("a") == []


def test_clearing_keeps_the_versions_scored_last(catalog, add):
    add("a")
    for version in ("1", "2", "3"):
        catalog.scores.write("badge", "us", version, {"a": 1.0})
    catalog.scores.clear("badge", "us", "3", keep_newest=1)
    assert [run.model_version for run in catalog.scores.runs()] == ["2", "3"]


def test_a_first_label_ends_what_was_said_of_one_that_is_gone(catalog, add):
    add("ab")
    catalog.scores.write("revisit", "ultrasound", "1", {"a": 0.9, "b": 0.8})
    catalog.scores.write("bald", "ultrasound", "1", {"a": 0.1})
    catalog.labels.save("a", b"x", author="anna")
    assert [s.method for s in catalog.scores.of("a")] == ["bald"]
    assert [s.method for s in catalog.scores.of("b")] == ["revisit"]
