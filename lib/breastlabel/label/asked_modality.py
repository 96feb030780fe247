"""Whether a system may be asked about an image: a network for mammograms would answer for any picture."""

from __future__ import annotations

from breastlabel.catalog import ImageRecord
from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Modality
from breastlabel.label.systems import MODELS, OUTLINER_OF

__all__ = ["check_modality"]

_FOLDER = "folder"
_NAMES = {Modality.MG: "a mammogram (MG)", Modality.US: "ultrasound (US)"}


def check_modality(record: ImageRecord, model: str) -> None:
    """Let a system see images of its own modality, and those of which nobody said what they are.

    An image that was put into the folder is taken for ultrasound where neither its header nor its name says
    otherwise, so "ultrasound" is then no more than a guess; a DICOM header is checked when the file is read.

    Raises:
        InvalidImageError: the catalog knows that the image is of another modality.
    """
    if model not in MODELS:
        return
    guessed = record.dataset == _FOLDER and record.modality is Modality.US
    required = MODELS[model].modality
    if record.modality is not required and not guessed:
        raise InvalidImageError(
            f"{_NAMES[required]} is required for {model}; image '{record.image_id}' is "
            f"{_NAMES[record.modality]}; ask for {OUTLINER_OF[record.modality]}"
        )
