"""The default strategy is the one that the committed simulation supports."""

import json
from pathlib import Path

import pytest

from breastlabel.activelearning import DEFAULT_STRATEGY
from breastlabel.activelearning.simulation.curves import choose

DOCS = Path(__file__).parents[3] / "docs" / "concepts"


@pytest.fixture(scope="module")
def curves():
    return json.loads((DOCS / "simulation.json").read_text(encoding="utf-8"))


def test_the_default_is_what_the_rule_chooses_from_the_figures(curves):
    assert choose(curves["validation"]["area_under_curve"]) == curves["chosen"]
    assert curves["chosen"]["strategy"] == DEFAULT_STRATEGY


def test_it_rests_on_five_seeds_and_eight_rounds_at_least(curves):
    assert len(curves["settings"]["seeds"]) >= 5
    assert curves["settings"]["rounds"] >= 8
    assert {"random", "entropy", "badge", "clasp"} <= curves["strategies"].keys()
    assert curves["settings"]["n_train"] > 1000


def test_the_page_states_the_figures_of_the_file(curves):
    page = (DOCS / "simulation.md").read_text(encoding="utf-8")
    for name in curves["strategies"]:
        dice, auc = (curves["area_under_curve"][m][name]["mean"] for m in ("dice", "auc_malignant"))
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` | {dice:.3f}"))
        assert f"| {auc:.3f} |" in row
    full = curves["reference"]
    for interval in (full["dice"], full["longer"]["dice"]):
        assert f"{interval['mean']:.3f} ({interval['ci95'][0]:.3f} to {interval['ci95'][1]:.3f})" in page
