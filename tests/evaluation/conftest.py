"""A small table made by hand, and images to go with it."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from breastlabel.evaluation.lesions import match_lesions
from breastlabel.evaluation.table import Case, EvaluationTable, Picture
from breastlabel.imaging.image import BreastImage
from breastlabel.imaging.vocabulary import LesionClass, Modality

SECRET = "SECRET-PATIENT"


@pytest.fixture(scope="session")
def picture() -> Picture:
    grey = np.arange(48 * 64, dtype=np.uint32).reshape(48, 64).astype(np.uint8)
    square = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], dtype=np.int32)
    return Picture(cv2.imencode(".png", grey)[1].tobytes(), reader=(square,), model=(square + 3,))


@pytest.fixture(scope="session")
def table(picture) -> EvaluationTable:
    """Two patients with two images each: normal, benign (Dice 0.8), malignant (missed), benign (0.6)."""
    box, empty = np.zeros((8, 8)), np.zeros((8, 8))
    box[2:6, 2:6] = 1
    found, missed, nothing = match_lesions(box, box), match_lesions(box, empty), match_lesions(empty, empty)
    common = {"has_spacing": True, "picture": picture, "seconds": {"read": 0.1, "predict": 0.3}}
    lesion = {"reader_area": 16.0, "area_fraction": 0.25, "contrast": 0.3, "border": 0.2}
    return EvaluationTable(
        (
            Case("case-1", f"{SECRET}-a", f"{SECRET}-a", (0.8, 0.1, 0.1), 0, label=0, reader_area=0.0,
                 match=nothing, age=44.0, machine="one", **common),
            Case("case-2", f"{SECRET}-a", f"{SECRET}-a", (0.1, 0.7, 0.2), 1, label=1, dice=0.8, iou=2 / 3,
                 hd95_px=4.0, assd_px=2.0, hd95_mm=0.4, assd_mm=0.2, model_area=16.0, match=found,
                 diameter_mm=8.0, age=44.0, machine="one", peak_in_lesion=True, **common, **lesion),
            Case("case-3", f"{SECRET}-b", f"{SECRET}-b", (0.5, 0.2, 0.3), 0, label=2, dice=0.0, iou=0.0,
                 match=missed, diameter_mm=15.0, machine="two", peak_in_lesion=False, **common, **lesion),
            Case("case-4", f"{SECRET}-b", f"{SECRET}-b", (0.1, 0.5, 0.4), 1, label=1, dice=0.6, iou=3 / 7,
                 hd95_px=8.0, assd_px=4.0, hd95_mm=0.8, assd_mm=0.4, model_area=12.0, match=found,
                 diameter_mm=25.0, machine="two", **common, **lesion),
        )
    )  # fmt: skip


def _labelled(mask, *, label=None, pixels=None, **record):
    """What `load_training_images` yields, as far as evaluation looks."""
    shape = (40, 60) if mask is None else mask.shape
    if pixels is None:
        pixels = np.random.default_rng(0).random(shape).astype(np.float32)
    known = {
        "image_id": "case-1",
        "group": f"{SECRET}-a",
        "patient_key": f"{SECRET}-a",
        "dataset": "phantom",
        "metadata": {},
        "view_position": None,
        "spacing_rows": None,
        "spacing_cols": None,
        "excluded": None,
        "reviewed": True,
    }
    return SimpleNamespace(
        record=SimpleNamespace(**{**known, **record}),
        image=BreastImage(pixels, Modality.US),
        mask=mask,
        label=label,
    )


class _PaintsThis:
    """A predictor that always answers the same mask."""

    def __init__(self, mask, probabilities=(0.1, 0.2, 0.7)):
        self.mask, self.probabilities, self.explained = mask, probabilities, 0

    def predict(self, image, *, explain=False):
        self.explained += explain
        lesion = (self.mask > 0).astype(np.float32)
        return SimpleNamespace(
            mask=self.mask,
            lesion_probability=lesion,
            class_probabilities={c.label: self.probabilities[c] for c in LesionClass},
            predicted=LesionClass(int(np.argmax(self.probabilities))),
            heat_map=lesion if explain else None,
        )


@pytest.fixture
def labelled():
    """Makes a labelled image; see `_labelled`."""
    return _labelled


@pytest.fixture
def paints_this():
    """The class of a predictor that always answers the mask it was made with."""
    return _PaintsThis


@pytest.fixture(scope="session")
def secret() -> str:
    """What every patient key of the table holds, so that no report may."""
    return SECRET
