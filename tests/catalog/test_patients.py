from datetime import date

from breastlabel.catalog import Exam


def test_patients_and_exams_are_known_from_the_images(catalog, record):
    catalog.add_images(
        [
            record("a", patient_key="p1", study_key="s1", metadata={"acquired": "2021-05-04"}),
            record("b", patient_key="p1", study_key="s1"),
            record("c", patient_key="p1", metadata={"acquired": "2020-01-02"}),
            record("d", patient_key="p2", metadata={"acquired": "unknown"}),
        ]
    )
    assert [p.patient_key for p in catalog.patients()] == ["p1", "p2"]
    assert catalog.exams("p1") == [
        Exam("p1@2020-01-02", "p1", date(2020, 1, 2), {}),
        Exam("s1", "p1", date(2021, 5, 4), {}),
    ]
    assert catalog.exams("p2") == []


def test_a_patient_is_first_seen_once(catalog, record):
    catalog.add_images([record("a", patient_key="p1")])
    (before,) = catalog.patients()
    catalog.add_images([record("b", patient_key="p1")])
    assert catalog.patients() == [before]


def test_a_patient_learnt_later_is_added(catalog, record):
    catalog.add_images([record("a", patient_key="p1")])
    catalog.update_image("a", patient_key="p2", metadata={"acquired": "2020-01-02"})
    assert [p.patient_key for p in catalog.patients()] == ["p1", "p2"]
    assert [e.exam_key for e in catalog.exams("p2")] == ["p2@2020-01-02"]
