"""The model card that every checkpoint carries (Mitchell et al., FAT* 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["NOT_A_DEVICE", "model_card"]

NOT_A_DEVICE = (
    "Research software. Not a medical device, not for diagnosis: a second reader's prompt and no verdict."
)


def model_card(spec: Mapping[str, Any]) -> str:
    """The card of a checkpoint, from its ``model.json`` alone."""
    training = spec.get("training", {})
    network = {k: v for k, v in spec["network"].items() if k != "name"}
    lines = [
        f"# {spec['model']} {spec['version']}",
        "",
        f"**{NOT_A_DEVICE}**",
        "",
        f"Written {spec['created']} by breastlabel {spec['code_version']}.",
        "",
        "## What it is",
        "",
        f"- Network: `{spec['network']['name']}` ({', '.join(f'{k}={v}' for k, v in network.items())})",
        f"- Preparation: `{spec['preparation'].get('name', '')}` "
        f"({', '.join(f'{k}={v}' for k, v in spec['preparation'].items() if k != 'name')})",
        f"- Classes: {', '.join(spec['labels'])}",
        f"- Calibration: temperature {spec['calibration'].get('temperature', 1.0):.3f}, fitted on validation",
        f"- Thresholds, chosen on validation: {_pairs(spec['thresholds'])}",
        f"- Called malignant: {_operating_point(spec.get('operating_point'))}",
        "",
        "## Training",
        "",
    ]
    lines += [f"- {key.replace('_', ' ')}: {_text(value)}" for key, value in training.items()]
    if not training:
        lines.append("Not recorded.")
    lines += ["", "## Figures", ""]
    for split, figures in spec.get("metrics", {}).items():
        lines.append(f"- {split}: {_pairs(figures)}")
    if not spec.get("metrics"):
        lines.append("None were measured.")
    return "\n".join(lines) + "\n"


def _operating_point(point: Mapping[str, Any] | None) -> str:
    if not point:
        return "no threshold was chosen: there was no malignant case in validation"
    specificity = point["specificity"]
    others = "" if specificity is None else f", specificity {specificity:.3f} on {point['n_other']} others"
    return (
        f"from a probability of {point['threshold']:.4g}, chosen for a sensitivity of "
        f"{point['sensitivity_wanted']:g}; on validation: sensitivity {point['sensitivity']:.3f} on "
        f"{point['n_malignant']} malignant{others}"
    )


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {_text(v)}" for k, v in values.items()) or "none"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return _pairs(value)
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value)
    return str(value)
