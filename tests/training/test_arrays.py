from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from breastlabel.errors import StudiesError
from breastlabel.training import TrainingArrays


def test_a_pack_gives_back_what_was_packed(discs: Callable[..., TrainingArrays], tmp_path: Path) -> None:
    arrays = discs(5)
    arrays.save(tmp_path / "pack.npz")
    back = TrainingArrays.load(tmp_path / "pack.npz")
    assert np.abs(back.images.astype(float) - arrays.images.astype(float)).max() <= 0.5 / 255 + 1e-3
    for name in ("masks", "has_mask", "labels", "ids", "groups"):
        np.testing.assert_array_equal(getattr(back, name), getattr(arrays, name))
    assert back.fingerprint() == arrays.fingerprint()


def test_a_corrected_mask_changes_the_fingerprint(discs: Callable[..., TrainingArrays]) -> None:
    arrays = discs(3)
    masks = arrays.masks.copy()
    masks[0, 0, 0] = 1
    assert dataclasses.replace(arrays, masks=masks).fingerprint() != arrays.fingerprint()


def test_selecting_and_concatenating_are_inverse(discs: Callable[..., TrainingArrays]) -> None:
    arrays = discs(6)
    halves = [arrays.select(np.arange(3)), arrays.select(np.arange(3, 6))]
    assert TrainingArrays.concatenate(halves).fingerprint() == arrays.fingerprint()


def test_arrays_of_different_lengths_are_refused(discs: Callable[..., TrainingArrays]) -> None:
    with pytest.raises(StudiesError, match="must have one length"):
        dataclasses.replace(discs(4), labels=np.zeros(3, np.int64))


def test_no_labelled_image_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(StudiesError, match="label images in the viewer"):
        TrainingArrays.prepare([], preparation=None)  # type: ignore[arg-type]
