from __future__ import annotations

from pathlib import Path

import pytest

from breastlabel.datasets.phantoms import write_phantom_studies
from breastlabel.evaluation.comparison import compare_checkpoints, comparison_markdown
from breastlabel.training.run import train


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison") / "phantoms"
    write_phantom_studies(folder, exams=12, seed=3, shape=(64, 80))
    return folder


def test_a_checkpoint_differs_from_itself_by_nothing_and_from_another_by_the_means(
    studies: Path, tmp_path: Path
) -> None:
    good = train("ultrasound", studies, output=tmp_path / "good", preset="tiny")
    bad = train("ultrasound", studies, output=tmp_path / "bad", preset="tiny", epochs=1)
    same = compare_checkpoints(good, good, [studies])["studies"]["phantoms"]["difference"]
    assert same["Dice"] == {"mean": 0, "ci95": [0, 0]}
    comparison = compare_checkpoints(good, bad, [studies])
    entry = comparison["studies"]["phantoms"]
    means = [entry[which]["segmentation"]["dice"]["mean"] for which in ("first", "second")]
    assert entry["difference"]["Dice"]["mean"] == pytest.approx(means[0] - means[1])
    text = comparison_markdown(comparison, first="new", second="old")
    assert f"| Dice | {means[0]:.3f} (" in text
    assert f"test split: {entry['first']['n_images']} images" in text
