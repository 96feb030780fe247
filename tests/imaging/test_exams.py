"""Which images are put together, and which never are."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breastlabel.imaging import Laterality, Modality, ViewPosition
from breastlabel.imaging.exams import View, assemble_exams, breast_sequence

NEW, OLD, OLDER = date(2026, 3, 2), date(2024, 2, 1), date(2021, 7, 9)
R, L = Laterality.R, Laterality.L
CC, MLO = ViewPosition.CC, ViewPosition.MLO


def view(image_id, side=R, position=CC, day=NEW, *, patient="p", exam=None, **others):
    return View(
        image_id,
        others.pop("modality", Modality.MG),
        patient_key=patient,
        exam_key=exam,
        acquired=day,
        laterality=side,
        view_position=position,
        **others,
    )


def ids(sequence):
    return [[v.image_id for v in exam.views] for exam in sequence.exams]


def reasons(sequence):
    return {left.image_id: left.reason for left in sequence.left_out}


PATIENT = [
    view("r-cc"),
    view("r-mlo", position=MLO),
    view("l-cc", L),
    view("l-mlo", L, MLO),
    view("r-cc-old", day=OLD),
    view("r-mlo-old", position=MLO, day=OLD),
    view("l-cc-old", L, day=OLD),
    view("r-mlo-older", position=MLO, day=OLDER),
]


def test_the_request_for_one_view_uses_the_other_and_the_priors_of_that_breast_only():
    sequence = breast_sequence(PATIENT[0], PATIENT)

    assert ids(sequence) == [["r-mlo-older"], ["r-cc-old", "r-mlo-old"], ["r-cc", "r-mlo"]]
    assert [exam.acquired for exam in sequence.exams] == [OLDER, OLD, NEW]
    assert reasons(sequence) == dict.fromkeys(["l-cc", "l-mlo", "l-cc-old"], "the other breast")
    assert sequence.laterality is R
    assert sequence.notes == ()


def test_an_exam_later_than_the_image_asked_about_is_no_part_of_it():
    sequence = breast_sequence(PATIENT[4], PATIENT)

    assert ids(sequence) == [["r-mlo-older"], ["r-cc-old", "r-mlo-old"]]
    assert reasons(sequence)["r-cc"] == "a later exam"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"views": False, "priors": False}, [["r-cc"]]),
        ({"views": True, "priors": False}, [["r-cc", "r-mlo"]]),
        ({"views": False, "priors": True}, [["r-cc-old"], ["r-cc"]]),
    ],
)
def test_a_system_gets_the_views_and_priors_it_uses(wanted, expected):
    sequence = breast_sequence(PATIENT[0], PATIENT, **wanted)

    assert ids(sequence) == expected
    assert len(sequence.views) + len(sequence.left_out) == len(PATIENT)


def test_what_is_left_out_is_told_with_its_reason():
    others = {
        "spot": view("spot", not_analysable="spot compression view"),
        "sideless": view("sideless", None),
        "undated": view("undated", day=None, exam="x"),
        "twin": view("twin", exam="y"),
        "echo": view("echo", modality=Modality.US),
    }
    target = view("asked", exam="e")

    sequence = breast_sequence(target, others.values())

    assert ids(sequence) == [["asked"]]
    assert reasons(sequence) == {
        "spot": "not analysable: spot compression view",
        "sideless": "names no side",
        "undated": "no date",
        "twin": "another exam of the same date",
        "echo": "another modality",
    }


@pytest.mark.parametrize(
    ("unknown", "note"),
    [
        ({"laterality": None}, "the image names no side, so no other view was looked for"),
        ({"patient_key": None}, "the image names no patient, so no other image was looked for"),
        ({"acquired": None}, "the image names neither study nor date, so no other view was looked for"),
        (
            {"not_analysable": "specimen"},
            "the image is not analysable (specimen), so no other image was looked for",
        ),
    ],
)
def test_an_image_of_which_too_little_is_known_stands_alone_and_says_so(unknown, note):
    sequence = breast_sequence(replace(PATIENT[0], **unknown), PATIENT)

    assert ids(sequence) == [["r-cc"]]
    assert sequence.notes == (note,)


def test_other_views_are_found_by_the_study_where_the_date_is_unknown():
    target, other = view("a", day=None, exam="e"), view("b", position=MLO, day=None, exam="e")

    sequence = breast_sequence(target, [other, view("old", day=OLD)])

    assert ids(sequence) == [["a", "b"]]
    assert sequence.notes == ("the exam has no date, so no older exam was looked for",)
    assert reasons(sequence) == {"old": "another exam, and that of the image asked about has no date"}


def test_the_same_patient_under_another_id_is_not_guessed():
    sequence = breast_sequence(PATIENT[0], [view("r-mlo", position=MLO, patient="q")])

    assert ids(sequence) == [["r-cc"]]
    assert sequence.left_out == ()


def test_images_without_a_known_patient_are_never_put_together():
    exams = assemble_exams([view("a", patient=None, exam="e"), view("b", patient=None, exam="e")])

    assert [[v.image_id for v in exam.views] for exam in exams] == [["a"], ["b"]]


def test_an_image_without_a_study_joins_the_study_of_its_day():
    exams = assemble_exams([view("a", exam="e"), view("b"), view("c", day=OLD), view("d", day=None)])

    assert [[v.image_id for v in exam.views] for exam in exams] == [["c"], ["a", "b"], ["d"]]
    assert [exam.exam_key for exam in exams] == [None, "e", None]


def test_an_image_without_a_study_joins_none_of_two_studies_of_its_day():
    exams = assemble_exams([view("a", exam="e"), view("b", exam="f"), view("c"), view("d")])

    assert [[v.image_id for v in exam.views] for exam in exams] == [["a"], ["b"], ["c", "d"]]


def test_a_study_past_midnight_is_one_exam_of_its_first_day():
    exams = assemble_exams([view("a", exam="e", day=NEW), view("b", exam="e", day=OLD)])

    assert [(len(exam.views), exam.acquired) for exam in exams] == [(2, OLD)]


VIEWS = st.lists(
    st.builds(
        View,
        image_id=st.sampled_from("abcdefghij"),
        modality=st.sampled_from(Modality),
        patient_key=st.sampled_from(["p", "p", "q", None]),
        exam_key=st.sampled_from(["e", "f", None, None]),
        acquired=st.sampled_from([NEW, OLD, OLDER, None]),
        laterality=st.sampled_from([R, R, L, None]),
        view_position=st.sampled_from([CC, MLO, ViewPosition.ML, None]),
        not_analysable=st.sampled_from([None, None, None, "specimen"]),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda v: v.image_id,
)


@given(st.data(), VIEWS, st.booleans(), st.booleans())
def test_a_sequence_holds_for_whatever_is_given(data, views, with_views, with_priors):
    target = views[0]
    sequence = breast_sequence(target, views, views=with_views, priors=with_priors)
    shuffled = data.draw(st.permutations(views))

    assert breast_sequence(target, shuffled, views=with_views, priors=with_priors) == sequence
    assert target in sequence.newest.views
    assert len({v.image_id for v in sequence.views}) == len(sequence.views)
    assert not {v.image_id for v in sequence.views} & set(reasons(sequence))
    if len(sequence.views) > 1:
        assert {(v.patient_key, v.laterality, v.modality) for v in sequence.views} == {
            ("p" if target.patient_key == "p" else "q", target.laterality, target.modality)
        }
        assert not any(v.not_analysable for v in sequence.views)
    dates = [exam.acquired for exam in sequence.exams]
    assert len(dates) == 1 or (None not in dates and max(dates[:-1]) < dates[-1] and dates == sorted(dates))
    same_patient = {v.image_id for v in views if v.patient_key == target.patient_key is not None}
    assert same_patient <= {v.image_id for v in sequence.views} | set(reasons(sequence))


@given(st.data(), VIEWS)
def test_exams_hold_every_image_once_whatever_the_order(data, views):
    exams = assemble_exams(views)

    assert assemble_exams(data.draw(st.permutations(views))) == exams
    assert sorted(v.image_id for exam in exams for v in exam.views) == sorted(v.image_id for v in views)
    for exam in exams:
        assert {v.patient_key for v in exam.views} == {exam.patient_key}
