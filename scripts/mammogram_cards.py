"""What the model cards of the shipped systems for mammography say; filled in by `train-mammograms`."""

from __future__ import annotations

from typing import Any

__all__ = [
    "CARD",
    "FOLDS",
    "PHANTOMS_ONLY",
    "TERMS",
    "VIEWS",
    "VIEWS_TOO",
    "figures_table",
    "headline",
    "stage_of",
    "stages_said",
    "worth_table",
]

CARD = """
## How it was trained

From random weights, by `scripts/train-mammograms`, one CPU core, in these stages:

{stages}

## Figures on the test splits

Images that neither training nor any choice has seen, split by patient. Means with 95 % intervals, percentile
bootstrap over patients, 1,000 resamples, seed 0, cpu; classes are counted by breast, outlines by image.
Figures on phantoms say that the software works, not how good it is on people.

{table}
"""

FOLDS = """
## Real patients, cross-validated

On all patients of mini-MIAS (films, one view a breast), by the same recipe in short: {n} trainings from the
checkpoint that has seen phantoms alone, each on all patients but a part, which is then measured, with 160
phantom breasts beside: pieces for 60 s of CPU time, half of the way back to the start's weights, and the
reading anew. Nothing was chosen on the measured part; temperature and thresholds are not fitted.

{table}

mini-MIAS gives circles, not outlines, so its Dice is bounded by how round lesions are.
"""

VIEWS = """
## What the second view and the prior are worth

On phantoms frozen before anything was trained (240 patients, seed 911, of whom 180 have a prior), which chose
nothing. Phantoms obey rules that were made up: in these, the second view and the prior tell something.

The weights that are shipped ({checkpoint}: {data}):

{table}"""

VIEWS_TOO = """
A stage before, which has seen phantoms alone ({checkpoint}: {data}):

{table}"""

TERMS = """
## Data and terms

**Research use only**: the weights have seen mini-MIAS, whose licence allows research only.

- mini-MIAS: Suckling et al., The Mammographic Image Analysis Society digital mammogram database, Exerpta
  Medica, International Congress Series 1069 (1994) 375; research only. 120 of its 322 films, of 60 patients.
- CDD-CESM: Khaled et al., Categorized contrast enhanced mammography dataset, Scientific Data 9 (2022) 122;
  doi 10.7937/29kw-ae92, its data usage policy. A resized sample of 24 images; the subtracted ones are left
  out.
- Phantoms drawn by this project with `write_mammogram_phantoms`, 512 x 416, half of the patients with a
  prior: seeds 311 to 313 to learn from (300 patients each), 321 for validation (120), 331 for the test (60).
- No image of the first two is part of this repository.

## What it is not good at

- Real data are very few, films of one scanner for the most part, with no priors and no second view.
- At this resolution single calcifications cannot be seen, and clusters hardly.
- What a second view and a prior are worth could be measured on phantoms alone, see above; there the stage
  before gains from both, these weights from the prior.
- It is too weak to help a reader. It is a start for training on a site's own data.
"""

PHANTOMS_ONLY = """
## Data and terms

Phantoms drawn by this project, nothing else. **It has never seen a person's mammogram**: it shows that the
system runs, and is the start for a training on real data; its answers on real images mean nothing.
"""


def stages_said(spec: dict[str, Any]) -> str:
    """One line of a card for each stage of a checkpoint's training."""
    return "\n".join(_said(stage) for stage in [*spec["training"].get("stages", []), stage_of(spec)])


def _said(stage: dict[str, Any]) -> str:
    """One line of a card about a stage; those of older checkpoints say less."""
    pieces, reading = stage.get("pieces"), stage.get("reading")
    clock = "wall time" if stage.get("clock") == "wall" else "CPU time"
    shown = f"{stage['data']}, whole at {stage['size'][0]} x {stage['size'][1]}"
    if pieces:
        shown = (
            f"{stage['data']}, in pieces of {pieces['size']} x {pieces['size']} ("
            f"{pieces['each']} of each lesion, "
            f"up to {pieces['offset']:g} of their side off the middle, {pieces['beside']} of tissue beside)"
        )
    done = [f"{stage['epochs']} epochs in {stage['seconds']:.0f} s of {clock}"] if stage["epochs"] else []
    back = stage.get("interpolated")
    if back:
        done.append(
            f"weights {back['coefficient']:g} of the way from {back['with']} to what was learned last"
        )
    if reading:
        done.append(
            "the reading of whole breasts, learned anew on features computed once: "
            f"{reading['epochs']} epochs, the {reading['best_epoch']}th kept, {reading['seconds']:.0f} s"
        )
    return f"- {shown}: {'; then '.join(done)}"


