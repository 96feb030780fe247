"""Folds by patient, and sets of breasts mixed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from breastlabel.training import TrainingArrays
from breastlabel.training.dealing import deal_patients, mixed, some_of


def arrays(labels: list[int], groups: list[str]) -> TrainingArrays:
    n = len(labels)
    return TrainingArrays(
        np.zeros((n, 4, 4), np.float16),
        np.zeros((n, 4, 4), np.uint8),
        np.zeros(n, bool),
        np.array(labels, np.int64),
        np.array([f"{group}-{i}" for i, group in enumerate(groups)]),
        np.array(groups),
    )


def cohort() -> TrainingArrays:
    """Thirty patients with two breasts: of ten the worst is malignant, of ten benign, of ten normal."""
    labels, groups = [], []
    for patient in range(30):
        labels += [patient % 3, 0]
        groups += [f"patient-{patient}"] * 2
    return arrays(labels, groups)


@pytest.mark.parametrize("seed", range(5))
def test_each_patient_is_in_one_fold_and_each_fold_has_every_kind(seed: int):
    fold_of = deal_patients(cohort(), 5, seed)
    assert set(fold_of) == {f"patient-{i}" for i in range(30)}
    for fold in range(5):
        kinds = Counter(int(p.split("-")[1]) % 3 for p, dealt in fold_of.items() if dealt == fold)
        assert kinds == {0: 2, 1: 2, 2: 2}


def test_the_seed_alone_deals():
    assert deal_patients(cohort(), 5, 1) == deal_patients(cohort(), 5, 1)
    assert deal_patients(cohort(), 5, 1) != deal_patients(cohort(), 5, 2)


def test_an_unknown_class_is_milder_than_normal():
    fold_of = deal_patients(arrays([-1, 0, -1, 0], ["a", "b", "c", "d"]), 2, 0)
    assert fold_of["a"] != fold_of["c"]
    assert fold_of["b"] != fold_of["d"]


@pytest.mark.parametrize(("first", "second", "times"), [(10, 2, 3), (10, 5, 1), (10, 4, 2), (3, 9, 1)])
def test_a_small_set_is_repeated_to_half_of_the_first(first: int, second: int, times: int):
    both = mixed([arrays([0] * first, ["a"] * first), arrays([2] * second, ["b"] * second)])
    assert Counter(both.labels.tolist()) == {0: first, 2: second * times}


def test_a_small_set_is_repeated_no_more_often_than_is_said():
    parts = [arrays([0] * 10, ["a"] * 10), arrays([1], ["b"]), arrays([2] * 3, ["c"] * 3)]
    assert Counter(mixed(parts, at_most=1).labels.tolist()) == {0: 10, 1: 1, 2: 3}
    assert Counter(mixed(parts, at_most=3).labels.tolist()) == {0: 10, 1: 3, 2: 6}


def test_one_set_stays_as_it_is():
    only = arrays([0, 1], ["a", "b"])
    assert mixed([only]) is only


def test_some_are_drawn_without_repetition_in_order():
    whole = arrays([0] * 20, [f"p{i:02d}" for i in range(20)])
    part = some_of(whole, 7, 1)
    assert len(part) == 7
    assert sorted(set(part.groups)) == part.groups.tolist()
    assert len(some_of(whole, 50, 1)) == 20
    assert some_of(whole, 7, 2).groups.tolist() != part.groups.tolist()
