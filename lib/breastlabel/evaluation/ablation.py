"""P1's Table I: what each part of the ultrasound system adds, on several seeds, with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from breastlabel.errors import StudiesError
from breastlabel.evaluation import classification as cls
from breastlabel.evaluation.ablation_report import write_ablation_report
from breastlabel.evaluation.bootstrap import Bootstrap, Statistic, Weights, weighted_mean
from breastlabel.evaluation.collect import collect
from breastlabel.evaluation.evaluate import labelled_images, write_json
from breastlabel.evaluation.table import EvaluationTable
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["MEASURES", "ULTRASOUND_ROWS", "AblationRow", "ablate_ultrasound", "row_measures"]

Progress = Callable[[str, int, int], None]

MEASURES = ("accuracy", "dice", "auc_malignant", "auc_macro")


@dataclass(frozen=True)
class AblationRow:
    """One row of the table.

    Attributes:
        name: as shown.
        training: names what is trained; rows that share it differ in inference only.
        network: `create_network` arguments that this row changes; with ``name`` they replace the preset's.
        superpixels: whether SLIC refines the mask.
        paper: accuracy, Dice and AUC as P1 prints them, where it has the row.
    """

    name: str
    training: str
    network: Mapping[str, Any]
    superpixels: bool = False
    paper: Mapping[str, float] = field(default_factory=dict)


def _paper(accuracy: float, dice: float, auc: float) -> dict[str, float]:
    return {"accuracy": accuracy, "dice": dice, "auc": auc}


_CNN = {"gabor": False, "recurrence": None, "texture": False}
_LSTM = {"gabor": True, "recurrence": "lstm", "texture": False}
_FULL = {"gabor": True, "recurrence": "lstm", "texture": True}

ULTRASOUND_ROWS: tuple[AblationRow, ...] = (
    AblationRow(
        "Logistic regression",
        "logistic",
        {"name": "pixel-logistic-regression"},
        paper=_paper(0.812, 0.82, 0.84),
    ),
    AblationRow("CNN", "cnn", _CNN, paper=_paper(0.897, 0.82, 0.91)),
    AblationRow("+ Gabor", "gabor", {**_CNN, "gabor": True}, paper=_paper(0.914, 0.85, 0.93)),
    AblationRow("+ LSTM", "lstm", _LSTM),
    AblationRow("+ superpixels", "lstm", _LSTM, superpixels=True, paper=_paper(0.942, 0.89, 0.964)),
    AblationRow("+ texture (whole system)", "full", _FULL, superpixels=True),
)
"""Each row adds one part to the row above it. P1 prints LSTM and superpixels as one step; here they are two.

The paper's row is called "CNN + LSTM + Superpixel"; its text has the Gabor channels in that system as well.
"""


def ablate_ultrasound(
    studies: Path,
    output: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int | None = None,
    size: int | tuple[int, int] | None = None,
    preset: str = "paper",
    rows: Sequence[AblationRow] = ULTRASOUND_ROWS,
    device: str | None = None,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train every row with every seed, evaluate on the test split; write ``ablation.json``, ``report.html``.

    All rows learn from the train split with the preset's preparation, augmentation and settings; the val
    split chooses the epoch, the temperature and the thresholds. The trained models are kept below
    ``output/models``; an ablation that was stopped goes on where it was when it is started again.

    Args:
        seeds: of weights, order and augmentation.
        epochs: at most; the preset's where None.
        size: (rows, cols) of the prepared images, or one number for both; the preset's where None.
        preset: of `breastlabel.training.presets`: network widths, preparation, settings.
        time_limit: seconds for each training.
        progress: called with (what, done, of how many).

    Returns:
        The content of ``ablation.json``.

    Raises:
        StudiesError: one of the three splits has no labelled image.
    """
    from breastlabel.training import presets
    from breastlabel.transforms import preparation_from_config

    chosen = presets.preset("ultrasound", preset)
    config = dict(chosen.preparation)
    if size is not None:
        config["size"] = (size, size) if isinstance(size, int) else size
    preparation = preparation_from_config(config)
    settings = dataclasses.replace(
        chosen.settings, epochs=epochs or chosen.settings.epochs, time_limit=time_limit
    )
    chosen = dataclasses.replace(chosen, preparation=config, settings=settings)
    arrays = {split: _prepare(studies, split, preparation, progress) for split in ("train", "val", "test")}
    trainings = {row.training: row.network for row in rows}
    folders: dict[tuple[str, int], Path] = {}
    jobs = [(name, seed) for name in trainings for seed in seeds]
    for done, (name, seed) in enumerate(jobs):
        _report(progress, f"training {len(jobs)} models", done, len(jobs))
        folders[name, seed] = _train(
            trainings[name],
            chosen,
            preparation,
            arrays,
            seed=seed,
            folder=Path(output) / "models" / f"{name}-{seed}",
            device=device,
            on_step=lambda d, t, n=name, s=seed: _report(progress, f"{n}, seed {s}: steps of an epoch", d, t),  # type: ignore[misc]
        )
    _report(progress, f"training {len(jobs)} models", len(jobs), len(jobs))
    tables = []
    for done, row in enumerate(rows):
        _report(progress, "evaluating the rows", done, len(rows))
        tables.append([_evaluate(folders[row.training, s], studies, row, device) for s in seeds])
    _report(progress, "evaluating the rows", len(rows), len(rows))
    result = {
        "model": "ultrasound",
        "studies": Path(studies).resolve().name,
        "split": "test",
        "preset": preset,
        "epochs": settings.epochs,
        "size": list(arrays["test"].size),
        "seeds": list(seeds),
        "n_train": len(arrays["train"]),
        "n_val": len(arrays["val"]),
        "n_images": len(tables[0][0]),
        "n_patients": tables[0][0].n_patients,
        "n_lesions": int(tables[0][0].has_lesion.sum()),
        "intervals": "95 % percentile bootstrap over patients of the mean over seeds, 1,000 resamples",
        "rows": row_measures(rows, tables, seeds),
        "influence": _influence(folders, rows, seeds, arrays["test"]),
    }
    write_json(Path(output) / "ablation.json", result)
    write_ablation_report(Path(output) / "report.html", result)
    return result