def stage_of(spec: dict[str, Any]) -> dict[str, Any]:
    """What one training of a checkpoint was, as its card should say."""
    training = spec["training"]
    return {
        "data": training.get("data", "?"),
        "size": list(spec["preparation"]["size"]),
        "epochs": training["epochs_done"],
        "seconds": training["seconds"],
        "clock": training["settings"]["clock"],
        "pieces": training.get("pieces"),
        "interpolated": training.get("interpolated"),
        "reading": training.get("reading"),
    }


def figures_table(measured: dict[str, dict[str, Any]]) -> str:
    """One column for each studies folder."""
    rows = {
        "images / breasts / patients": lambda m: (
            f"{m['n_images']} / {m.get('n_breasts', '-')} / {m['n_patients']}"
        ),
        "AUC, lesion against normal": lambda m: _interval(m["classification"]["auc_lesion"]),
        "AUC, malignant against the rest": lambda m: _interval(m["classification"]["auc_malignant"]),
        "accuracy, three classes": lambda m: _interval(m["classification"]["accuracy"]),
        "expected calibration error": lambda m: _interval(m["classification"]["ece"]),
        "Dice, images with a lesion": lambda m: _interval(m["segmentation"]["dice"]),
        "lesions hit at 1 false positive an image": lambda m: _at_one(m["segmentation"]["froc"]),
    }
    lines = [f"| | {' | '.join(measured)} |", f"|---|{'---|' * len(measured)}"]
    for name, value in rows.items():
        lines.append(f"| {name} | {' | '.join(value(metrics) for metrics in measured.values())} |")
    return "\n".join(lines)


def _at_one(froc: dict[str, Any]) -> str:
    value = dict(zip(froc["fp_per_image"], froc["sensitivity"], strict=True)).get(1.0)
    return "undefined" if value is None else f"{value:.2f}"


def headline(metrics: dict[str, Any]) -> dict[str, Any]:
    """The figures of an evaluation that its checkpoint records."""
    segmentation, classification = metrics["segmentation"], metrics["classification"]
    rates = dict(zip(segmentation["froc"]["fp_per_image"], segmentation["froc"]["sensitivity"], strict=True))
    return {
        "n_images": metrics["n_images"],
        "n_patients": metrics["n_patients"],
        "auc_lesion": classification["auc_lesion"],
        "auc_malignant": classification["auc_malignant"],
        "dice": segmentation["dice"],
        "lesions hit at 1 false positive an image": rates.get(1.0),
    }


def worth_table(found: dict[str, Any]) -> str:
    """What `views` found, as tables."""
    lines = []
    for name, what in (("views", "CC and MLO"), ("priors", "a prior exam")):
        part = found[name]
        if part is None:
            continue
        lines += [
            f"{part['n_breasts']} breasts of {part['n_patients']} phantom patients with {what}, "
            f"{part['n_malignant']} malignant; AUC of malignant against the rest:",
            "",
            "| shown | AUC |",
            "|---|---|",
            *(f"| {variant} | {_interval(value)} |" for variant, value in part["auc"].items()),
            "",
            "| difference, paired by patient | AUC |",
            "|---|---|",
            *(f"| {each['title']} | {_interval(each)} |" for each in part["differences"]),
            "",
        ]
    return "\n".join(lines)


def _interval(value: dict[str, Any] | None) -> str:
    if value is None or value["mean"] is None:
        return "undefined"
    return f"{value['mean']:.3f} ({value['ci95'][0]:.3f} to {value['ci95'][1]:.3f})"
