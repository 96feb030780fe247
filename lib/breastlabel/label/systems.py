"""The systems that can be served, and which of them a server is to serve."""

from __future__ import annotations

from typing import NamedTuple

from breastlabel.errors import UnknownNameError
from breastlabel.imaging import Modality
from breastlabel.training.presets import MODALITIES

__all__ = ["MODELS", "OUTLINER_OF", "System", "selected_models"]


class System(NamedTuple):
    """What a server has to know of a system before a checkpoint of it is loaded.

    Attributes:
        modality: what it analyses.
        outlines: whether its answer is an outline painted with the class; else a class alone.
        description: one line for people.
    """

    modality: Modality
    outlines: bool
    description: str


def _system(name: str, *, outlines: bool, what: str) -> System:
    return System(MODALITIES[name], outlines, f"{what}. For research; not a medical device")


MODELS: dict[str, System] = {
    "ultrasound": _system(
        "ultrasound",
        outlines=True,
        what="Breast ultrasound: outlines the lesion and paints it as benign or malignant",
    ),
    "mammography": _system(
        "mammography",
        outlines=True,
        what="Mammography: outlines lesions in all views of a breast, compares with older exams, and gives "
        "one probability of malignancy a breast",
    ),
    "fusionview": _system(
        "fusionview",
        outlines=False,
        what="Mammography: class of a breast from CC and MLO joined into one picture; outlines nothing",
    ),
    "screening": _system(
        "screening",
        outlines=False,
        what="Mammography: class of a breast from all its views and older exams, with age, density, implant "
        "and machine; outlines nothing",
    ),
    "cad": _system(
        "cad",
        outlines=False,
        what="Mammography: class of one image with clinical fields; the mask holds the regions of interest "
        "that stand out, not outlines of lesions",
    ),
}
"""Each system by its name."""

OUTLINER_OF: dict[Modality, str] = {
    system.modality: name for name, system in MODELS.items() if system.outlines
}
"""The system that outlines lesions in images of a modality."""


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
