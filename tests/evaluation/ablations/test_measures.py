import dataclasses

import numpy as np
import pytest

from breastlabel.evaluation.ablations.answers import Answers
from breastlabel.evaluation.ablations.measures import MEASURES, measured_rows
from breastlabel.evaluation.ablations.row import Row


def answers(malignant, labels=(2, 2, 0, 1), groups=("a", "b", "c", "d"), dice=(0.5,), invasive=()):
    score = np.array(malignant)
    return Answers(
        np.array(labels),
        np.stack([(1 - score) * 0.6, (1 - score) * 0.4, score], axis=1),
        np.array(groups),
        np.array(dice),
        np.array(groups[: len(dice)]),
        np.array(invasive)[: len(labels)] if invasive else np.full(len(labels), -1),
        score,
    )


def test_every_measure_by_hand():
    # Called malignant: the first and the third; so TP 1, FN 1, FP 1, TN 1.
    of_row = [answers([0.9, 0.1, 0.8, 0.2], invasive=(0, 1, -1, -1))]
    (row,) = measured_rows([Row("x")], {"x": of_row}, (0,), tuple(MEASURES), resamples=20)
    found = {name: value["mean"] for name, value in row["values"].items()}
    assert found == pytest.approx(
        {
            "accuracy": 0.5,
            "classes": 0.25,
            "error_rate": 0.5,
            "precision": 0.5,
            "recall": 0.5,
            "sensitivity": 0.5,
            "sensitivity_as_printed": 0.5,
            "specificity": 0.5,
            "f1": 0.5,
            "pf1": 2 * 1.0 / (2 + 2.0),
            "auc_malignant": 0.5,
            "auc_lesion": 0.5,
            "auc_invasive": 0.0,
            "dice": 0.5,
        },
        abs=0.2,
    )
    assert (row["n_cases"], row["n_patients"], row["n_malignant"]) == (4, 4, 2)
    assert row["nothing_called"] == 0.5


def test_the_printed_sensitivity_has_the_papers_denominator():
    # TP 2, TN 1, FP 1: a recall of 1, but 2 / (2 + 1) as printed.
    of_row = [answers([0.9, 0.9, 0.8, 0.2])]
    (row,) = measured_rows(
        [Row("x")], {"x": of_row}, (0,), ("sensitivity", "sensitivity_as_printed"), resamples=20
    )
    assert row["values"]["sensitivity"]["mean"] == 1
    assert row["values"]["sensitivity_as_printed"]["mean"] == pytest.approx(2 / 3)


def test_images_and_breasts_of_the_same_patients_are_compared_in_pairs():
    """Row x judges each of two images of a patient, y the breast; y gains the same for every patient."""
    groups = ["a", "a", "b", "b", "c", "c", "d", "d"]
    half = answers([0.9, 0.1, 0.9, 0.1, 0.1, 0.9, 0.1, 0.9], (2, 2, 2, 2, 0, 0, 1, 1), groups)
    whole = answers([0.9, 0.9, 0.1, 0.1])
    rows = [Row("x"), Row("y", versus="x")]
    measured = measured_rows(rows, {"x": [half], "y": [whole]}, (0,), ("accuracy",), resamples=50)
    assert measured[0]["values"]["accuracy"]["mean"] == 0.5
    assert measured[1]["change"]["accuracy"] == {"mean": 0.5, "ci95": [0.5, 0.5]}


def test_seeds_are_averaged_and_shown():
    both = [answers([0.9, 0.9, 0.1, 0.1]), answers([0.9, 0.1, 0.8, 0.2])]
    (row,) = measured_rows([Row("x")], {"x": both}, (3, 4), ("accuracy",), resamples=20)
    assert row["values"]["accuracy"]["mean"] == 0.75
    assert row["values"]["accuracy"]["by_seed"] == {"3": 1.0, "4": 0.5}
    assert row["values"]["accuracy"]["seed_sd"] == pytest.approx(np.std([1, 0.5], ddof=1))


def test_what_is_undefined_is_none():
    nothing = [answers([0.1, 0.1, 0.1, 0.1], dice=())]
    names = ("precision", "dice", "auc_invasive")
    (row,) = measured_rows([Row("x")], {"x": nothing}, (0,), names, resamples=20)
    assert row["values"] == dict.fromkeys(names)
    # It is known, and the row does not tell.
    silent = dataclasses.replace(
        answers([0.9, 0.1, 0.8, 0.2], invasive=(0, 1, -1, -1)), invasive_scores=np.full(4, np.nan)
    )
    (row,) = measured_rows([Row("x")], {"x": [silent]}, (0,), ("auc_invasive",), resamples=20)
    assert row["values"] == {"auc_invasive": None}


def test_rows_with_other_patients_are_not_compared():
    other = answers([0.9, 0.9, 0.1, 0.1], groups=("e", "f", "g", "h"))
    with pytest.raises(ValueError, match="must have one test"):
        measured_rows(
            [Row("x"), Row("y", versus="x")],
            {"x": [answers([0.9, 0.9, 0.1, 0.1])], "y": [other]},
            (0,),
            ("accuracy",),
        )


def test_kept_answers_come_back_only_for_what_they_came_from(tmp_path):
    kept = answers([0.9, 0.1, 0.8, 0.2])
    kept.save(tmp_path / "a" / "x.npz", "origin")
    again = Answers.load(tmp_path / "a" / "x.npz", "origin")
    assert again is not None
    assert np.array_equal(again.probabilities, kept.probabilities)
    assert Answers.load(tmp_path / "a" / "x.npz", "another") is None
    (tmp_path / "a" / "x.npz").write_bytes(b"PK cut off")
    assert Answers.load(tmp_path / "a" / "x.npz", "origin") is None
