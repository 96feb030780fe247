"""Train every row with every seed, measure it on its test, and write the table."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.evaluation.ablations.answers import Answers, baseline_answers, network_answers
from breastlabel.evaluation.ablations.cad import CAD
from breastlabel.evaluation.ablations.data import (
    Parts,
    prepare_studies,
    shown,
    split_for,
    with_unknown,
)
from breastlabel.evaluation.ablations.fusionview import FUSIONVIEW
from breastlabel.evaluation.ablations.mammography import MAMMOGRAPHY
from breastlabel.evaluation.ablations.measures import MEASURES, measured_rows
from breastlabel.evaluation.ablations.patch_start import start_from_patches
from breastlabel.evaluation.ablations.report import what_it_shows, write_report
from breastlabel.evaluation.ablations.row import Row, System
from breastlabel.evaluation.ablations.screening import SCREENING
from breastlabel.evaluation.evaluate import write_json

if TYPE_CHECKING:
    from breastlabel.training.preset import Preset

__all__ = ["SYSTEMS", "ablate"]

Progress = Callable[[str, int, int], None]

SYSTEMS: Mapping[str, System] = {
    "mammography": MAMMOGRAPHY,
    "cad": CAD,
    "screening": SCREENING,
    "fusionview": FUSIONVIEW,
}


def ablate(
    model: str,
    studies: Sequence[Path],
    output: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int | None = None,
    size: int | tuple[int, int] | None = None,
    preset: str = "paper",
    rows: Sequence[Row] | None = None,
    device: str | None = None,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write ``ablation.json`` and ``report.html`` of a system for mammography.

    All rows share the preset's preparation, augmentation and settings but for what the row says. Train
    teaches, val chooses epoch, temperature and thresholds, test is measured; several studies folders are
    pooled, except where a row says otherwise. Figures are of the prepared images, the decision is the most
    probable class. The checkpoints are kept below ``output/models`` and what they say of the test below
    ``output/answers``: an ablation that was stopped goes on where it was.

    Args:
        model: a name in `SYSTEMS`.
        seeds: of weights, order and augmentation.
        epochs: at most; the preset's where None.
        size: of the prepared images, (rows, cols) or one number for both; the preset's where None.
        rows: other rows than the system's own.
        time_limit: seconds for each training.
        progress: called with (what, done, of how many).

    Returns:
        The content of ``ablation.json``.

    Raises:
        UnknownNameError: no such system or preset.
        StudiesError: a split that a row needs has no labelled image, or a studies folder is named twice.
    """
    from breastlabel.training import presets

    if model not in SYSTEMS:
        raise UnknownNameError("model", model, SYSTEMS)
    system = SYSTEMS[model]
    folders = [Path(folder) for folder in studies]
    if len({folder.resolve() for folder in folders}) != len(folders):
        raise StudiesError("different studies folders are required; one is named twice; name each once")
    chosen = _changed(presets.preset(model, preset), epochs, size, time_limit)
    table = list(system.rows(chosen.network, len(folders)) if rows is None else rows)
    bench = _Bench(model, folders, Path(output), chosen, device, progress)
    answers = bench.answers(table, seeds)
    result: dict[str, Any] = {
        "model": model,
        "title": system.title,
        "studies": [folder.resolve().name for folder in folders],
        "datasets": _datasets(folders, model),
        "preset": preset,
        "epochs": chosen.settings.epochs,
        "size": list(chosen.preparation["size"]),
        "seeds": list(seeds),
        "intervals": "95 % percentile bootstrap over patients of the mean over seeds, 1,000 resamples",
        "measures": [
            {"name": name, "title": MEASURES[name][0], "meaning": MEASURES[name][1]}
            for name in system.measures
        ],
        "rows": measured_rows(table, answers, seeds, system.measures),
        "notes": list(system.notes),
        "left_out": list(system.left_out(chosen.network, len(folders))),
    }
    result["sentence"] = what_it_shows(result, system.headline)
    write_report(Path(output) / "report.html", result)
    # Last, so that whoever finds it finds the rest.
    write_json(Path(output) / "ablation.json", result)
    return result


