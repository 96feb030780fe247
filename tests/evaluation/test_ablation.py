import json
from dataclasses import replace
from html import unescape

import pytest
import torch

from breastlabel.datasets.phantom_studies import write_phantom_studies
from breastlabel.errors import StudiesError
from breastlabel.evaluation.ablation import ULTRASOUND_ROWS, ablate_ultrasound, row_measures
from breastlabel.evaluation.ablation_report import compare_with_paper
from breastlabel.evaluation.table import EvaluationTable


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("ablation")
    write_phantom_studies(root / "studies", exams=12, seed=5, images_per_exam=1, shape=(64, 80))
    output = root / "out"
    result = ablate_ultrasound(
        root / "studies", output, seeds=(4,), epochs=1, size=32, preset="tiny", device="cpu"
    )
    return result, output


def test_all_rows_of_the_papers_table_are_there(ablated):
    result, output = ablated
    assert [row["name"] for row in result["rows"]] == [row.name for row in ULTRASOUND_ROWS]
    assert [row["paper"].get("auc") for row in result["rows"]] == [0.84, 0.91, 0.93, None, 0.964, None]
    assert json.loads((output / "ablation.json").read_text()) == result
    assert result["seeds"] == [4]
    assert result["n_images"] == 3


def test_rows_that_differ_in_inference_only_share_their_training(ablated):
    _, output = ablated
    trained = sorted(p.name for p in (output / "models").iterdir())
    assert trained == ["cnn-4", "full-4", "gabor-4", "logistic-4", "lstm-4"]


def test_influence_names_every_group_of_the_whole_system(ablated):
    groups = [row["group"] for row in ablated[0]["influence"]]
    assert groups == ["grey image", "Gabor channels", "texture statistics", "recurrence"]


def test_report_stands_alone_and_compares(ablated):
    html = unescape((ablated[1] / "report.html").read_text(encoding="utf-8"))
    assert "paper 0.942" in html
    assert "not a medical device" in html
    assert "http" not in html
    assert compare_with_paper(ablated[0]) in html


def test_mean_and_change_by_hand(table):
    """The second row's one seed misses what the first finds; two seeds of the first average."""
    worse = EvaluationTable(tuple(replace(c, dice=c.dice / 2, predicted=0) for c in table.cases))
    rows = row_measures(ULTRASOUND_ROWS[:2], [[table, table], [table, worse]], (7, 8))
    dice = 1.4 / 3
    assert rows[0]["dice"]["mean"] == pytest.approx(dice)
    assert rows[1]["dice"]["mean"] == pytest.approx(0.75 * dice)
    assert rows[1]["dice"]["by_seed"] == {"7": pytest.approx(dice), "8": pytest.approx(dice / 2)}
    assert rows[0]["change"] is None
    assert rows[1]["change"]["dice"]["mean"] == pytest.approx(-0.25 * dice)
    # Of four images 3 are right with each table of the first row, 3 and 1 with those of the second.
    assert rows[0]["accuracy"]["mean"] == pytest.approx(0.75)
    assert rows[1]["change"]["accuracy"]["mean"] == pytest.approx(-0.25)


def test_every_split_must_have_labels(tmp_path):
    write_phantom_studies(tmp_path / "s", exams=3, seed=1, images_per_exam=1, shape=(64, 64), split="train")
    with pytest.raises(StudiesError, match="train, val and test; 'val' has none"):
        ablate_ultrasound(tmp_path / "s", tmp_path / "o", preset="tiny", size=32)
