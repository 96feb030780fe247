from dataclasses import replace

import numpy as np

from breastlabel.catalog import ImageRecord
from breastlabel.datasets.grouping import group_and_split
from breastlabel.imaging import Modality

RNG = np.random.default_rng(3)
A, B, C = (RNG.random(256) < 0.5 for _ in range(3))


def image(image_id, *, patient="", label="benign", **changes):
    values = {"file": f"{image_id}.png", "dataset": "d", "modality": Modality.US, "group": ""}
    return ImageRecord(image_id=image_id, patient_key=patient, label=label, **(values | changes))


def run(known, new, hashes):
    grouped = group_and_split(known, new, hashes, similarity=lambda a, b: 0.0)
    return grouped, {r.image_id: r for r in grouped.new}


def test_near_duplicates_and_patients_share_group_and_split():
    new = [image("a"), image("b"), image("c", patient="p"), image("d", patient="p"), image("e")]
    grouped, found = run([], new, {"a": A, "b": A, "c": B, "d": C})
    assert found["a"].group == found["b"].group == "a"
    assert found["c"].group == found["d"].group == "c"
    assert found["e"].group == "e"
    assert grouped.n_groups == 3
    assert found["a"].split == found["b"].split is not None


def test_contradictory_near_duplicates_are_kept_out():
    new = [image("a", label="benign"), image("b", label="malignant"), image("c")]
    grouped, found = run([], new, {"a": A, "b": A, "c": B})
    assert grouped.contradictory == [["a", "b"]]
    for i in "ab":
        assert (found[i].excluded, found[i].split) == ("contradictory-classes", None)
    assert found["c"].excluded is None


def test_a_patient_with_lesions_of_both_classes_is_no_contradiction():
    new = [image("a", patient="p", label="benign"), image("b", patient="p", label="malignant")]
    grouped, found = run([], new, {"a": A, "b": B})
    assert grouped.contradictory == []
    assert found["a"].split == found["b"].split is not None


def test_an_unknown_class_contradicts_nothing():
    grouped, _ = run([], [image("a"), image("b", label=None)], {"a": A, "b": A})
    assert grouped.contradictory == []


def test_a_new_image_joins_the_group_and_split_that_are_there():
    known = [image("a", group="old", split="test", patient="x:1")]
    _, found = run(known, [image("b"), image("c", patient="x:1")], {"a": A, "b": A, "c": C})
    assert [(found[i].group, found[i].split) for i in "bc"] == [("old", "test")] * 2


def test_a_new_image_that_would_tie_two_splits_is_kept_out():
    known = [image("a", group="g1", split="train"), image("b", group="g2", split="test")]
    _, found = run(
        known, [image("c", patient="p"), image("d", patient="p")], {"a": A, "b": B, "c": A, "d": B}
    )
    assert {(r.excluded, r.split) for r in found.values()} == {("duplicates-across-splits", None)}


def test_a_known_image_that_turns_out_contradictory_is_reported():
    known = [image("a", group="g1", split="train")]
    grouped, found = run(known, [image("b", label="malignant")], {"a": A, "b": A})
    assert grouped.newly_wrong == ["a"]
    assert found["b"].excluded == "contradictory-classes"
    again, _ = run([replace(known[0], excluded="contradictory-classes"), found["b"]], [], {"a": A, "b": A})
    assert again.newly_wrong == []
    assert again.contradictory == [["a", "b"]]


def by_partition(partition, patients):
    new = [image(i, patient=patients.get(i, i)) for i in partition]
    grouped = group_and_split([], new, {}, similarity=lambda a, b: 0.0, partition=partition)
    return {r.image_id: r.split for r in grouped.new}


def test_a_datasets_own_test_set_stays_apart_and_its_training_set_is_divided():
    partition = {f"t{i}": "test" for i in range(20)} | {f"l{i}": "train" for i in range(80)}
    splits = by_partition(partition, {})
    assert {splits[f"t{i}"] for i in range(20)} == {"test"}
    assert {splits[f"l{i}"] for i in range(80)} == {"train", "val"}
    assert sum(split == "val" for split in splits.values()) in range(10, 19)


def test_a_patient_on_both_sides_of_a_datasets_own_partition_is_learnt_nothing_from():
    splits = by_partition({"a": "train", "b": "test", "c": "train"}, {"a": "p", "b": "p"})
    assert splits["a"] == splits["b"] == "test"


def test_a_datasets_own_validation_set_is_the_only_one():
    partition = {f"v{i}": "val" for i in range(2)} | {f"l{i}": "train" for i in range(40)}
    splits = by_partition(partition, {})
    assert [i for i, split in splits.items() if split == "val"] == ["v0", "v1"]


def test_mammograms_are_near_duplicates_only_if_they_are_nearly_the_same():
    near = A.copy()
    near[:40] ^= True
    alike = A.copy()
    alike[-60:] ^= True
    new = [image(i, modality=Modality.MG, patient=i) for i in "abc"]
    _, found = run([], new, {"a": A, "b": near, "c": alike})
    assert found["a"].group == found["b"].group != found["c"].group


def test_a_breast_before_and_after_its_lesion_is_no_contradiction():
    new = [
        image("a", modality=Modality.MG, patient="p", label="normal"),
        image("b", modality=Modality.MG, patient="p", label="malignant"),
        image("c", modality=Modality.MG, patient="q", label="normal"),
    ]
    grouped, found = run([], new[:2], {"a": A, "b": A})
    assert grouped.contradictory == []
    assert found["a"].split == found["b"].split is not None
    grouped, _ = run([], new, {"a": A, "b": B, "c": B})
    assert grouped.contradictory == [["b", "c"]]
