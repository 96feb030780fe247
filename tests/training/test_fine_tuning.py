"""Going on from a checkpoint, at the same site and at another one, with the tiny network on phantoms."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from breastlabel.catalog import Catalog
from breastlabel.datasets.phantom_scanner import ScannerStyle
from breastlabel.datasets.phantoms import write_phantom_studies
from breastlabel.networks.base import HybridNetwork
from breastlabel.training import (
    ModelRegistry,
    TrainingArrays,
    TrainingSettings,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from breastlabel.training.answers import answers
from breastlabel.training.checkpoint import Checkpoint
from breastlabel.training.fine_tuning import fine_tune
from breastlabel.training.held_out import read_held_out
from breastlabel.training.learned_labels import label_keys, read_learned_labels
from breastlabel.training.presets import preset
from breastlabel.training.promotion import challenge
from breastlabel.training.run import prepare_split, train
from breastlabel.training.settings import ENOUGH_PATIENTS, FineTuning
from breastlabel.transforms import Augmentation, UltrasoundPreparation

Discs = Callable[..., TrainingArrays]
QUICK = FineTuning(
    settings=TrainingSettings(
        epochs=2, batch_size=6, learning_rate=1e-2, precision="fp32", monitor="score", patience=None
    ),
    least_steps=3,
)


@pytest.fixture
def start(discs: Discs, tiny_network: Callable[..., HybridNetwork], tmp_path: Path) -> Checkpoint:
    """Trained on 12 discs."""
    settings = dataclasses.replace(QUICK.settings, epochs=3)
    network = fit(tiny_network(), discs(12), None, settings=settings).network
    folder = save_checkpoint(
        tmp_path / "start",
        network,
        model="ultrasound",
        preparation=UltrasoundPreparation(size=(32, 32)),
        calibration={"temperature": 1.5},
        thresholds={"mask": 0.4, "normal": 0.6},
        training={"data_fingerprint": discs(12).fingerprint()},
    )
    return load_checkpoint(folder)


def _distinct(arrays: TrainingArrays, name: str) -> TrainingArrays:
    """Each image a patient of its own, with ids of their own."""
    ids = np.array([f"{name}-{i}" for i in range(len(arrays))])
    return dataclasses.replace(arrays, ids=ids, groups=ids)


def _said(folder: Path) -> dict[str, Any]:
    return dict(load_checkpoint(folder).spec["training"]["fine_tuning"])


def test_with_few_validation_images_nothing_is_chosen_on_them(
    start: Checkpoint, discs: Discs, tmp_path: Path
) -> None:
    site = _distinct(discs(12, seed=1), "site")
    epochs: list[float] = []
    heard: list[tuple[str, int, int]] = []
    folder = fine_tune(
        start, site, discs(6, seed=2), recipe=QUICK, output=tmp_path / "out",
        on_epoch=[lambda f: epochs.append(f["epoch"])],
        progress=lambda *report: heard.append(report),
    )  # fmt: skip
    tuned, said = load_checkpoint(folder), _said(folder)
    assert tuned.spec["calibration"] == {"temperature": 1.5}
    assert tuned.spec["thresholds"] == {"mask": 0.4, "normal": 0.6}
    assert tuned.spec["training"]["best_epoch"] == 2
    assert tuned.spec["training"]["start_from"] == start.version
    assert not said["chosen_on_validation"]
    assert said["coefficient"] == QUICK.coefficients[0]
    assert epochs == [1, 2]
    # Four images of a fold's rest fill no more than the least steps.
    assert heard[0] == ("checking on held-out labels", 1, 18)
    assert heard[-1][1:] == (18, 18)
    held_out = read_held_out(folder)
    assert held_out is not None
    assert held_out.champion == start.version
    assert len(held_out.before.groups) == said["held_out"]["images"] == 12
    assert held_out.before.n_patients == 8
    expected = answers(start.network, site, mask_threshold=0.4, temperature=1.5)
    assert held_out.before.mean_dice() == pytest.approx(expected.mean_dice())
    assert not (folder / "folds").exists()


def test_with_enough_validation_images_they_choose_and_nothing_is_held_out(
    start: Checkpoint, discs: Discs, tmp_path: Path
) -> None:
    # A third shows no lesion.
    val = _distinct(discs(ENOUGH_PATIENTS * 3 // 2, seed=2), "val")
    recipe = dataclasses.replace(QUICK, augmentation="paper")
    folder = fine_tune(start, discs(6, seed=1), val, recipe=recipe, output=tmp_path / "out")
    said = _said(folder)
    augmentation = load_checkpoint(folder).spec["training"]["augmentation"]
    assert augmentation == json.loads(json.dumps(Augmentation.paper().config()))
    assert said["chosen_on_validation"]
    assert said["coefficient"] in QUICK.coefficients
    assert "held_out" not in said
    assert read_held_out(folder) is None
    assert load_checkpoint(folder).spec["calibration"] != {"temperature": 1.5}


def test_old_and_new_labels_are_told_apart_and_mixed(start: Checkpoint, discs: Discs, tmp_path: Path) -> None:
    both = discs(12)
    first = fine_tune(start, both, None, recipe=QUICK, output=tmp_path / "a", keys=label_keys(both, "secret"))
    # The start carries no list, but the fingerprint of these very labels.
    assert (_said(first)["new_labels"], _said(first)["old_labels"]) == (0, 12)
    assert not (first / "held-out.json").exists()
    more = TrainingArrays.concatenate([both, _distinct(discs(2, seed=3), "new")])
    more.masks[0, :4, :4] = 1
    keys = label_keys(more, "secret")
    second = fine_tune(load_checkpoint(first), more, None, recipe=QUICK, output=tmp_path / "b", keys=keys)
    said = _said(second)
    assert (said["new_labels"], said["old_labels"], said["new_share"]) == (3, 11, 0.5)
    assert read_learned_labels(second) == read_learned_labels(first) | set(keys)
    card = (second / "MODEL_CARD.md").read_text()
    assert "new_labels 3, old_labels 11" in card


def test_it_goes_on_after_a_kill_while_labels_were_held_out(
    start: Checkpoint, discs: Discs, tmp_path: Path
) -> None:
    class KilledError(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        if done == total - 2:
            raise KilledError

    site = _distinct(discs(12, seed=1), "site")
    arguments: dict[str, Any] = {"recipe": QUICK}
    whole = fine_tune(start, site, None, output=tmp_path / "whole", **arguments)
    epochs: list[float] = []
    with pytest.raises(KilledError):
        fine_tune(start, site, None, output=tmp_path / "out", progress=kill, **arguments)
    resumed = fine_tune(
        start,
        site,
        None,
        output=tmp_path / "out",
        on_epoch=[lambda f: epochs.append(f["epoch"])],
        **arguments,
    )
    assert epochs == []
    assert (resumed / "held-out.json").read_bytes() == (whole / "held-out.json").read_bytes()
    assert load_checkpoint(resumed).spec["sha256"] == load_checkpoint(whole).spec["sha256"]


def test_a_training_on_the_server_knows_what_its_champion_learned_and_moves_no_split(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    write_phantom_studies(studies, exams=12, images_per_exam=1, seed=5, shape=(64, 80))
    with Catalog.open(studies) as catalog:
        splits = {r.image_id: r.split for r in catalog.images()}
    first = train("ultrasound", studies, output=tmp_path / "a", preset="tiny", epochs=1)
    write_phantom_studies(studies, exams=6, images_per_exam=1, seed=6, shape=(64, 80))
    second = train("ultrasound", studies, output=tmp_path / "b", preset="tiny", epochs=1, start_from=first)
    said = _said(second)
    assert said["old_labels"] == list(splits.values()).count("train")
    assert said["new_labels"] == 3
    with Catalog.open(studies) as catalog:
        now = {r.image_id: r.split for r in catalog.images()}
    assert splits.items() <= now.items()


# Dark and hard, as a scanner with a worn probe whose gain nobody turned up.
DARK = ScannerStyle(gain=-12, dynamic_range=44, gamma=1.4)
SHAPE = (96, 120)


class Shift(NamedTuple):
    """A model, and images of a site that it was not made for."""

    base: Path
    start: Checkpoint
    test: TrainingArrays
    before: float


@pytest.fixture(scope="module")
def shift(tmp_path_factory: pytest.TempPathFactory) -> Shift:
    """Trained on phantoms of the reference scanner, to be judged on 60 others of the dark one."""
    folder = tmp_path_factory.mktemp("shift")
    write_phantom_studies(folder / "home", exams=60, images_per_exam=1, seed=1, shape=SHAPE)
    write_phantom_studies(
        folder / "test", exams=60, images_per_exam=1, seed=2, shape=SHAPE, style=DARK, split="test"
    )
    base = train("ultrasound", folder / "home", output=folder / "base", preset="tiny", seed=1)
    start = load_checkpoint(base)
    test = prepare_split(folder / "test", "test", start.preparation)
    assert test is not None
    return Shift(base, start, test, _dice(base, test))


def _dice(checkpoint: Path, test: TrainingArrays) -> float:
    dice = answers(load_checkpoint(checkpoint).network, test).mean_dice()
    assert dice is not None
    return dice


def _site(folder: Path, base: Path, *, seed: int) -> ModelRegistry:
    """A site with 20 labelled images of its own, where the base is the champion."""
    write_phantom_studies(folder, exams=20, images_per_exam=1, seed=10 + seed, shape=SHAPE, style=DARK)
    registry = ModelRegistry(folder)
    registry.promote("ultrasound", registry.add("ultrasound", base))
    return registry


@pytest.mark.slow
def test_twenty_labels_of_another_scanner_gain_in_four_of_five_seeds_and_the_gate_promotes_no_other(
    shift: Shift, tmp_path: Path
) -> None:
    gains, promoted = [], []
    for seed in range(5):
        site = tmp_path / f"site-{seed}"
        registry = _site(site, shift.base, seed=seed)
        tuned = train(
            "ultrasound",
            site,
            output=tmp_path / f"tuned-{seed}",
            preset="tiny",
            epochs=5,
            start_from=shift.base,
            seed=seed,
        )
        gains.append(_dice(tuned, shift.test) - shift.before)
        promoted.append(challenge(registry, "ultrasound", tuned, site).promoted)
    assert sum(gain > 0 for gain in gains) >= 4, (shift.before, gains)
    assert all(gain > 0 for gain, yes in zip(gains, promoted, strict=True) if yes), (gains, promoted)
    assert any(promoted), gains


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["the outlines belong to other images", "the steps are far too large"])
def test_the_gate_refuses_a_fine_tuning_that_loses(shift: Shift, tmp_path: Path, fault: str) -> None:
    site = tmp_path / "site"
    registry = _site(site, shift.base, seed=0)
    labelled = prepare_split(site, "train", shift.start.preparation)
    val = prepare_split(site, "val", shift.start.preparation)
    assert labelled is not None
    recipe = preset("ultrasound", "tiny").fine_tuning
    settings = dataclasses.replace(recipe.settings, epochs=5)
    if fault.startswith("the outlines"):
        labelled.masks[:] = labelled.masks[np.random.default_rng(0).permutation(len(labelled))]
    else:
        settings = dataclasses.replace(settings, learning_rate=0.3)
    recipe = dataclasses.replace(recipe, settings=settings)
    tuned = fine_tune(shift.start, labelled, val, recipe=recipe, output=tmp_path / "tuned")
    assert _dice(tuned, shift.test) < shift.before - 0.05
    decision = challenge(registry, "ultrasound", tuned, site)
    assert not decision.promoted
    assert "Dice may be worse" in decision.reason
    assert registry.champion_version("ultrasound") == shift.start.version
