"""From a studies folder to ``curves.json`` and ``report.html``."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from breastlabel.activelearning.registry import create_acquisition
from breastlabel.activelearning.simulation.curves import BASELINE, summarise
from breastlabel.activelearning.simulation.learner import Learner
from breastlabel.activelearning.simulation.loop import Replay
from breastlabel.activelearning.simulation.plan import Plan, plan_rounds
from breastlabel.activelearning.simulation.report import write_simulation_report
from breastlabel.activelearning.simulation.store import Results
from breastlabel.errors import BreastLabelError, StudiesError
from breastlabel.evaluation.evaluate import write_json
from breastlabel.training.arrays import TrainingArrays

__all__ = ["simulate"]

# Enough for the small network to learn what a few hundred labels have to tell.
_STEPS = 200

Progress = Callable[[str, int, int], None]


def simulate(
    model: str,
    studies: Path,
    output: Path,
    *,
    strategies: Sequence[str],
    seeds: Sequence[int] = (0, 1, 2),
    rounds: int | None = None,
    initial: int | None = None,
    batch: int | None = None,
    epochs: int | None = None,
    reference_epochs: int | None = None,
    size: int | tuple[int, int] | None = None,
    preset: str = "small",
    device: str | None = None,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay labelling on a labelled set, and compare strategies by what they reach with how many labels.

    The labels of the train split are hidden and told image by image as a strategy asks for them. Round 0 is
    drawn by chance and shared by all strategies of a seed; every round trains anew from the seed's weights,
    with equally many steps. The val split chooses the strategy, the test split measures it; no label of
    either is learned from. Writes ``curves.json``, ``report.html`` and ``curves.png``; each training's
    result is kept below ``output/state``, so that a simulation that was stopped goes on where it was.

    Args:
        strategies: keys of ACQUISITIONS. ``random`` is what the others are measured against, and is replayed
            whether it is named or not.
        seeds: of initial labels, weights, order and dropout.
        rounds: how often a batch is chosen after round 0; 8 where None.
        initial: labels of round 0; with the batches a quarter of the train split where None.
        batch: labels that each round adds.
        epochs: length of each training, in epochs of the whole train split; where None, as many as make
            some 200 steps.
        reference_epochs: length of the longer of two trainings on all labels; four times ``epochs`` where
            None.
        size: (rows, cols) of the prepared images, or one number for both; the preset's where None.
        preset: of `breastlabel.training.presets`.
        time_limit: seconds after which no further training begins; what is complete is reported.
        progress: called with (what, done, of how many).

    Returns:
        The content of ``curves.json``.

    Raises:
        UnknownNameError: there is no such strategy, model or preset.
        StudiesError: one of the three splits has no labelled image, the train split too few, a patient lies
            in two of them, or ``output`` holds another simulation.
        BreastLabelError: the time was up before the first seed was complete.
    """
    from breastlabel.training import presets
    from breastlabel.transforms import preparation_from_config

    compared = with_baseline(strategies)
    chosen = presets.preset(model, preset)
    config = dict(chosen.preparation)
    if size is not None:
        config["size"] = (size, size) if isinstance(size, int) else size
    preparation = preparation_from_config(config)
    arrays = {
        split: _prepare(studies, split, preparation, model, progress) for split in ("train", "val", "test")
    }
    check_apart(arrays)
    learner = Learner(
        chosen.network,
        dataclasses.replace(chosen.settings, time_limit=None),
        chosen.augmentation,
        n_train=len(arrays["train"]),
        device=device,
    )
    plan = plan_rounds(
        len(arrays["train"]),
        rounds=rounds,
        initial=initial,
        batch=batch,
        epochs=learner.epochs(_STEPS) if epochs is None else epochs,
        reference_epochs=reference_epochs,
    )
    results = Results(Path(output) / "state", _design(model, learner, preparation.config(), plan, arrays))
    judges = {split: arrays[split] for split in ("val", "test")}
    replay = Replay(
        arrays["train"],
        judges,
        learner=learner,
        plan=plan,
        results=results,
        time_limit=time_limit,
        progress=progress,
    )
    complete = replay.run(compared, seeds)
    if not complete:
        raise BreastLabelError(
            "at least one seed must be complete to draw curves; the time was up before; run again with the "
            "same --output to go on"
        )
    curves: dict[str, Any] = _rounded(
        {
            "model": model,
            "studies": Path(studies).resolve().name,
            "settings": {
                "preset": preset,
                "size": list(arrays["train"].size),
                **plan.config(),
                **learner.lengths(plan.epochs, plan.reference_epochs),
                "seeds": complete,
                "seeds_asked": list(seeds),
                **{f"n_{split}": len(part) for split, part in arrays.items()},
                "network": learner.config()["network"],
                "augmentation": chosen.augmentation,
                "preparation": preparation.config(),
            },
            **summarise(results, judges, plan=plan, strategies=compared, seeds=complete),
        }
    )
    write_simulation_report(Path(output), curves)
    # Last, so that whoever finds it finds the rest.
    write_json(Path(output) / "curves.json", curves)
    return curves


def with_baseline(strategies: Sequence[str]) -> list[str]:
    """Each once, ``random`` first.

    Raises:
        UnknownNameError: one is no acquisition; the message lists those that are.
    """
    names = list(dict.fromkeys((BASELINE, *strategies)))
    for name in names:
        create_acquisition(name)
    return names


def check_apart(arrays: Mapping[str, TrainingArrays]) -> None:
    """Refuse splits that share a patient or a group of near-duplicates: they would be learned by heart.

    Raises:
        StudiesError: some do.
    """
    for first, second in itertools.combinations(arrays, 2):
        shared = np.intersect1d(arrays[first].groups, arrays[second].groups)
        if len(shared):
            raise StudiesError(
                f"a patient's images must lie in one split; {len(shared)} patients or groups of "
                f"near-duplicates lie in both {first} and {second}; import the dataset into a new folder"
            )


def _design(
    model: str,
    learner: Learner,
    preparation: Mapping[str, Any],
    plan: Plan,
    arrays: Mapping[str, TrainingArrays],
) -> dict[str, Any]:
    """What the results depend on beside seeds and strategies."""
    return {
        "model": model,
        "preparation": preparation,
        **learner.config(),
        "plan": plan.config(),
        "labels": {split: part.fingerprint() for split, part in arrays.items()},
    }


def _rounded(value: Any) -> Any:
    """Numbers with six places: more than is told apart, in a file that stays small."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def _prepare(
    studies: Path, split: str, preparation: Any, model: str, progress: Progress | None
) -> TrainingArrays:
    from breastlabel.training.run import prepare_split

    arrays = prepare_split(studies, split, preparation, model=model, progress=progress)
    if arrays is None:
        raise StudiesError(
            f"a simulation requires labelled images in train, val and test; '{split}' has none; "
            "import a dataset with 'breastlabel import' or label more images"
        )
    return arrays
