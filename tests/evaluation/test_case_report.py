import re
from datetime import date

import numpy as np
import pytest
from tests.transforms.mammograms import mammogram

from breastlabel.errors import BreastLabelError
from breastlabel.evaluation.case_pictures import case_pictures
from breastlabel.evaluation.case_report import CaseForm, case_facts, write_case_report
from breastlabel.imaging import BreastImage, Density, Laterality, LesionClass, Modality, ViewPosition
from breastlabel.inference.prediction import Prediction

SPEC = {
    "training": {"n_train": 12},
    "metrics": {"val": {"auc": 0.8}},
    "operating_point": {
        "sensitivity_wanted": 0.9,
        "threshold": 0.3,
        "sensitivity": 1.0,
        "specificity": 0.5,
        "n_malignant": 4,
        "n_other": 6,
    },
}


@pytest.fixture(scope="module")
def image():
    pixels = mammogram()
    pixels[116:128, 36:48] += 600
    return BreastImage(
        pixels,
        Modality.MG,
        laterality=Laterality.L,
        view_position=ViewPosition.CC,
        patient_key="secret-key",
        age=61.0,
    )


@pytest.fixture(scope="module")
def prediction(image):
    heat = np.zeros(image.shape, np.float32)
    heat[100:140, 20:60] = 1
    return Prediction(
        mask=np.zeros(image.shape, np.uint8),
        lesion_probability=np.zeros(image.shape, np.float32),
        class_probabilities={"normal": 0.1, "benign": 0.2, "malignant": 0.7},
        malignancy_probability=0.7,
        predicted=LesionClass.MALIGNANT,
        checkpoint_version="v1",
        uncertainty={"class_entropy": 0.8, "mutual_information": 0.01, "passes": 20.0},
        heat_map=heat,
        explained=LesionClass.MALIGNANT,
        above_operating_point=True,
    )


def facts_of(image, prediction, form):
    filled, notes = form.filled(image)
    day = date(2024, 5, 6)
    return case_facts(
        image, prediction, filled, checkpoint=SPEC, fingerprint="abcd", notes=notes, written=day
    )


@pytest.fixture(scope="module")
def written(image, prediction, tmp_path_factory):
    output = tmp_path_factory.mktemp("case") / "out"
    form = CaseForm(code="<C-017> $x_1$", age=54, density=Density.B, side=Laterality.R)
    return write_case_report(output, facts_of(image, prediction, form), image, prediction)


def test_the_page_carries_form_class_uncertainty_and_operating_point(written):
    html = next(p for p in written if p.suffix == ".html").read_text()
    assert "&lt;C-017&gt; $x_1$" in html
    for text in ("54 years", "2024-05-06", "abcd", "0.700", "0.800", "reached: malignant from 0.300"):
        assert text in html
    assert "not a medical device" in html
    assert "The side that was typed, R, is not the image’s, L." in html
    # Nothing of the header names the patient, and the page needs nothing from elsewhere.
    assert "secret" not in html
    assert not re.search(r"(src|href)=\"(?!data:)", html)


def test_the_pictures_and_the_pdf_are_whole(written):
    by_suffix = {path.suffix: path.read_bytes() for path in written}
    assert by_suffix[".png"].startswith(b"\x89PNG")
    assert by_suffix[".pdf"].startswith(b"%PDF")
    assert by_suffix[".pdf"].rstrip().endswith(b"%%EOF")
    assert b"CreationDate" not in by_suffix[".pdf"]


def test_the_bright_square_is_what_stands_out(image, prediction):
    pictures = case_pictures(image.pixels, prediction)
    rows, cols = (n / m for n, m in zip(pictures.original.shape, image.shape, strict=False))
    centre = (int(122 * rows), int(42 * cols))
    assert pictures.n_regions >= 1
    assert tuple(pictures.thresholded[centre]) == (255, 170, 0)
    # Inside the region as bright as ever, most of the rest dimmed.
    assert (pictures.segmented[centre] == pictures.original[centre]).all()
    dimmed = (pictures.segmented < pictures.original).all(-1)
    assert dimmed[pictures.original[..., 0] > 100].mean() > 0.4
    # The frame has the colour of the class.
    assert tuple(pictures.classified[0, 0]) == (255, 60, 60)


def test_what_is_typed_holds_and_the_image_fills_the_rest(image):
    filled, notes = CaseForm(age=54.0).filled(image)
    assert (filled.age, filled.side, filled.view, filled.density) == (
        54.0,
        Laterality.L,
        ViewPosition.CC,
        None,
    )
    assert filled.code is None
    assert len(notes) == 1


@pytest.mark.parametrize(
    "field",
    [{"code": "a\nb"}, {"code": " "}, {"code": "x" * 65}, {"age": 0}, {"age": 200}, {"age": float("nan")}],
)
def test_a_form_that_cannot_be_is_refused(field):
    with pytest.raises(BreastLabelError, match="got"):
        CaseForm(**field)
