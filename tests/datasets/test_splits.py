from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.datasets.splits import FRACTIONS, assign_splits
from breastlabel.errors import StudiesError

CLASSES = ("normal", "benign", "malignant", None)
images = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(CLASSES)), max_size=150)


def columns(drawn):
    return [f"g{group}" for group, _ in drawn], [label for _, label in drawn]


@given(images)
@settings(max_examples=60, deadline=None)
def test_every_group_gets_exactly_one_split(drawn):
    groups, labels = columns(drawn)
    splits = assign_splits(groups, labels)
    assert set(splits) == set(groups)
    assert set(splits.values()) <= set(FRACTIONS)


@given(images)
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_images_does_not_matter(drawn):
    groups, labels = columns(drawn)
    assert assign_splits(groups, labels) == assign_splits(groups[::-1], labels[::-1])


@given(images, images)
@settings(max_examples=60, deadline=None)
def test_a_split_once_given_stays_when_images_are_added(first, more):
    before = assign_splits(*columns(first))
    after = assign_splits(*columns([*first, *more]), fixed=before)
    assert {g: s for g, s in after.items() if g in before} == before


@given(st.lists(st.sampled_from(CLASSES[:3]), min_size=1, max_size=200))
@settings(max_examples=60, deadline=None)
def test_every_class_is_shared_out_to_within_one_image(labels):
    groups = [f"g{i}" for i in range(len(labels))]
    splits = assign_splits(groups, labels)
    for label in set(labels):
        counts = Counter(splits[g] for g, c in zip(groups, labels, strict=True) if c == label)
        for split, fraction in FRACTIONS.items():
            assert abs(counts[split] - fraction * sum(counts.values())) <= 1


def test_large_groups_do_not_upset_the_shares():
    groups = [f"big{i // 20}" for i in range(100)] + [f"g{i}" for i in range(900)]
    splits = assign_splits(groups, ["benign"] * 1000)
    counts = Counter(splits[g] for g in groups)
    assert [counts[s] for s in FRACTIONS] == [700, 150, 150]


def test_what_is_there_already_counts_towards_the_shares():
    fixed = {f"old{i}": "train" for i in range(70)}
    groups = [*fixed, *(f"new{i}" for i in range(30))]
    splits = assign_splits(groups, ["benign"] * 100, fixed=fixed)
    assert Counter(splits.values()) == {"train": 70, "val": 15, "test": 15}


def test_a_patient_with_two_classes_counts_as_the_graver():
    splits = assign_splits(["a", "a", "b"], ["benign", "malignant", "malignant"])
    assert set(splits) == {"a", "b"}


def test_labels_must_match_the_groups():
    with pytest.raises(StudiesError, match="got 1 for 2"):
        assign_splits(["a", "b"], ["benign"])
