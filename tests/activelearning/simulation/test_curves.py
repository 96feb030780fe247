"""From results to ``curves.json``: schema, the choice, and figures that can be counted."""

import json

import numpy as np
import pytest

from breastlabel.activelearning.simulation.curves import SCORE, choose, summarise, summarise_split
from breastlabel.activelearning.simulation.store import Results

LABELS = [10, 20, 30]
SEEDS = [0, 1, 2, 3, 4]


def split_of(**means):
    """Curves of five seeds that rise from 0.5 to a mean of each strategy, with a spread of 0.001."""
    spread = np.linspace(-0.001, 0.001, 5)[:, None]
    curves = {
        name: np.linspace(0.5, mean, 3)[None, :] + spread * (1 + 0.1 * i)
        for i, (name, mean) in enumerate(means.items())
    }
    return summarise_split(LABELS, dict.fromkeys(("dice", "auc_malignant", SCORE), curves), SEEDS)


@pytest.fixture
def results(replay, judges, plan, tmp_path):
    replay().run(["random", "badge"], [0, 1])
    return Results(tmp_path / "state", {"plan": plan.config()})


@pytest.fixture
def curves(results, judges, plan):
    return summarise(results, judges, plan=plan, strategies=["random", "badge"], seeds=[0, 1])


def test_schema(curves, plan):
    json.dumps(curves, allow_nan=False)
    assert curves["split"] == "test"
    assert curves["n_labels"] == plan.n_labels() == [4, 7, 10]
    for split in (curves, curves["validation"]):
        assert list(split["strategies"]) == ["random", "badge"]
        for strategy in split["strategies"].values():
            assert strategy["seeds"] == [0, 1]
            assert np.all(np.diff(strategy["n_labels"]) > 0)
            for measure in ("dice", "auc_malignant", "score"):
                assert np.shape(strategy[measure]) == (2, 3)
                assert np.mean(strategy[measure], axis=0) == pytest.approx(
                    [point["mean"] for point in strategy[f"{measure}_mean"]]
                )
        assert split["area_under_curve"]["dice"]["random"]["against_random"] is None
        assert set(split["area_under_curve"]["dice"]["badge"]["against_random"]) == {
            "mean", "ci95", "p", "p_holm"
        }  # fmt: skip
        assert set(split["labels_saved"]["dice"]) == {"badge"}
    assert set(curves["reference"]["dice"]) == {"mean", "ci95", "by_seed"}
    assert curves["reference"]["longer"]["auc_malignant"]["mean"] <= 1
    assert curves["chosen"]["split"] == "val"


def test_round_zero_is_the_same_for_all(curves):
    strategies = curves["strategies"]
    first = [[row[0] for row in strategies[name]["dice"]] for name in ("random", "badge")]
    assert first[0] == first[1]


def test_figures_are_the_trainers(results, curves, judges, train, learner, plan):
    """Dice of random's first round, measured again from a network that learned from the same labels."""
    from breastlabel.training.losses import JointLoss
    from breastlabel.training.validation import validate

    ids = [*train.ids[np.random.default_rng([0, 0]).permutation(18)[:4]], *results.choice(0, "random", 1)]
    network = learner.fit(train.select(np.isin(train.ids, ids)), epochs=plan.epochs, seed=0)
    figures = validate(network, judges["test"], JointLoss(), learner.settings)
    assert curves["strategies"]["random"]["dice"][0][1] == pytest.approx(figures["val_dice"], abs=1e-4)
    auc = curves["strategies"]["random"]["auc_malignant"][0][1]
    assert auc == pytest.approx(figures["val_auc"], abs=1e-4)
    score = curves["strategies"]["random"]["score"][0][1]
    assert score == pytest.approx((figures["val_dice"] + figures["val_auc"]) / 2, abs=1e-4)


def test_areas_and_savings_by_hand():
    split = split_of(random=0.6, badge=0.7)
    areas = split["area_under_curve"]["dice"]
    assert areas["random"]["mean"] == pytest.approx(0.55)
    assert areas["badge"]["against_random"]["mean"] == pytest.approx(0.05)
    saved = split["labels_saved"]["dice"]["badge"]
    assert saved["random_labels"] == pytest.approx(30)
    assert saved["labels"] == pytest.approx(10)


def test_the_best_of_those_that_beat_random_is_chosen():
    areas = split_of(random=0.6, entropy=0.65, badge=0.7, bald=0.5)["area_under_curve"]
    chosen = choose(areas)
    assert chosen["strategy"] == "badge"
    assert chosen["beat_random"] == ["badge", "entropy"]


def test_random_is_chosen_where_nothing_is_surely_better():
    noise = np.random.default_rng(0).normal(0, 0.05, size=(2, 5, 3))
    curves = {"random": 0.5 + noise[0], "badge": 0.501 + noise[1]}
    split = summarise_split(LABELS, dict.fromkeys(("dice", "auc_malignant", SCORE), curves), SEEDS)
    assert choose(split["area_under_curve"])["strategy"] == "random"


def test_what_is_worse_for_sure_is_not_chosen():
    assert choose(split_of(random=0.7, badge=0.6)["area_under_curve"])["strategy"] == "random"


def test_one_seed_proves_nothing():
    curves = {"random": np.array([[0.5, 0.5, 0.5]]), "badge": np.array([[0.5, 0.9, 0.9]])}
    split = summarise_split(LABELS, dict.fromkeys(("dice", "auc_malignant", SCORE), curves), [0])
    assert split["area_under_curve"]["dice"]["badge"]["ci95"] is None
    assert choose(split["area_under_curve"])["strategy"] == "random"


def test_a_measure_that_the_split_leaves_undefined_is_none():
    curves = {"random": np.full((2, 3), 0.5), "badge": np.full((2, 3), 0.5)}
    undefined = {name: np.full((2, 3), np.nan) for name in curves}
    split = summarise_split(LABELS, {"dice": curves, "auc_malignant": undefined, SCORE: curves}, [0, 1])
    assert split["area_under_curve"]["auc_malignant"] is None
    assert split["labels_saved"]["auc_malignant"] is None
    assert split["strategies"]["badge"]["auc_malignant"] == [[None] * 3] * 2
    json.dumps(split, allow_nan=False)
