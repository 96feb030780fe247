"""What a catalog's images of one breast are, and the cases of a list of records."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from breastlabel.catalog import Catalog, ImageRecord
from breastlabel.datasets.sequences import (
    breast_cases,
    context_of,
    sequence_of,
    view_of,
    view_of_image,
    worst_class,
)
from breastlabel.errors import NotFoundError, StudiesError
from breastlabel.imaging import BreastImage, Density, Laterality, LesionClass, Modality, ViewPosition
from breastlabel.imaging.context import CONTEXT_NAMES

R, L = Laterality.R, Laterality.L
CC, MLO = ViewPosition.CC, ViewPosition.MLO


def record(image_id, side=R, position=CC, day="2026-03-02", *, metadata=None, **changes):
    values = {
        "file": f"{image_id}.png",
        "dataset": "test",
        "modality": Modality.MG,
        "patient_key": "p",
        "group": "g",
        "split": "train",
        "laterality": side,
        "view_position": position,
        "metadata": ({"acquired": day} if day else {}) | (metadata or {}),
    }
    return ImageRecord(image_id=image_id, **(values | changes))


PATIENT = [
    record("r-cc", label="benign"),
    record("r-mlo", position=MLO, label="malignant"),
    record("l-cc", L, label="normal"),
    record("r-mlo-old", position=MLO, day="2024-02-01", label="normal"),
]


@pytest.fixture
def catalog(tmp_path):
    for r in PATIENT:
        (tmp_path / r.file).touch()
    with Catalog(f"sqlite:///{tmp_path / 'c.sqlite3'}", studies=tmp_path) as opened:
        opened.add_images(
            [*PATIENT, record("other", patient_key="q"), record("gone", excluded="file-missing")]
        )
        yield opened


def reasons(sequence):
    return {left.image_id: left.reason for left in sequence.left_out}


def test_a_catalog_finds_the_other_view_and_the_prior(catalog):
    sequence = sequence_of(catalog, "r-cc")

    assert [v.image_id for v in sequence.views] == ["r-mlo-old", "r-cc", "r-mlo"]
    assert reasons(sequence) == {"gone": "its file is missing", "l-cc": "the other breast"}


def test_only_views_are_found_where_no_priors_are_wanted(catalog):
    assert [v.image_id for v in sequence_of(catalog, "r-cc", priors=False).views] == ["r-cc", "r-mlo"]
    assert [v.image_id for v in sequence_of(catalog, "r-cc", views=False, priors=False).views] == ["r-cc"]


def test_excluded_images_and_lost_files_are_left_out_with_the_reason(catalog, tmp_path):
    catalog.exclude("r-mlo", "motion")
    (tmp_path / "r-mlo-old.png").unlink()

    sequence = sequence_of(catalog, "r-cc")

    assert [v.image_id for v in sequence.views] == ["r-cc"]
    assert reasons(sequence)["r-mlo"] == "excluded: motion"
    assert reasons(sequence)["r-mlo-old"] == "its file is missing"


def test_the_image_asked_about_is_in_its_sequence_even_if_it_is_excluded(catalog):
    catalog.exclude("r-cc", "motion")

    assert "r-cc" in [v.image_id for v in sequence_of(catalog, "r-cc").newest.views]


def test_a_sequence_of_an_unknown_image_is_refused(catalog):
    with pytest.raises(NotFoundError, match="an image of the catalog is required"):
        sequence_of(catalog, "nobody")


@pytest.mark.parametrize("patient_key", ["test:a", "test:g", ""])
def test_a_key_that_stands_for_an_image_is_no_patient(patient_key):
    assert view_of(record("a", patient_key=patient_key)).patient_key is None


def test_a_date_that_cannot_be_read_is_unknown():
    assert view_of(record("a", day="soon")).acquired is None


def test_a_breast_in_an_exam_is_one_case_with_the_worst_class_of_its_newest_images():
    cases = {case.key: case for case in breast_cases(PATIENT)}

    assert set(cases) == {"r-cc", "l-cc", "r-mlo-old"}
    breast = cases["r-cc"]
    assert breast.sequence == ("r-mlo-old", "r-cc", "r-mlo")
    assert breast.newest == ("r-cc", "r-mlo")
    assert breast.label is LesionClass.MALIGNANT
    assert (breast.group, breast.split, breast.acquired) == ("g", "train", date(2026, 3, 2))
    assert cases["r-mlo-old"].sequence == ("r-mlo-old",)
    assert cases["r-mlo-old"].label is LesionClass.NORMAL


def test_without_views_each_image_is_a_case():
    cases = breast_cases(PATIENT, views=False, priors=False)

    assert [case.sequence for case in cases] == [(c.key,) for c in cases]
    assert {case.key for case in cases} == {r.image_id for r in PATIENT}


def test_without_views_a_prior_of_the_same_view_is_kept():
    cases = {case.key: case.sequence for case in breast_cases(PATIENT, views=False)}

    assert cases["r-mlo"] == ("r-mlo-old", "r-mlo")
    assert cases["r-cc"] == ("r-cc",)


def test_images_without_side_or_patient_are_cases_of_their_own():
    records = [
        record("a", None),
        record("b", None),
        record("c", patient_key="test:c"),
        record("d", patient_key="test:d"),
    ]

    assert [case.sequence for case in breast_cases(records)] == [("a",), ("b",), ("c",), ("d",)]


def test_unusable_images_are_in_no_case_and_a_class_may_be_unknown():
    records = [
        record("a"),
        record("b", metadata={"not_analysable": "spot compression view"}, label="malignant"),
        record("c", excluded="motion", label="malignant"),
    ]

    (case,) = breast_cases(records)

    assert case.sequence == ("a",)
    assert case.label is None


def test_cases_do_not_depend_on_the_order_of_the_records():
    assert breast_cases(PATIENT[::-1]) == breast_cases(PATIENT)


def test_a_patient_in_two_splits_is_refused():
    records = [*PATIENT, record("r-ml", position=ViewPosition.ML, split="test")]

    with pytest.raises(StudiesError, match=r"must be in one split.*train and test.*one split"):
        breast_cases(records)


def test_images_without_a_patient_key_are_not_one_patient():
    records = [record("a", patient_key=""), record("b", patient_key="", split="test")]

    assert [case.sequence for case in breast_cases(records)] == [("a",), ("b",)]


def test_the_context_of_a_record_is_that_of_its_image():
    pixels = np.arange(4, dtype=np.float32).reshape(2, 2)
    image = BreastImage(
        pixels,
        Modality.MG,
        view_position=MLO,
        acquisition_date=date(2024, 2, 1),
        age=52.0,
        density=Density.C,
        implant=False,
        manufacturer="Maker",
        machine_id="One",
    )
    known = {"age": 52, "density": "C", "implant": False, "manufacturer": "Maker", "machine": "One"}
    same = record("a", position=MLO, day="2024-02-01", metadata=known)

    context = context_of(same, date(2026, 3, 2), is_prior=True)

    np.testing.assert_array_equal(context, context_of(image, date(2026, 3, 2), is_prior=True))
    named = dict(zip(CONTEXT_NAMES, context, strict=True))
    assert named["view_mlo"] == named["is_prior"] == named["density_c"] == named["implant_known"] == 1
    assert named["years_before"] == pytest.approx(760 / 3652.5)
    assert named["age"] == pytest.approx(0.52)


def test_metadata_of_another_kind_are_unknown():
    odd = record("a", day=None, metadata={"age": "52", "density": "fatty", "implant": "yes"})

    np.testing.assert_array_equal(context_of(odd), context_of(replace(odd, metadata={})))


def test_an_image_without_a_catalog_has_a_place_too():
    pixels = np.arange(4, dtype=np.float32).reshape(2, 2)
    image = BreastImage(
        pixels,
        Modality.MG,
        laterality=L,
        patient_key="k",
        study_key="s",
        metadata={"not_analysable": "specimen"},
    )

    view = view_of_image("a", image)

    assert (view.patient_key, view.exam_key, view.laterality) == ("k", "s", L)
    assert view.not_analysable == "specimen"


def test_the_worst_class_is_that_of_those_known():
    assert worst_class([None, LesionClass.BENIGN, LesionClass.NORMAL]) is LesionClass.BENIGN
    assert worst_class([None]) is None
