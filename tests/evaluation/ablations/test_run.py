"""From studies folders to the table, at the smallest size."""

import json
from html import unescape

import pytest
import torch

from breastlabel.datasets.phantoms import write_mammogram_phantoms
from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.evaluation.ablations import SYSTEMS, Row, Setting, ablate
from breastlabel.evaluation.ablations import run as run_module

OPTIONS = {"seeds": (0, 1), "epochs": 1, "size": (32, 24), "preset": "tiny", "device": "cpu"}
CAD_ROWS = (
    Row("Support vector machine", baseline="svm"),
    Row("Whole", versus="Support vector machine", paper={"accuracy": 0.96}),
    Row("Whole again", versus="Support vector machine"),
    Row("Not isolated", preparation={"isolate": False}),
)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("site") / "mammograms"
    write_mammogram_phantoms(folder, exams=4, seed=3, shape=(96, 80), priors=0.0, truth=False)
    return folder


@pytest.fixture(scope="module")
def ablated(studies, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "ablation"
    return ablate("cad", [studies], output, rows=CAD_ROWS, **OPTIONS), output


@pytest.mark.slow
def test_each_row_has_its_seeds_its_n_and_its_intervals(ablated):
    result, output = ablated
    assert json.loads((output / "ablation.json").read_text()) == result
    assert result["datasets"] == ["phantom"]
    for row in result["rows"]:
        assert row["n_cases"] == 4
        assert row["n_patients"] == 1
        assert set(row["values"]["accuracy"]["by_seed"]) == {"0", "1"}
    whole, again = result["rows"][1], result["rows"][2]
    assert whole["values"] == again["values"]


@pytest.mark.slow
def test_the_report_stands_alone_and_says_what_the_paper_got_wrong(ablated):
    html = unescape((ablated[1] / "report.html").read_text(encoding="utf-8"))
    assert "paper 0.960" in html
    assert "TP / (TP + TN), which is no sensitivity" in html
    assert ablated[0]["sentence"] in html
    assert "http" not in html


@pytest.mark.slow
def test_rows_that_are_alike_are_trained_once_and_an_ablation_goes_on(ablated, studies, monkeypatch):
    result, output = ablated
    trained = sorted(path.name for path in (output / "models").iterdir())
    assert trained == ["not-isolated-0", "not-isolated-1", "whole-0", "whole-1"]

    def train(*args, **kwargs):
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(run_module._Bench, "_train", train)
    monkeypatch.setattr(run_module, "baseline_answers", train)
    assert ablate("cad", [studies], output, rows=CAD_ROWS, **OPTIONS) == result


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "rows"),
    [
        ("mammography", (Row("One view", shown="alone"), Row("Whole", versus="One view"))),
        ("screening", (Row("Patches", patches=True, unknown=("age",)),)),
        ("fusionview", (Row("Seen", setting=Setting("seen", (0,), (0,))),)),
    ],
)
def test_every_system_can_be_ablated(model, rows, studies, tmp_path):
    options = {**OPTIONS, "seeds": (0,), "size": (64, 48)}
    result = ablate(model, [studies], tmp_path / "out", rows=rows, **options)
    assert [row["name"] for row in result["rows"]] == [row.name for row in rows]
    assert all(row["values"]["accuracy"] is not None for row in result["rows"])
    assert (tmp_path / "out" / "report.html").is_file()


def test_what_cannot_be_ablated_is_refused(studies, tmp_path):
    with pytest.raises(UnknownNameError, match="ultrasound"):
        ablate("ultrasound", [studies], tmp_path)
    with pytest.raises(StudiesError, match="named twice"):
        ablate("fusionview", [studies, studies], tmp_path, preset="tiny")
    assert set(SYSTEMS) == {"mammography", "cad", "screening", "fusionview"}
