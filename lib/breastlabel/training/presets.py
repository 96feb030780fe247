"""What is trained when nothing else is said: networks, preparations and settings under a name."""

from __future__ import annotations

from collections.abc import Mapping

from breastlabel.errors import UnknownNameError
from breastlabel.imaging.vocabulary import Modality
from breastlabel.training.mammography_presets import CAD, FUSIONVIEW, MAMMOGRAPHY, SCREENING
from breastlabel.training.preset import FINE_TUNING, TINY, TINY_FINE_TUNING, Preset
from breastlabel.training.ultrasound_presets import ULTRASOUND

__all__ = ["FINE_TUNING", "MODALITIES", "PRESETS", "TINY", "TINY_FINE_TUNING", "Preset", "preset"]

#: What each system analyses: images of another modality are neither learned from nor judged.
MODALITIES: Mapping[str, Modality] = {
    "ultrasound": Modality.US,
    "mammography": Modality.MG,
    "cad": Modality.MG,
    "screening": Modality.MG,
    "fusionview": Modality.MG,
}

PRESETS: dict[str, dict[str, Preset]] = {
    "ultrasound": ULTRASOUND,
    "mammography": MAMMOGRAPHY,
    "cad": CAD,
    "screening": SCREENING,
    "fusionview": FUSIONVIEW,
}


def preset(model: str, name: str = "default") -> Preset:
    """The preset of a model by name.

    Raises:
        UnknownNameError: no such model or preset; the message lists the valid ones.
    """
    if model not in PRESETS:
        raise UnknownNameError("model", model, PRESETS)
    if name not in PRESETS[model]:
        raise UnknownNameError(f"preset of {model}", name, PRESETS[model])
    return PRESETS[model][name]
