import numpy as np
import pytest

from breastlabel.errors import StudiesError
from breastlabel.evaluation.ablations.data import shown, split_for, with_unknown
from breastlabel.evaluation.ablations.patch_start import patch_arrays
from breastlabel.evaluation.ablations.row import PATIENTS, Setting
from breastlabel.imaging.context import CONTEXT_NAMES, CONTEXT_SIZE
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.cases import Cases


def breasts(n, name="p", first_label=0):
    """n breasts of n / 2 patients: a prior, then two views of the judged exam."""
    images = np.random.default_rng(0).random((3 * n, 16, 16)).astype(np.float16)
    masks = np.zeros((3 * n, 16, 16), np.uint8)
    masks[:, 4:8, 4:8] = 1
    return TrainingArrays(
        images,
        masks,
        np.ones(3 * n, bool),
        (np.arange(n) + first_label) % 3,
        np.array([f"{name}{i}" for i in range(3 * n)]),
        np.array([f"{name}{i // 2}" for i in range(n)]),
        Cases(
            np.array([f"{name}{i}" for i in range(n)]),
            np.arange(n + 1) * 3,
            np.arange(3 * n),
            np.tile([False, True, True], n),
            np.ones((3 * n, CONTEXT_SIZE), np.float32),
        ),
    )


def test_without_priors_the_views_of_the_judged_exam_are_left():
    views = shown(breasts(4), "views")
    assert views.cases.lengths.tolist() == [2] * 4
    assert len(views.images) == 8
    assert views.labels.tolist() == [0, 1, 2, 0]


def test_alone_each_image_has_the_class_and_the_patient_of_its_breast():
    alone = shown(breasts(4), "alone")
    assert alone.cases.lengths.tolist() == [1] * 8
    assert alone.ids.tolist() == ["p1", "p2", "p4", "p5", "p7", "p8", "p10", "p11"]
    assert alone.labels.tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
    assert alone.groups.tolist() == ["p0"] * 4 + ["p1"] * 4
    # What is known of an image beside its pixels stays with it.
    assert (alone.cases.context == 1).all()


def test_unknown_context_is_zero_and_the_rest_is_not():
    context = with_unknown(breasts(2), ("age", "density")).cases.context
    for column, name in enumerate(CONTEXT_NAMES):
        expected = 0 if name.startswith(("age", "density")) else 1
        assert (context[:, column] == expected).all(), name


def studies():
    return [
        {"train": breasts(20, "a"), "val": breasts(6, "b"), "test": breasts(6, "c")},
        {"train": breasts(20, "d"), "val": breasts(6, "e"), "test": breasts(6, "f")},
    ]


def letters(arrays):
    return sorted({str(group)[0] for group in arrays.groups})


def test_new_patients_are_on_one_side():
    parts = split_for(PATIENTS, studies())
    assert {split: letters(arrays) for split, arrays in parts.items()} == {
        "train": ["a", "d"],
        "val": ["b", "e"],
        "test": ["c", "f"],
    }


def test_the_other_dataset_is_measured_whole():
    parts = split_for(Setting("other", (0,), (1,)), studies())
    assert letters(parts["train"]) == ["a"]
    assert letters(parts["test"]) == ["d", "e", "f"]
    assert len(parts["test"]) == 32


def test_seen_patients_are_on_both_sides_but_no_breast_is():
    parts = split_for(Setting("seen", (0,), (0,)), studies())
    keys = [key for arrays in parts.values() for key in arrays.keys.tolist()]
    assert len(keys) == len(set(keys)) == 32
    assert set(parts["train"].groups) & set(parts["test"].groups)
    # Each class has its share of the test.
    assert np.bincount(parts["test"].labels, minlength=3).min() >= 1
    again = split_for(Setting("seen", (0,), (0,)), studies())
    assert again["test"].keys.tolist() == parts["test"].keys.tolist()


def test_a_split_without_labels_is_refused():
    with pytest.raises(StudiesError, match="none in val"):
        split_for(PATIENTS, [{"train": breasts(2), "test": breasts(2)}])


def test_patches_have_the_class_of_their_lesion_and_normal_tissue_is_one():
    patches = patch_arrays(breasts(6), 4, seed=0, each=2, beside=1)
    assert patches.size == (4, 4)
    assert np.bincount(patches.labels).tolist()[1:] == [8, 8]
    assert patches.cases.single
    assert patch_arrays(breasts(1), 4, seed=0) is None
