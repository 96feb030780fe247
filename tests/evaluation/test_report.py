import base64
import errno
import os
import re
from dataclasses import replace

import pytest

from breastlabel.evaluation.measures import compute_metrics, explanation_measure
from breastlabel.evaluation.report import render, write_report
from breastlabel.evaluation.table import EvaluationTable

HISTORY = [
    {"epoch": 1, "train_loss": 1.0, "val_loss": 1.1, "val_dice": 0.2, "val_auc": None},
    {"epoch": 2, "train_loss": 0.5, "val_loss": 0.8, "val_dice": 0.5, "val_auc": 0.7},
]


@pytest.fixture(scope="module")
def html(table, tmp_path_factory) -> str:
    metrics = compute_metrics(table, model="ultrasound", checkpoint="v1", studies="site", split="test")
    path = write_report(
        tmp_path_factory.mktemp("report") / "report.html",
        metrics,
        table,
        facts={"Seed": 0},
        explanation=explanation_measure(table),
        history=HISTORY,
    )
    return path.read_text(encoding="utf-8")


def test_report_shows_diagrams_and_cases(html):
    assert html.count("data:image/svg+xml;base64,") == 7
    # Three lesion images in worst and best, one wrong class.
    assert html.count("data:image/jpeg;base64,") == 4
    jpeg = re.search(r"data:image/jpeg;base64,([^\"]+)", html)[1]
    assert base64.b64decode(jpeg)[:2] == b"\xff\xd8"
    assert "Learning curves" in html
    assert "case-3" in html


def test_report_states_figures_with_intervals_and_what_it_is(html):
    assert "0.467" in html
    assert "not a medical device" in html
    assert "undefined" in html
    assert "Peak in the lesion" in html
    assert "malignant taken for normal" in html
    # Where patients are unknown, groups of near-duplicates are counted.
    assert re.search(r"Patients or groups\s*<[^0-9]*>\s*2\b", html)


def test_report_names_no_patient(html, secret):
    assert secret not in html


def test_report_needs_nothing_from_elsewhere(html):
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "http" not in html
    assert "<script" not in html


def test_report_of_normal_images_alone(table, tmp_path):
    normal = EvaluationTable(table.cases[:1])
    metrics = compute_metrics(normal, model="ultrasound", checkpoint="v1", studies="site", split="test")
    html = write_report(tmp_path / "report.html", metrics, normal).read_text(encoding="utf-8")
    assert "undefined" in html


def test_names_are_escaped(table, tmp_path):
    strange = EvaluationTable((replace(table.cases[2], image_id="<script>alert(1)</script>"),))
    metrics = compute_metrics(strange, model="ultrasound", checkpoint="v1", studies="site", split="test")
    html = write_report(tmp_path / "report.html", metrics, strange).read_text(encoding="utf-8")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_template_must_get_all_it_names():
    with pytest.raises(Exception, match="undefined"):
        render("report.html.j2")


def test_a_full_disk_leaves_the_report_before(table, tmp_path, monkeypatch):
    metrics = compute_metrics(table, model="ultrasound", checkpoint="v1", studies="site", split="test")
    path = write_report(tmp_path / "report.html", metrics, table)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_report(path, {**metrics, "checkpoint": "v2"}, table)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
