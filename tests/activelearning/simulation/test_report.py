"""The page and its sentences, from curves made by hand."""

from html import unescape

import numpy as np
import pytest

from breastlabel.activelearning.simulation.curves import SCORE, choose, summarise_split
from breastlabel.activelearning.simulation.report import findings, write_simulation_report

LABELS = [30, 60, 90]


def made(seeds=5, **means):
    """The content of a ``curves.json`` in which strategies rise from 0.5 to these means."""
    spread = np.linspace(-0.001, 0.001, seeds)[:, None]
    of = {
        name: np.linspace(0.5, mean, 3)[None, :] + spread * (1 + 0.1 * i)
        for i, (name, mean) in enumerate(means.items())
    }
    measures = dict.fromkeys(("dice", "auc_malignant", SCORE), of)
    split = summarise_split(LABELS, measures, range(seeds))
    interval = {"mean": 0.8, "ci95": [0.75, 0.85], "by_seed": [0.8] * seeds}
    return {
        "model": "ultrasound",
        "studies": "made-up",
        "settings": {
            "initial": 30, "rounds": 2, "batch": 30, "size": [64, 64], "steps": 200, "reference_steps": 800,
            "batch_size": 8, "n_train": 400, "n_val": 90, "n_test": 91,
            "seeds": list(range(seeds)), "seeds_asked": list(range(seeds)),
        },
        "split": "test",
        "n_labels": LABELS,
        "reference": {
            "dice": interval, "auc_malignant": interval,
            "longer": {"dice": {**interval, "mean": 0.9}, "auc_malignant": interval},
        },
        **split,
        "validation": split,
        "chosen": choose(split["area_under_curve"]),
    }  # fmt: skip


def test_it_says_so_where_no_strategy_beat_random(tmp_path):
    curves = made(random=0.7, entropy=0.65, badge=0.6)
    sentences = findings(curves)
    assert sentences[0].startswith("No strategy beat random on the test split")
    assert "Worse than random: badge and entropy in Dice; badge and entropy in malignant AUC" in sentences[0]
    assert "the choice is random" in sentences[1]
    write_simulation_report(tmp_path, curves)
    assert sentences[0] in unescape((tmp_path / "report.html").read_text())


def test_it_says_who_beat_random_and_what_that_saves():
    sentences = findings(made(random=0.6, entropy=0.55, badge=0.7))
    assert sentences[0].startswith("Beat random on the test split: badge in Dice; badge in malignant AUC")
    assert "Worse than random: entropy in Dice; entropy in malignant AUC" in sentences[0]
    assert sentences[1].startswith("The val split chooses badge; on the test split it saves 30 of 90 labels")


def test_it_states_the_full_data_reference():
    sentences = findings(made(random=0.6, badge=0.7))
    assert (
        "All 400 labels give Dice 0.800 (0.750 to 0.850) after 200 steps and 0.900 after 800; random’s 90 "
        "labels give 0.600 after 200."
    ) in sentences


def test_few_seeds_and_an_early_end_are_said():
    curves = made(seeds=2, random=0.6, badge=0.7)
    curves["settings"]["seeds_asked"] = [0, 1, 2]
    sentences = findings(curves)
    assert any("2 seeds are few" in sentence for sentence in sentences)
    assert any("after 2 of 3 seeds" in sentence for sentence in sentences)


def test_random_alone_is_no_comparison(tmp_path):
    curves = made(random=0.6)
    assert findings(curves)[0] == "Only random was replayed; there is nothing to compare."
    write_simulation_report(tmp_path, curves)
    assert "Labels saved" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("seeds", [1, 5])
def test_the_page_stands_alone_and_names_every_strategy(tmp_path, seeds):
    write_simulation_report(tmp_path, made(seeds=seeds, random=0.6, entropy=0.4, badge=0.7))
    page = unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "http" not in page
    assert "not a medical device" in page
    assert all(f"<b>{name}</b>" in page for name in ("random", "entropy", "badge"))
    assert "not reached" in page
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_measure_that_is_undefined_is_left_out(tmp_path):
    curves = made(random=0.6, badge=0.7)
    for split in (curves, curves["validation"]):
        for part in ("area_under_curve", "labels_saved"):
            split[part] = {**split[part], "auc_malignant": None}
        for strategy in split["strategies"].values():
            strategy["auc_malignant_mean"] = [None] * 3
    curves["reference"]["auc_malignant"] = None
    write_simulation_report(tmp_path, curves)
    assert "undefined" in (tmp_path / "report.html").read_text()
