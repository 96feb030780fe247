import json

import numpy as np

from breastlabel.findings import LABEL_NAMES, result_json
from breastlabel.imaging import BreastImage, Laterality, LesionClass, Modality, ViewPosition
from breastlabel.inference import Prediction


def prediction(value=2, **fields):
    mask = np.zeros((12, 16), dtype=np.uint8)
    mask[2:6, 3:9] = value
    return Prediction(
        mask=mask,
        lesion_probability=(mask > 0).astype(np.float32),
        class_probabilities={"normal": 0.1, "benign": 0.2, "malignant": 0.7},
        malignancy_probability=0.7,
        predicted=LesionClass(value),
        checkpoint_version="v1",
        **fields,
    )


def image(**fields):
    pixels = np.arange(192, dtype=np.float32).reshape(12, 16)
    return BreastImage(pixels=pixels, modality=Modality.US, patient_key="secret-key", **fields)


def test_the_result_is_plain_json_with_everything_a_client_needs():
    result = result_json(prediction(), image(spacing=(0.5, 0.25)))
    data = json.loads(json.dumps(result))
    assert data["predicted_class"] == "malignant"
    assert data["malignancy_probability"] == 0.7
    assert data["class_probabilities"] == {"normal": 0.1, "benign": 0.2, "malignant": 0.7}
    assert data["checkpoint_version"] == "v1"
    assert data["uncertainty"] is None
    assert data["findings"][0]["area"] == 3.0
    assert data["findings"][0]["area_unit"] == "mm2"
    assert data["image"]["spacing_mm"] == [0.5, 0.25]
    assert data["image"]["shape"] == [12, 16]
    assert "research use only" in data["notice"]
    assert "secret-key" not in json.dumps(data)


def test_label_names_are_contiguous_from_one():
    assert LABEL_NAMES == {"benign": 1, "malignant": 2}
    assert result_json(prediction(), image())["label_names"] == LABEL_NAMES


def test_a_plain_image_is_said_to_be_a_sequence_of_one():
    plain = result_json(prediction(), image())
    assert plain["sequence"] == "analysed as a sequence of one image; it names no side and no view"
    known = image(laterality=Laterality.R, view_position=ViewPosition.CC)
    assert result_json(prediction(), known)["sequence"] == "analysed as a sequence of one image"


def test_a_normal_image_has_no_findings():
    assert result_json(prediction(value=0), image())["findings"] == []


def test_uncertainty_reaches_the_findings():
    scores = {"class_entropy": 0.3, "mutual_information": 0.05, "mask_disagreement": 0.1}
    data = result_json(
        prediction(uncertainty=scores, lesion_deviation=np.full((12, 16), 0.2, np.float32)), image()
    )
    assert data["uncertainty"] == scores
    assert data["findings"][0]["uncertainty"]["lesion_probability_deviation"] == 0.2
