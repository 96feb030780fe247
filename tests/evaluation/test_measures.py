import json

import numpy as np
import pytest

from breastlabel.evaluation.measures import compute_metrics, explanation_measure
from breastlabel.evaluation.table import Case, EvaluationTable

NAMES = {"model": "ultrasound", "checkpoint": "v1", "studies": "site", "split": "test"}

TOP = [
    "model", "checkpoint", "studies", "split", "analysed", "n_images", "n_patients",
    "segmentation", "classification", "subgroups", "timing",
]  # fmt: skip
SEGMENTATION = ["dice", "iou", "hd95", "assd", "lesion_sensitivity", "distance_unit", "froc"]
CLASSIFICATION = [
    "labels", "accuracy", "error_rate", "sensitivity", "specificity", "precision", "f1", "pf1",
    "auc_malignant", "auc_lesion", "auc_per_class", "ece", "confusion_matrix",
]  # fmt: skip


def is_scalar(value) -> bool:
    if value is None:
        return True
    low, high = value["ci95"]
    return set(value) == {"mean", "ci95"} and low <= high and np.isfinite([value["mean"], low, high]).all()


def test_metrics_have_exactly_the_published_keys(table):
    metrics = json.loads(json.dumps(compute_metrics(table, **NAMES), allow_nan=False))
    assert list(metrics) == TOP
    assert list(metrics["segmentation"]) == SEGMENTATION
    assert list(metrics["classification"]) == CLASSIFICATION
    assert list(metrics["classification"]["auc_per_class"]) == ["normal", "benign", "malignant"]
    assert list(metrics["segmentation"]["froc"]) == ["fp_per_image", "sensitivity"]
    assert metrics["analysed"] == "image"
    assert (metrics["n_images"], metrics["n_patients"]) == (4, 2)


def test_every_scalar_is_a_mean_with_its_interval(table):
    metrics = compute_metrics(table, **NAMES)
    for name in ("dice", "iou", "hd95", "assd", "lesion_sensitivity"):
        assert is_scalar(metrics["segmentation"][name]), name
    plain = {"labels", "auc_per_class", "confusion_matrix"}
    for name in set(CLASSIFICATION) - plain:
        assert is_scalar(metrics["classification"][name]), name
    assert all(is_scalar(v) for v in metrics["classification"]["auc_per_class"].values())
    parts = [part for parts in metrics["subgroups"].values() for part in parts.values()]
    assert parts
    assert all(set(p) == {"n", "dice", "auc_malignant"} for p in parts)
    assert all(is_scalar(p["dice"]) and is_scalar(p["auc_malignant"]) for p in parts)
    assert all(is_scalar(metrics["timing"][stage]) for stage in ("read", "predict"))


def test_values_by_hand(table):
    metrics = compute_metrics(table, **NAMES)
    segmentation, classification = metrics["segmentation"], metrics["classification"]
    assert segmentation["dice"]["mean"] == pytest.approx((0.8 + 0 + 0.6) / 3)
    assert segmentation["iou"]["mean"] == pytest.approx((2 / 3 + 0 + 3 / 7) / 3)
    assert segmentation["lesion_sensitivity"]["mean"] == pytest.approx(2 / 3)
    assert segmentation["distance_unit"] == "mm"
    assert segmentation["hd95"]["mean"] == pytest.approx(0.6)
    assert classification["accuracy"]["mean"] == pytest.approx(3 / 4)
    assert classification["error_rate"]["mean"] == pytest.approx(1 / 4)
    assert classification["sensitivity"]["mean"] == 0
    assert classification["specificity"]["mean"] == 1
    assert classification["precision"] is None
    assert classification["f1"]["mean"] == 0
    # Malignant scores 0.3; the rest 0.1, 0.2 and 0.4.
    assert classification["auc_malignant"]["mean"] == pytest.approx(2 / 3)
    # Normal has 1 - 0.8; lesions 0.9, 0.5, 0.9.
    assert classification["auc_lesion"]["mean"] == 1
    assert classification["pf1"]["mean"] == pytest.approx(2 * 0.3 / (1 + 1.0))
    assert classification["confusion_matrix"] == [[1, 0, 0], [0, 2, 0], [1, 0, 0]]
    assert metrics["timing"]["predict"]["mean"] == pytest.approx(0.3)


def test_distances_are_in_pixels_where_one_image_has_no_spacing(table):
    without = Case("case-5", "c", "c", (1.0, 0.0, 0.0), 0, label=0)
    segmentation = compute_metrics(EvaluationTable((*table.cases, without)), **NAMES)["segmentation"]
    assert segmentation["distance_unit"] == "px"
    assert segmentation["hd95"]["mean"] == pytest.approx(6)


def test_normal_images_alone_leave_lesion_measures_undefined(table):
    metrics = compute_metrics(EvaluationTable(table.cases[:1]), **NAMES)
    for name in ("dice", "iou", "hd95", "assd", "lesion_sensitivity"):
        assert metrics["segmentation"][name] is None
    assert metrics["segmentation"]["froc"]["sensitivity"] == [None] * 6
    for name in ("sensitivity", "f1", "pf1", "auc_malignant", "auc_lesion"):
        assert metrics["classification"][name] is None
    assert metrics["classification"]["specificity"]["mean"] == 1
    json.dumps(metrics, allow_nan=False)


def test_an_image_without_class_counts_for_outlines_only(table):
    unclassed = Case("case-5", "c", "c", (1.0, 0.0, 0.0), 0, reader_area=9.0, dice=1.0, iou=1.0)
    metrics = compute_metrics(EvaluationTable((*table.cases, unclassed)), **NAMES)
    assert np.sum(metrics["classification"]["confusion_matrix"]) == 4
    assert metrics["segmentation"]["dice"]["mean"] == pytest.approx(2.4 / 4)


def test_subgroups_by_size_age_and_machine(table):
    subgroups = compute_metrics(table, **NAMES)["subgroups"]
    sizes = subgroups["lesion_size"]
    assert {name: part["n"] for name, part in sizes.items()} == {
        "below 10 mm": 1,
        "10 to 20 mm": 1,
        "20 mm or more": 1,
    }
    assert sizes["10 to 20 mm"]["dice"]["mean"] == 0
    assert sizes["10 to 20 mm"]["auc_malignant"] is None
    assert subgroups["age"] == {"40 to 50 years": subgroups["age"]["40 to 50 years"]}
    assert subgroups["machine"]["two"]["dice"]["mean"] == pytest.approx(0.3)
    assert subgroups["density"] == {}


def test_the_same_seed_gives_the_same_intervals(table):
    assert compute_metrics(table, **NAMES, seed=3) == compute_metrics(table, **NAMES, seed=3)


def test_how_often_the_heat_map_peaks_in_the_lesion(table):
    measure = explanation_measure(table)
    assert measure["n"] == 2
    assert measure["peak_in_lesion"]["mean"] == 0.5
