from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from breastlabel.errors import CheckpointError
from breastlabel.training import TrainingArrays
from breastlabel.training.answers import Answers, dice_difference
from breastlabel.training.held_out import HELD_OUT, HeldOut, deal_folds, read_held_out

Discs = Callable[..., TrainingArrays]


def test_a_patient_is_in_one_fold_and_each_fold_has_its_share_of_each_class(discs: Discs) -> None:
    arrays = discs(24)
    chosen = np.arange(24) >= 6
    arrays.groups[:] = [f"patient-{i}" for i in range(24)]
    arrays.groups[[6, 9]] = "two images"
    fold = deal_folds(arrays, chosen, 3)
    assert (fold[:6] == -1).all()
    assert fold[6] == fold[9]
    assert set(fold[6:]) == {0, 1, 2}
    for k in range(3):
        assert set(arrays.labels[fold == k]) == {0, 1, 2}


def test_what_is_written_names_no_image_or_patient_and_reads_back_the_same(tmp_path: Path) -> None:
    groups = {"hanna-1": "mueller", "hanna-2": "mueller", "x": "meier"}
    malignant = {"hanna-1": True, "x": False}
    scores = {"hanna-1": 0.75, "hanna-2": 0.5, "x": 0.25}
    before = Answers({"hanna-1": 0.5, "hanna-2": 0.25}, scores, malignant, groups)
    after = Answers({"hanna-1": 0.75, "hanna-2": 0.75}, scores, malignant, groups)
    HeldOut("version", before, after).write(tmp_path)
    text = (tmp_path / HELD_OUT).read_text()
    assert "hanna" not in text
    assert "mueller" not in text
    read = read_held_out(tmp_path)
    assert read is not None
    assert read.champion == "version"
    assert sorted(read.before.dice.values()) == [0.25, 0.5]
    assert read.before.n_patients == 1
    assert (read.before.mean_dice(), read.after.mean_dice()) == (0.375, 0.75)
    assert read.after.auc() == 1
    assert sorted(read.after.scores.values()) == [0.25, 0.5, 0.75]
    assert len(read.after.malignant) == 2
    difference = dice_difference(read.after, read.before)
    assert difference is not None
    assert difference[0] == pytest.approx(0.375)


def test_a_checkpoint_without_the_file_held_nothing_out(tmp_path: Path) -> None:
    assert read_held_out(tmp_path) is None


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / HELD_OUT).write_text('{"champion": "a", "images": [{"dice": 3}]}')
    with pytest.raises(CheckpointError, match="train again"):
        read_held_out(tmp_path)
