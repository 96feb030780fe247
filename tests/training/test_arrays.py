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
    for name in ("masks", "has_mask", "labels", "ids", "groups", "invasive"):
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


def test_a_pack_of_breasts_gives_back_what_was_packed(
    breasts: Callable[..., TrainingArrays], tmp_path: Path
) -> None:
    arrays = breasts(6)
    arrays.save(tmp_path / "pack.npz")
    back = TrainingArrays.load(tmp_path / "pack.npz")
    assert back.fingerprint() == arrays.fingerprint()
    assert back.keys.tolist() == arrays.keys.tolist()
    np.testing.assert_array_equal(back.cases.context, arrays.cases.context)
    np.testing.assert_allclose(back.images, arrays.images, atol=1 / 255)


def test_a_pack_from_before_there_were_cases_is_read(
    discs: Callable[..., TrainingArrays], tmp_path: Path
) -> None:
    arrays = discs(4)
    arrays.save(tmp_path / "pack.npz")
    with np.load(tmp_path / "pack.npz") as packed:
        old = {name: packed[name] for name in packed if not name.startswith("case_")}
    np.savez_compressed(tmp_path / "old.npz", **old)
    back = TrainingArrays.load(tmp_path / "old.npz")
    assert back.cases.single
    assert back.fingerprint() == arrays.fingerprint()


def test_what_is_known_of_cancers_goes_with_its_cases(
    breasts: Callable[..., TrainingArrays], tmp_path: Path
) -> None:
    unknown = breasts(6)
    assert unknown.invasive.tolist() == [-1] * 6
    arrays = dataclasses.replace(unknown, invasive=np.array([-1, -1, 1, -1, -1, 0]))
    assert arrays.fingerprint() != unknown.fingerprint()
    arrays.save(tmp_path / "pack.npz")
    assert TrainingArrays.load(tmp_path / "pack.npz").invasive.tolist() == arrays.invasive.tolist()
    chosen = arrays.select(np.array([5, 0]))
    assert chosen.invasive.tolist() == [0, -1]
    assert TrainingArrays.concatenate([chosen, arrays]).invasive.tolist() == [0, -1, *arrays.invasive]
    # A pack from before it was asked says nothing of it.
    with np.load(tmp_path / "pack.npz") as packed:
        np.savez_compressed(tmp_path / "old.npz", **{n: packed[n] for n in packed if n != "invasive"})
    assert TrainingArrays.load(tmp_path / "old.npz").fingerprint() == unknown.fingerprint()


def test_selected_breasts_bring_all_their_images_and_no_others(
    breasts: Callable[..., TrainingArrays],
) -> None:
    arrays = breasts(6)
    chosen = arrays.select(np.array([5, 0]))
    assert chosen.labels.tolist() == [2, 0]
    assert chosen.groups.tolist() == ["patient-2", "patient-0"]
    members = chosen.cases.members(np.array([0]))
    # The sixth breast: a prior, which is the first view of the fifth, and its own two views.
    assert chosen.ids[members.images].tolist() == ["image-7", "image-8", "image-11"]
    assert sorted(chosen.ids) == ["image-0", "image-11", "image-3", "image-7", "image-8"]


def test_selecting_and_concatenating_breasts_are_inverse(breasts: Callable[..., TrainingArrays]) -> None:
    arrays = breasts(6)
    # Cut between patients, for a prior lies with its own.
    parts = [arrays.select(np.arange(0, 2)), arrays.select(np.arange(2, 6))]
    whole = TrainingArrays.concatenate(parts)
    before, after = arrays.cases.members(), whole.cases.members()
    assert arrays.ids[before.images].tolist() == whole.ids[after.images].tolist()
    np.testing.assert_array_equal(arrays.images[before.images], whole.images[after.images])
    np.testing.assert_array_equal(before.newest, after.newest)


def test_another_prior_changes_the_fingerprint(breasts: Callable[..., TrainingArrays]) -> None:
    arrays = breasts(4)
    before = arrays.fingerprint()
    arrays.cases.images[2] += 1
    assert arrays.fingerprint() != before


def test_an_image_belongs_to_the_patient_of_its_cases(breasts: Callable[..., TrainingArrays]) -> None:
    arrays = breasts(4)
    groups = dict(zip(arrays.ids, arrays.image_groups, strict=True))
    assert groups["image-0"] == groups["image-4"] == "patient-0"
    assert groups["image-2"] == "patient-1"


def test_a_case_of_an_image_that_is_not_there_is_refused(breasts: Callable[..., TrainingArrays]) -> None:
    arrays = breasts(2)
    arrays.cases.images[0] = 17
    with pytest.raises(StudiesError, match="one is number 18"):
        dataclasses.replace(arrays)
