"""One phantom patient with an older exam, and tiny untrained checkpoints of the systems for mammography."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from breastlabel.datasets.mammogram_studies import write_mammogram_phantoms
from breastlabel.imaging import LesionClass
from breastlabel.networks import create_network
from breastlabel.training.checkpoint import save_checkpoint
from breastlabel.training.presets import preset
from breastlabel.transforms import preparation_from_config

SHAPE = (128, 96)
SYSTEMS = ("mammography", "fusionview", "screening", "cad")
#: Ids of the patient's images are this, "prior-" for the older exam, and rcc, rmlo, lcc or lmlo.
PATIENT = "phantom-mg-5-0001-"
EXAM = tuple(PATIENT + view for view in ("rcc", "rmlo", "lcc", "lmlo"))


def write_patient(studies: Path) -> None:
    """Eight DICOM mammograms; the right breast has a malignant lesion."""
    write_mammogram_phantoms(
        studies,
        exams=1,
        seed=5,
        shape=SHAPE,
        classes=[(LesionClass.MALIGNANT, LesionClass.NORMAL)],
        priors=1.0,
        labelled=0.0,
        truth=False,
    )


def write_checkpoint(folder: Path, model: str, **options: Any) -> Path:
    """Untrained; its thresholds let it outline the whole prepared part of an image, as a lesion."""
    tiny = preset(model, "tiny")
    torch.manual_seed(0)
    arguments = dict(tiny.network)
    network = create_network(arguments.pop("name"), **arguments)
    return save_checkpoint(
        folder,
        network.eval(),
        model=model,
        preparation=preparation_from_config(dict(tiny.preparation)),
        calibration={"temperature": 1.0},
        thresholds={"mask": 1e-6, "normal": 1.1, "min_area_fraction": 0.0},
        **options,
    )