class _Bench:
    """Trains and answers; images are prepared once for all rows that want them alike."""

    def __init__(
        self,
        model: str,
        studies: list[Path],
        output: Path,
        preset: Preset,
        device: str | None,
        progress: Progress | None,
    ) -> None:
        self._model, self._studies, self._output = model, studies, output
        self._preset, self._device, self._progress = preset, device, progress

    def answers(self, rows: Sequence[Row], seeds: Sequence[int]) -> dict[str, list[Answers]]:
        """By row, one for each seed."""
        first_of = {row.training(): row for row in reversed(rows)}
        by_preparation: dict[str, list[Row]] = {}
        for row in first_of.values():
            by_preparation.setdefault(json.dumps(self._preparation(row), sort_keys=True), []).append(row)
        found: dict[str, list[Answers]] = {}
        done, total = 0, len(first_of) * len(seeds)
        for alike in by_preparation.values():
            # Held for these rows only: the arrays of a large dataset take gigabytes.
            studies = self._prepare(alike[0])
            for row in alike:
                parts = self._parts(row, studies)
                for seed in seeds:
                    self._report(f"training {total} models", done, total)
                    found.setdefault(row.training(), []).append(self._answer(row, parts, seed))
                    done += 1
        self._report(f"training {total} models", total, total)
        return {row.name: found[row.training()] for row in rows}

    def _preparation(self, row: Row) -> dict[str, Any]:
        config = {**self._preset.preparation, **row.preparation}
        config["size"] = [round(length * row.scale) for length in config["size"]]
        return config

    def _prepare(self, row: Row) -> list[Parts]:
        from breastlabel.networks import create_network
        from breastlabel.transforms import preparation_from_config

        # The preset's network takes all that any row takes; rows that look at less are shown less.
        arguments = dict(self._preset.network)
        return prepare_studies(
            self._studies,
            preparation_from_config(self._preparation(row)),
            model=self._model,
            network=create_network(arguments.pop("name"), **arguments),
            progress=self._progress,
        )

    def _parts(self, row: Row, studies: Sequence[Parts]) -> Parts:
        what = row.shown
        if what is None and row.baseline is None:
            network = self._network(row)
            what = "alone" if not network.uses_views else "priors" if network.uses_priors else "views"
        parts = split_for(row.setting, studies)
        return {
            split: with_unknown(shown(arrays, what or "alone"), row.unknown)
            for split, arrays in parts.items()
        }

    def _network(self, row: Row) -> Any:
        from breastlabel.networks import create_network

        arguments = {**self._preset.network, **row.network}
        return create_network(arguments.pop("name"), **arguments)

    def _answer(self, row: Row, parts: Parts, seed: int) -> Answers:
        name = f"{_slug(row.name)}-{seed}"
        kept = self._output / "answers" / f"{name}.npz"
        origin = json.dumps(
            [
                row.training(),
                dict(self._preset.network),
                self._preparation(row),
                self._preset.settings.config(),
                self._preset.augmentation,
                seed,
                {split: arrays.fingerprint() for split, arrays in parts.items()},
            ],
            sort_keys=True,
        )
        answers = Answers.load(kept, origin)
        if answers is None:
            if row.baseline is not None:
                answers = baseline_answers(row.baseline, parts, seed=seed)
            else:
                folder = self._train(row, parts, seed, self._output / "models" / name)
                answers = network_answers(folder, parts["test"], device=self._device)
            answers.save(kept, origin)
        return answers

    def _train(self, row: Row, parts: Parts, seed: int, folder: Path) -> Path:
        import torch

        from breastlabel.training.augmentations import create_augmentation
        from breastlabel.training.fitting import fit_checkpoint
        from breastlabel.transforms import preparation_from_config

        settings = dataclasses.replace(self._preset.settings, seed=seed)
        torch.manual_seed(seed)
        network = self._network(row)
        if row.patches:
            start_from_patches(network, parts["train"], parts["val"], settings=settings, device=self._device)
        return fit_checkpoint(
            network,
            parts["train"],
            parts["val"],
            model=self._model,
            preparation=preparation_from_config(self._preparation(row)),
            settings=settings,
            augmentation=create_augmentation(self._preset.augmentation),
            output=folder,
            device=self._device,
            origin={"row": row.training()},
            on_step=(lambda d, t: self._report(f"{row.name}, seed {seed}: steps of an epoch", d, t),),
        )

    def _report(self, what: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(what, done, total)


def _changed(
    preset: Preset, epochs: int | None, size: int | tuple[int, int] | None, time_limit: float | None
) -> Preset:
    config = dict(preset.preparation)
    if size is not None:
        config["size"] = (size, size) if isinstance(size, int) else size
    settings = dataclasses.replace(
        preset.settings, epochs=epochs or preset.settings.epochs, time_limit=time_limit
    )
    return dataclasses.replace(preset, preparation=config, settings=settings)


def _datasets(studies: Sequence[Path], model: str) -> list[str]:
    """Of the images that the model analyses."""
    from breastlabel.catalog import Catalog
    from breastlabel.training.presets import MODALITIES

    names: set[str] = set()
    for folder in studies:
        with Catalog.open(folder) as catalog:
            images = catalog.images(include_excluded=False)
        names |= {record.dataset for record in images if record.modality is MODALITIES[model]}
    return sorted(names)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
