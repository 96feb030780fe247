"""How a checkpoint remembers which labels it learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from breastlabel.errors import CheckpointError
from breastlabel.training import TrainingArrays
from breastlabel.training.learned_labels import (
    LEARNED_LABELS,
    label_keys,
    new_labels,
    read_learned_labels,
    write_learned_labels,
)

Discs = Callable[..., TrainingArrays]


def test_a_corrected_outline_or_class_and_an_added_image_are_new(discs: Discs, tmp_path: Path) -> None:
    arrays = discs(9)
    write_learned_labels(tmp_path, set(label_keys(arrays.select([0, 1, 2, 3, 4, 5]), "secret")))  # type: ignore[arg-type]
    learned = read_learned_labels(tmp_path)
    assert len(learned) == 6
    arrays.masks[1, 0, 0] = 1
    arrays.labels[3] = 2
    new = new_labels(label_keys(arrays, "secret"), learned)
    assert new.tolist() == [False, True, False, True, False, False, True, True, True]


def test_without_the_folders_secret_nothing_can_be_told(discs: Discs, tmp_path: Path) -> None:
    arrays = discs(6)
    write_learned_labels(tmp_path, set(label_keys(arrays, "secret")))
    assert new_labels(label_keys(arrays, "guess"), read_learned_labels(tmp_path)).all()
    assert "image-" not in (tmp_path / LEARNED_LABELS).read_text()


def test_a_checkpoint_from_elsewhere_has_learned_none_of_these(tmp_path: Path) -> None:
    assert read_learned_labels(tmp_path) == frozenset()


def test_a_damaged_list_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / LEARNED_LABELS).write_text("{")
    with pytest.raises(CheckpointError, match="all labels count as new"):
        read_learned_labels(tmp_path)


def test_a_corrected_outline_of_a_view_makes_the_label_of_its_breasts_new(
    breasts: Callable[..., TrainingArrays],
) -> None:
    arrays = breasts(4)
    learned = set(label_keys(arrays, "secret"))
    assert not new_labels(label_keys(arrays, "secret"), learned).any()
    # The first view of the first breast is also the second breast's prior.
    arrays.masks[arrays.cases.images[0], 0, 0] = 1
    assert new_labels(label_keys(arrays, "secret"), learned).tolist() == [True, True, False, False]
