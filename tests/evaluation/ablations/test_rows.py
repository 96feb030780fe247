import pytest
import torch

from breastlabel.evaluation.ablations import SYSTEMS
from breastlabel.evaluation.ablations.measures import MEASURES
from breastlabel.evaluation.ablations.report import what_it_shows
from breastlabel.networks import create_network
from breastlabel.training.presets import PRESETS


def rows_of(model, preset="tiny", studies=1):
    return SYSTEMS[model].rows(PRESETS[model][preset].network, studies)


@pytest.mark.parametrize("preset", ["tiny", "default", "paper"])
@pytest.mark.parametrize("model", SYSTEMS)
def test_rows_are_told_apart_and_compared_with_rows_that_are_there(model, preset):
    rows = rows_of(model, preset, studies=2)
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    by_name = {row.name: row for row in rows}
    for row in rows:
        assert row.versus is None or by_name[row.versus].setting == row.setting
        assert set(row.paper) <= set(SYSTEMS[model].measures)
    assert set(SYSTEMS[model].measures) <= set(MEASURES)
    assert any(SYSTEMS[model].headline in name for name in names)


@pytest.mark.parametrize("preset", ["tiny", "default", "paper"])
@pytest.mark.parametrize("model", SYSTEMS)
def test_every_network_can_be_built(model, preset):
    built = []
    for row in rows_of(model, preset):
        arguments = {**PRESETS[model][preset].network, **row.network}
        if arguments not in built:
            built.append(arguments)
            name, others = arguments["name"], {k: v for k, v in arguments.items() if k != "name"}
            # Without numbers: the largest would take seconds to fill.
            with torch.device("meta"):
                create_network(name, **others)


def test_the_papers_figures_stand_where_it_prints_them():
    parts = {row.name: row.paper for row in rows_of("mammography", "paper")}
    assert [paper.get("accuracy") for paper in parts.values()][:3] == [0.85, 0.88, 0.906]
    cad = rows_of("cad", "paper")[-1].paper
    assert (cad["precision"], cad["specificity"]) == (0.98, 0.90)
    screening = {row.name: row.paper for row in rows_of("screening", "paper")}
    assert screening["ResNet-50 alone"]["auc_malignant"] == 0.70


def test_two_datasets_give_fusionviews_whole_table():
    two = rows_of("fusionview", "paper", studies=2)
    kinds = [row.setting.kind for row in two]
    # Seen patients and the other dataset both ways, pooled once; times two backbones and two pipelines.
    assert {kind: kinds.count(kind) for kind in kinds} == {"seen": 8, "other": 8, "patients": 4}
    assert sum(bool(row.paper) for row in two) == 20
    one = rows_of("fusionview", "paper", studies=1)
    assert {row.setting.kind for row in one} == {"seen", "patients"}
    assert SYSTEMS["fusionview"].left_out(PRESETS["fusionview"]["paper"].network, 1)
    assert not SYSTEMS["fusionview"].left_out(PRESETS["fusionview"]["paper"].network, 2)


def test_equal_rows_are_one_training():
    rows = {row.name: row for row in rows_of("mammography")}
    assert rows["LSTM"].training() == rows["Soft gate"].training() == rows["All views and priors"].training()
    assert len({row.training() for row in rows.values()}) == 11


def test_the_sentence_says_what_phantoms_cannot_show():
    value = {"mean": 0.5, "ci95": [0.4, 0.6]}
    row = {
        "name": "whole",
        "paper": {"accuracy": 0.9},
        "values": {"accuracy": value},
        "n_cases": 20,
        "n_patients": 10,
        "n_malignant": 5,
    }
    result = {
        "rows": [row],
        "datasets": ["phantom"],
        "seeds": [0],
        "measures": [{"name": "accuracy", "title": "Accuracy"}],
    }
    sentence = what_it_shows(result, "whole")
    assert "Accuracy 0.500 (0.400 to 0.600) where the paper prints 0.900" in sentence
    assert "nothing about patients" in sentence
    assert "10 patients are few" in sentence
    assert "fewer than three seeds" in sentence
