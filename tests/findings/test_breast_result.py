import json
from datetime import date

import numpy as np
import pytest

from breastlabel.findings.breast_result import BreastResults, months_between
from breastlabel.imaging import BreastImage, Laterality, LesionClass, Modality, ViewPosition
from breastlabel.imaging.exams import View, breast_sequence
from breastlabel.inference import Prediction, SequencePrediction
from breastlabel.inference.prediction import LesionBox

SECRET = "secret-patient"
PROBABILITIES = {"normal": 0.1, "benign": 0.2, "malignant": 0.7}
TODAY, BEFORE = date(2024, 3, 5), date(2023, 2, 1)


def view(image_id, acquired, position, side=Laterality.R):
    return View(
        image_id=image_id,
        modality=Modality.MG,
        patient_key=SECRET,
        exam_key=f"{SECRET}-{acquired}",
        acquired=acquired,
        laterality=side,
        view_position=position,
    )


def image(shape=(120, 100)):
    """A breast with the chest wall at the left."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    breast = ((rows - 60) / 50) ** 2 + (cols / 80) ** 2 <= 1
    pixels = np.where(breast, 100 + rows % 5, 0).astype(np.float32)
    return BreastImage(pixels, Modality.MG, spacing=(0.5, 0.5), patient_key=SECRET)


def prediction(box, value=2, boxes=None):
    mask = np.zeros((120, 100), np.uint8)
    if box:
        mask[box[0] : box[2], box[1] : box[3]] = value
    return Prediction(
        mask=mask,
        lesion_probability=(mask > 0).astype(np.float32),
        class_probabilities=PROBABILITIES,
        malignancy_probability=0.7,
        predicted=LesionClass.MALIGNANT,
        checkpoint_version="v1",
        boxes=boxes,
    )


@pytest.fixture
def results():
    """R-CC asked about, R-MLO beside it, a prior R-CC; a lesion grew from 10 to 15 mm and a new one came."""
    asked = view("now-cc", TODAY, ViewPosition.CC)
    others = [
        view("now-mlo", TODAY, ViewPosition.MLO),
        view("old-cc", BEFORE, ViewPosition.CC),
        view("now-left", TODAY, ViewPosition.CC, Laterality.L),
    ]
    sequence = breast_sequence(asked, others)
    assert [v.image_id for v in sequence.views] == ["old-cc", "now-cc", "now-mlo"]
    drawn = (LesionBox((35.04, 20.0, 65.0, 50.0), LesionClass.MALIGNANT, 0.75),)
    images = (
        prediction((40, 20, 60, 40), boxes=drawn),
        prediction((35, 20, 65, 50)),
        prediction((80, 20, 90, 30)),
    )
    images[1].mask[100:106, 10:16] = 2
    answer = SequencePrediction(
        images=images,
        newest=(False, True, True),
        class_probabilities=PROBABILITIES,
        malignancy_probability=0.7,
        predicted=LesionClass.MALIGNANT,
        checkpoint_version="v1",
        uncertainty={"mutual_information": 0.0123456789},
        above_operating_point=True,
        invasive_probability=0.8123456789,
    )
    return BreastResults(answer, [image()] * 3, sequence, ids=["now-cc"])


def test_the_images_that_were_looked_at_are_named_with_their_roles_and_no_dates(results):
    data = results.result(1)
    keys = ("image_id", "laterality", "view_position", "role", "months_before")
    assert [tuple(shown[key] for key in keys) for shown in data["sequence"]] == [
        ("old-cc", "R", "CC", "prior", 13),
        ("now-cc", "R", "CC", "asked", 0),
        ("now-mlo", "R", "MLO", "view", 0),
    ]
    assert data["left_out"] == [{"image_id": "now-left", "reason": "the other breast"}]
    assert data["notes"] == []
    text = json.dumps(data, allow_nan=False)
    assert SECRET not in text
    assert "2024" not in text
    assert "2023" not in text


def test_the_breast_has_one_answer(results):
    assert results.result(0)["breast"] == results.result(2)["breast"]
    assert results.result(1)["breast"] == {
        "laterality": "R",
        "predicted_class": "malignant",
        "class_probabilities": PROBABILITIES,
        "malignancy_probability": 0.7,
        "uncertainty": {"mutual_information": 0.012346},
        "above_operating_point": True,
        "invasive_probability": 0.812346,
    }


def test_boxes_stand_beside_the_findings_of_a_model_that_draws_them(results):
    assert results.result(0)["boxes"] == [
        {"box": [35.0, 20.0, 65.0, 50.0], "class": "malignant", "score": 0.75}
    ]
    assert "boxes" not in results.result(1)


def test_a_lesion_is_compared_with_the_prior_of_its_view(results):
    grown, new = (finding["change"] for finding in results.result(1)["findings"])
    assert grown["comparison"] == "compared"
    assert grown["prior"] == 0
    assert grown["months"] == 13
    # Squares of 20 and of 30 pixels of 0.5 mm.
    assert grown["long_axis_mm"] == pytest.approx(5 * np.sqrt(2), abs=0.01)
    assert grown["long_axis_percent"] == 50.0
    assert grown["area_mm2"] == 125.0
    assert grown["area_percent"] == 125.0
    assert new["comparison"] == "new"


def test_a_view_without_a_prior_says_so_and_a_prior_is_not_compared(results):
    (change,) = (finding["change"] for finding in results.result(2)["findings"])
    assert change["comparison"] == "not comparable"
    assert change["reason"] == "no older image of this view"
    assert all("change" not in finding for finding in results.result(0)["findings"])


def test_an_image_that_names_nothing_is_a_sequence_of_one_that_says_so():
    alone = View(image_id="plain", modality=Modality.MG)
    answer = SequencePrediction(
        images=(prediction((40, 20, 60, 40)),),
        newest=(True,),
        class_probabilities=PROBABILITIES,
        malignancy_probability=0.7,
        predicted=LesionClass.MALIGNANT,
        checkpoint_version="v1",
    )
    data = BreastResults(answer, [image()], breast_sequence(alone, []), ids=["plain"]).result(0)
    assert [shown["role"] for shown in data["sequence"]] == ["asked"]
    assert data["notes"] == [
        "analysed as a sequence of one image",
        "the image names no patient, so no other image was looked for",
    ]
    assert data["breast"]["laterality"] is None
    assert data["findings"][0]["change"]["reason"] == "the image names no view"


def test_images_and_views_must_fit(results):
    with pytest.raises(ValueError, match="each of the sequence's 3 views are required; got 1 images"):
        BreastResults(results._prediction, [image()], results._sequence, ids=[])


def test_months_are_whole_and_unknown_where_a_date_is():
    assert months_between(date(2023, 1, 31), date(2023, 3, 1)) == 1
    assert months_between(date(2022, 3, 1), date(2024, 3, 1)) == 24
    assert months_between(None, TODAY) is None