def row_measures(
    rows: Sequence[AblationRow], tables: Sequence[Sequence[EvaluationTable]], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Every row's measures, mean over seeds, and their change against the row above.

    The interval is a percentile bootstrap over patients of the mean over seeds: a resample draws the same
    patients for every seed and every row, so the change is paired. The spread over seeds stands beside
    it as the single values.

    Args:
        tables: for each row one table per seed, all of the same images in the same order.
    """
    bootstrap = Bootstrap(tables[0][0].groups)
    measured: list[dict[str, Any]] = []
    for position, (row, of_row) in enumerate(zip(rows, tables, strict=True)):
        entry: dict[str, Any] = {
            "name": row.name,
            "superpixels": row.superpixels,
            "paper": dict(row.paper),
            "change": {} if position else None,
        }
        for name in MEASURES:
            statistic = _mean_over_seeds(of_row, name)
            interval: Any = bootstrap.interval(statistic)
            by_seed = {str(seed): _single(table, name) for seed, table in zip(seeds, of_row, strict=True)}
            entry[name] = interval and {**interval, "by_seed": by_seed}
            if position:
                above = _mean_over_seeds(tables[position - 1], name)
                entry["change"][name] = bootstrap.interval(
                    lambda w, now=statistic, before=above: now(w) - before(w)  # type: ignore[misc]
                )
        measured.append(entry)
    return measured


def _measure(table: EvaluationTable, name: str) -> Statistic:
    known = table.labels >= 0
    labels, probabilities = table.labels[known], table.probabilities[known]

    def macro(weights: Weights) -> npt.NDArray[np.float64]:
        areas = [cls.auc(labels == c, probabilities[:, c], weights) for c in LesionClass]
        return np.asarray(np.mean(areas, axis=0), dtype=np.float64)

    of_classes: dict[str, Statistic] = {
        "accuracy": lambda w: cls.accuracy(labels, table.predicted[known], w),
        "auc_malignant": lambda w: cls.auc(
            labels == LesionClass.MALIGNANT, probabilities[:, LesionClass.MALIGNANT], w
        ),
        "auc_macro": macro,
    }
    if name == "dice":
        return lambda w: weighted_mean(table.lesion_dice, w)
    return lambda w: of_classes[name](w[:, known])


def _mean_over_seeds(tables: Sequence[EvaluationTable], name: str) -> Statistic:
    statistics = [_measure(table, name) for table in tables]
    return lambda w: np.mean([statistic(w) for statistic in statistics], axis=0)


def _single(table: EvaluationTable, name: str) -> float | None:
    value = float(_measure(table, name)(np.ones((1, len(table))))[0])
    return value if np.isfinite(value) else None


def _prepare(studies: Path, split: str, preparation: Any, progress: Progress | None) -> Any:
    from breastlabel.training.run import prepare_split

    arrays = prepare_split(studies, split, preparation, progress=progress)
    if arrays is None:
        raise StudiesError(
            f"an ablation requires labelled images in train, val and test; '{split}' has none; "
            "import a dataset with 'breastlabel import' or label more images"
        )
    return arrays


def _train(
    changes: Mapping[str, Any],
    chosen: Any,
    preparation: Any,
    arrays: Mapping[str, Any],
    *,
    seed: int,
    folder: Path,
    device: str | None,
    on_step: Callable[[int, int], None],
) -> Path:
    from breastlabel.networks import create_network
    from breastlabel.training.augmentations import create_augmentation
    from breastlabel.training.run import fit_checkpoint

    arguments = dict(changes) if "name" in changes else {**chosen.network, **changes}
    torch.manual_seed(seed)
    return fit_checkpoint(
        create_network(arguments.pop("name"), **arguments),
        arrays["train"],
        arrays["val"],
        model="ultrasound",
        preparation=preparation,
        settings=dataclasses.replace(chosen.settings, seed=seed),
        augmentation=create_augmentation(chosen.augmentation),
        output=folder,
        device=device,
        on_step=(on_step,),
    )


def _evaluate(folder: Path, studies: Path, row: AblationRow, device: str | None) -> EvaluationTable:
    from breastlabel.inference import Predictor

    predictor = Predictor(folder, device=device, superpixels=row.superpixels, tta=False)
    return collect(predictor, labelled_images(studies, "test"), explain=False, pictures=False)


def _influence(
    folders: Mapping[tuple[str, int], Path], rows: Sequence[AblationRow], seeds: Sequence[int], test: Any
) -> list[dict[str, Any]]:
    """Of the last row's networks; empty where that is no hybrid."""
    from breastlabel.evaluation.influence import influence
    from breastlabel.networks import UltrasoundHybrid
    from breastlabel.training import load_checkpoint

    networks = [load_checkpoint(folders[rows[-1].training, seed]).network for seed in seeds]
    hybrids = [network for network in networks if isinstance(network, UltrasoundHybrid)]
    return influence(hybrids, test) if len(hybrids) == len(networks) else []


def _report(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
