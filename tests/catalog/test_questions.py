"""Segmentations and the questions about them, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading

import pytest

from breastlabel.catalog import Catalog
from breastlabel.catalog.kept_segmentation import Status
from breastlabel.catalog.label_batch import Reading
from breastlabel.errors import NotFoundError

UID = "1.2.3.4"
INFO = {"notes": {"viewer": "OHIF Brush"}, "seconds_spent": 12.0, "complete": False}


def reading(image_id, data=b"map", **changes):
    return Reading(image_id=image_id, data=data, label="malignant", **changes)


def save(catalog, *readings, uid=UID, client_id="ohif"):
    return catalog.questions.save(uid, readings, author="ann", client_id=client_id, info={"viewer": "x"})


def ask(catalog, *image_ids, uid=UID, names=("Segment 1",)):
    segments = [{"name": name, "type": None, "colour": None, "image_ids": list(image_ids)} for name in names]
    return catalog.questions.ask(
        uid, b"SEG", segments=segments, image_ids=image_ids, author=None, client_id="ohif", info=INFO
    )


def answer(catalog, question, *readings, remember=None):
    return catalog.questions.answer(
        question,
        readings,
        {"Segment 1": "malignant"},
        answered_by="bob",
        client_id="browser",
        remember=remember or {},
    )


def test_a_segmentation_becomes_a_version_of_each_of_its_images(catalog, add):
    add("abc")
    catalog.labels.save("a", b"slicer", author="cem")
    kept, versions = save(catalog, reading("b", seconds_spent=4), reading("a", info={"birads": "4A"}))
    assert [(v.image_id, v.version, v.author, v.client_id, v.label) for v in versions] == [
        ("b", 1, "ann", "ohif", "malignant"),
        ("a", 2, "ann", "ohif", "malignant"),
    ]
    assert [v.tag for v in catalog.labels.history("a")] == ["final", "final"], "versions of one label"
    assert catalog.labels.current("a").info == {"birads": "4A"}
    assert versions[0].seconds_spent == 4
    assert (kept.status, list(kept.labels)) == (
        Status.SAVED,
        [{"image_id": "b", "version": 1}, {"image_id": "a", "version": 2}],
    )
    assert catalog.image("b").reviewed
    assert catalog.counts().waiting == 1
    assert (catalog.studies / "labels" / "final" / "a.nii.gz").read_bytes() == b"map"
    assert catalog.audit.entries("b")[0].action == "label.save"


def test_it_starts_from_the_proposal_that_was_shown(catalog, add):
    add("a")
    proposal = catalog.labels.save("a", b"model", tag="original", model="mammography", model_version="v3")
    _, (version,) = save(catalog, reading("a"))
    assert (version.proposal_id, version.model_version) == (proposal.label_id, "v3")


def test_the_same_segmentation_makes_one_version_however_often_it_comes(catalog, add):
    add("a")
    first, versions = save(catalog, reading("a"))
    again, none = save(catalog, reading("a", b"other"))
    assert (len(versions), none) == (1, [])
    assert again == first == catalog.questions.find(UID)
    assert [v.version for v in catalog.labels.history("a")] == [1]
    folder = catalog.studies / ".breastlabel" / "label-versions" / "a"
    assert len(list(folder.iterdir())) == 1, "the second one's file is gone"


def test_two_who_save_it_at_once_make_one_version(catalog, url, add, tmp_path):
    add("ab")
    barrier, made = threading.Barrier(4), []

    def run():
        with Catalog(url, studies=tmp_path) as own:
            barrier.wait()
            made.append(len(save(own, reading("b"), reading("a"))[1]))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 0, 0, 2]
    assert [len(catalog.labels.history(i)) for i in "ab"] == [1, 1]


def test_writers_of_the_same_images_in_another_order_do_not_wait_for_each_other(catalog, url, add, tmp_path):
    add("ab")
    barrier, failed = threading.Barrier(4), []

    def run(number):
        with Catalog(url, studies=tmp_path) as own:
            barrier.wait()
            for i in range(5):
                order = "ab" if number % 2 else "ba"
                try:
                    save(own, *map(reading, order), uid=f"1.{number}.{i}", client_id=f"c{number % 2}")
                    own.labels.save("b", b"slicer", client_id="c0")
                except Exception as error:
                    failed.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(catalog.labels.history("a")) == 20
    assert len(catalog.labels.history("b")) == 40


def test_all_images_get_a_version_or_none(catalog, add):
    add("a")
    with pytest.raises(NotFoundError):
        save(catalog, reading("a"), reading("nobody"))
    assert catalog.labels.history("a") == []
    assert catalog.questions.find(UID) is None
    assert not list((catalog.studies / ".breastlabel").rglob("*.nii.gz"))
    with pytest.raises(NotFoundError):
        save(catalog, reading("a"), reading("../b"))
    assert catalog.labels.history("a") == []


def test_a_question_is_kept_with_its_file_and_changes_no_label(catalog, add):
    add("ab")
    question = ask(catalog, "b", "a", names=("Segment 1", "x"))
    assert question.status is Status.QUESTION
    assert (catalog.studies / question.file).read_bytes() == b"SEG"
    assert catalog.questions.files.read(question.file) == b"SEG"
    assert UID not in question.file
    assert [s["name"] for s in question.segments] == ["Segment 1", "x"]
    assert question.info == INFO
    assert catalog.questions.open() == [question] == [catalog.questions.get(question.segmentation_id)]
    assert catalog.questions.count() == 1
    assert catalog.questions.open_of(["a", "b", "c"]) == {i: [question.segmentation_id] for i in "ab"}
    assert catalog.questions.images(question.segmentation_id) == ["a", "b"]
    assert catalog.labels.history("a") == []
    assert catalog.counts().waiting == 2


def test_a_question_is_asked_once(catalog, add):
    add("a")
    first = ask(catalog, "a")
    assert ask(catalog, "a") == first
    assert catalog.questions.count() == 1
    assert len(list((catalog.studies / ".breastlabel" / "segmentations").iterdir())) == 1


def test_an_answer_makes_the_labels_and_closes_the_question(catalog, add):
    add("ab")
    question = ask(catalog, "a", "b")
    kept, versions = answer(catalog, question, reading("a"))
    assert [(v.image_id, v.author, v.client_id) for v in versions] == [("a", "bob", "ohif")]
    assert (kept.status, kept.answer, kept.answered_by) == (Status.SAVED, {"Segment 1": "malignant"}, "bob")
    assert kept.answered_at is not None
    assert (catalog.questions.open(), catalog.questions.count()) == ([], 0)
    assert catalog.questions.open_of("ab") == {}
    assert catalog.questions.get(question.segmentation_id) == kept
    assert (catalog.studies / question.file).is_file(), "nothing is lost"
    assert catalog.audit.entries()[0].action == "question.answer"


def test_an_answer_that_leaves_nothing_makes_no_label(catalog, add):
    add("a")
    kept, versions = answer(catalog, ask(catalog, "a"))
    assert (kept.status, versions, list(kept.labels)) == (Status.IGNORED, [], [])
    assert catalog.labels.history("a") == []
    assert catalog.questions.count() == 0


def test_a_question_is_answered_once(catalog, add):
    add("a")
    question = ask(catalog, "a")
    answer(catalog, question, reading("a"))
    again, none = answer(catalog, question, reading("a", b"late"), remember={"segment 1": "benign"})
    assert none == []
    assert again.status is Status.SAVED
    assert [v.version for v in catalog.labels.history("a")] == [1]
    assert catalog.questions.meanings() == {}


def test_what_the_site_said_for_good_is_remembered_and_may_be_changed(catalog, add):
    add("a")
    assert catalog.questions.meanings() == {}
    answer(catalog, ask(catalog, "a"), reading("a"), remember={"segment 1": "malignant", "muscle": "ignore"})
    answer(catalog, ask(catalog, "a", uid="1.2.5"), remember={"segment 1": "benign"})
    assert catalog.questions.meanings() == {"segment 1": "benign", "muscle": "ignore"}


def test_only_questions_are_found_as_such(catalog, add):
    add("a")
    kept, _ = save(catalog, reading("a"))
    for question_id in (kept.segmentation_id, 99, 0, -1, 2**40):
        with pytest.raises(NotFoundError, match="question"):
            catalog.questions.get(question_id)


def test_questions_come_in_pages_oldest_first(catalog, add):
    add("a")
    ids = [ask(catalog, "a", uid=f"1.2.{n}").segmentation_id for n in range(5)]
    assert [q.segmentation_id for q in catalog.questions.open(limit=2)] == ids[:2]
    assert [q.segmentation_id for q in catalog.questions.open(limit=9, offset=3)] == ids[3:]
    assert catalog.questions.open_of(["a"]) == {"a": ids}


def test_a_question_whose_file_is_gone_says_so(catalog, add):
    add("a")
    question = ask(catalog, "a")
    (catalog.studies / question.file).unlink()
    with pytest.raises(NotFoundError, match="file is gone"):
        catalog.questions.files.read(question.file)
