"""From a studies folder, and from the command line."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from breastlabel.activelearning.simulation import simulate
from breastlabel.activelearning.simulation.simulate import check_apart
from breastlabel.cli import main
from breastlabel.datasets.phantom_studies import write_phantom_studies
from breastlabel.errors import BreastLabelError, StudiesError, UnknownNameError

OPTIONS = {"rounds": 2, "initial": 3, "batch": 2, "epochs": 1, "size": 32, "preset": "tiny", "device": "cpu"}


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("simulation") / "studies"
    write_phantom_studies(folder, exams=15, seed=5, images_per_exam=1, shape=(64, 80))
    return folder


@pytest.fixture(scope="module")
def simulated(studies, tmp_path_factory):
    output = tmp_path_factory.mktemp("out")
    curves = simulate("ultrasound", studies, output, strategies=["badge"], seeds=(0, 1), **OPTIONS)
    return curves, output


def test_it_writes_curves_and_report(simulated):
    curves, output = simulated
    assert json.loads((output / "curves.json").read_text()) == curves
    assert {p.name for p in output.iterdir()} == {"curves.json", "report.html", "curves.png", "state"}
    assert curves["model"] == "ultrasound"
    assert list(curves["strategies"]) == ["random", "badge"]
    assert curves["strategies"]["badge"]["n_labels"] == [3, 5, 7]
    assert np.shape(curves["strategies"]["badge"]["dice"]) == (2, 3)
    assert curves["settings"]["seeds"] == [0, 1]
    assert curves["settings"]["steps"] == 2


def test_run_again_it_reads_what_is_there(simulated, studies, monkeypatch):
    curves, output = simulated
    monkeypatch.setattr("breastlabel.activelearning.simulation.learner.fit", None)
    again = simulate("ultrasound", studies, output, strategies=["badge"], seeds=(0, 1), **OPTIONS)
    assert again == curves


def test_an_output_of_another_simulation_is_refused(simulated, studies):
    with pytest.raises(StudiesError, match="the one in it differs in plan"):
        simulate("ultrasound", studies, simulated[1], strategies=["badge"], **{**OPTIONS, "batch": 1})


def test_unknown_strategies_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UnknownNameError, match=r"one of badge, .*random, .*; got 'luck'"):
        simulate("ultrasound", tmp_path / "none", tmp_path / "out", strategies=["luck"])
    assert not (tmp_path / "out").exists()


def test_too_little_time_is_said(studies, tmp_path):
    with pytest.raises(BreastLabelError, match="run again with the same --output to go on"):
        simulate("ultrasound", studies, tmp_path, strategies=["badge"], time_limit=-1.0, **OPTIONS)


def test_every_split_must_have_labels(tmp_path):
    write_phantom_studies(tmp_path / "s", exams=3, seed=1, images_per_exam=1, shape=(64, 64), split="train")
    with pytest.raises(StudiesError, match="train, val and test; 'val' has none"):
        simulate("ultrasound", tmp_path / "s", tmp_path / "o", strategies=["badge"], **OPTIONS)


def test_a_patient_in_two_splits_is_refused(train, judges):
    check_apart({"train": train, **judges})
    mixed = dataclasses.replace(judges["test"], groups=np.array(["train-patient-3"] * 6))
    with pytest.raises(
        StudiesError, match="1 patients or groups of near-duplicates lie in both train and test"
    ):
        check_apart({"train": train, "val": judges["val"], "test": mixed})


def command(studies, output, *more):
    options = ["--rounds", "1", "--initial", "3", "--batch", "2", "--epochs", "1", "--size", "32"]
    start = ["simulate", "ultrasound", "--studies", str(studies), "--output", str(output)]
    return [*start, *options, "--preset", "tiny", "--device", "cpu", *more]


def test_command_prints_what_was_found(studies, tmp_path, capsys):
    options = ["--strategies", "random, entropy", "--seeds", "2"]
    assert main(command(studies, tmp_path / "out", *options)) == 0
    shown = capsys.readouterr().out
    assert "entropy" in shown
    assert "No strategy beat random on the test split" in shown
    assert (tmp_path / "out" / "report.html").is_file()
    assert main(command(studies, tmp_path / "out", *options, "--json")) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "curves.json").read_text())


def test_command_lists_the_strategies_where_one_is_unknown(studies, tmp_path, capsys):
    assert main(command(studies, tmp_path / "out", "--strategies", "random,luck")) == 2
    error = capsys.readouterr().err
    assert "'luck'" in error
    assert "clasp" in error


def test_command_wants_more_images_than_there_are(studies, tmp_path, capsys):
    assert main([*command(studies, tmp_path / "out"), "--batch", "20"]) == 1
    assert "must hold 23 images for 3 + 1 x 20 labels" in capsys.readouterr().err
