"""The systems that can be served, and which of them a server is to serve."""

from __future__ import annotations

from breastlabel.errors import UnknownNameError
from breastlabel.imaging import Modality
from breastlabel.training.presets import MODALITIES

__all__ = ["MODELS", "selected_models"]

#: Each system by its name: what it analyses, and one line for people.
MODELS: dict[str, tuple[Modality, str]] = {
    "ultrasound": (
        MODALITIES["ultrasound"],
        "Breast ultrasound: outlines the lesion and paints it as benign or malignant. "
        "For research; not a medical device",
    ),
}


def selected_models(names: str | None) -> list[str]:
    """The models of ``--conf models a,b``; all where it is not given.

    Raises:
        UnknownNameError: one is unknown; the message lists the valid ones.
    """
    chosen = [name.strip() for name in (names or "").split(",") if name.strip()] or ["all"]
    if "all" in chosen:
        return list(MODELS)
    for name in chosen:
        if name not in MODELS:
            raise UnknownNameError("models", name, [*MODELS, "all"])
    return list(dict.fromkeys(chosen))
