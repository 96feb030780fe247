"""Segmentations that come by DICOMweb become versions of the same labels as those from Slicer."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from tests.findings.seg_writer import as_ohif, image, painted, seg, segment
from tests.web.segmentations.drawn import bad_ones, blob

from breastlabel.web.seg_file import part10
from breastlabel.web.seg_intake import SegIntake

SHAPE = (12, 16)
SECRETS = ("4711", "JANE", "DOE", "1.2.276")


@pytest.fixture
def intake(app):
    return SegIntake(app)


def versions(app):
    """How many label versions there are of each image."""
    return {i: len(app.catalog.labels.history(i)) for i in ("right", "left", "scan", "plain")}


NOTHING = {"right": 0, "left": 0, "scan": 0, "plain": 0}


def test_what_a_viewer_stores_by_dicomweb_is_a_label_at_once(app, client, source, mask_of):
    mask = blob() | blob(1, at=(8, 9), size=(2, 4))
    stored = seg("BINARY", painted(mask, source("right"), "BINARY"), ContentCreatorName="Smith^Ann")
    for _ in range(2):
        app.archive.store(stored, origin="stow")
    np.testing.assert_array_equal(mask_of("right"), mask)
    assert versions(app) == NOTHING | {"right": 1}
    version = app.catalog.labels.current("right")
    assert (version.author, version.label, version.state) == ("Smith Ann", "malignant", "final")
    assert version.info["viewer"] == "OHIF Brush"
    assert version.info["drawn_at"] == "2026-01-02T03:04:05"
    assert version.info["segments"] == {"benign": "benign", "malignant": "malignant"}
    assert app.catalog.image("right").reviewed


@pytest.mark.parametrize("image_id", ["left", "scan", "plain"])
def test_an_ohif_label_map_lies_where_it_was_brushed(app, intake, source, mask_of, image_id):
    mask = blob(at=(1, 9), size=(3, 6)) | blob(1, at=(7, 2))
    result = intake.take(as_ohif(source(image_id), mask, ["benign", "malignant"]), client_id="ohif")
    assert result.to_json() == {
        "status": "saved",
        "labels": [{"image_id": image_id, "version": 1}],
        "reason": None,
    }
    np.testing.assert_array_equal(mask_of(image_id), mask)
    assert app.catalog.labels.current(image_id).client_id == "ohif"


def test_labels_from_slicer_and_from_a_viewer_are_versions_of_one_label(
    app, intake, client, source, tmp_path
):
    from breastlabel.imaging import Geometry, write_mask

    write_mask(tmp_path / "label.nii.gz", blob(1), geometry=Geometry())
    with (tmp_path / "label.nii.gz").open("rb") as file:
        answer = client.put(
            "/datastore/label", params={"image": "right"}, files={"label": ("l.nii.gz", file)}
        )
    assert answer.status_code == 200
    intake.take(seg("BINARY", painted(blob(), source("right"), "BINARY")))
    history = app.catalog.labels.history("right")
    assert [(v.version, v.tag, v.label) for v in history] == [
        (1, "final", "benign"),
        (2, "final", "malignant"),
    ]


def test_what_the_reader_changed_of_a_proposal_is_measured(app, intake, source):
    from breastlabel.imaging import Geometry
    from breastlabel.imaging.volumes import nifti_bytes

    data = nifti_bytes(blob(), Geometry(), compress=True)
    app.catalog.labels.save("right", data, tag="original", model="mammography", model_version="v7")
    intake.take(seg("BINARY", painted(blob(), source("right"), "BINARY")))
    assert app.corrections.wait(30)
    version = app.catalog.labels.current("right")
    assert (version.model_version, version.agreement["dice"]) == ("v7", 1.0)


def test_several_images_in_one_get_a_version_each(app, intake, source, mask_of):
    views = [source("right"), source("left")]
    drawn = [blob(), blob(1, at=(6, 8))]
    frames = [f for mask, view in zip(drawn, views, strict=True) for f in painted(mask, view, "BINARY")]
    result = intake.take(seg("BINARY", frames), seconds_spent=30, info={"birads": "5"})
    assert [dict(label) for label in result.labels] == [
        {"image_id": "right", "version": 1},
        {"image_id": "left", "version": 1},
    ]
    for image_id, mask in zip(("right", "left"), drawn, strict=True):
        np.testing.assert_array_equal(mask_of(image_id), mask)
        version = app.catalog.labels.current(image_id)
        assert (version.seconds_spent, version.info["birads"]) == (15, "5")


def test_an_image_without_a_painted_pixel_is_normal_only_where_the_sender_says_so(
    app, intake, source, mask_of
):
    views = [source("right"), source("left")]

    def drawn():
        return seg("LABELMAP", [(views[0], None, blob()), (views[1], None, blob(0))])

    assert [v["image_id"] for v in intake.take(drawn()).labels] == ["right"]
    assert versions(app) == NOTHING | {"right": 1}
    result = intake.take(drawn(), complete=True)
    assert [v["image_id"] for v in result.labels] == ["right", "left"]
    assert app.catalog.labels.current("left").label == "normal"
    assert not mask_of("left").any()


def test_one_that_paints_nothing_says_that_its_images_are_normal(app, intake, source, mask_of):
    right, left = source("right"), source("left")
    assert intake.take(seg("BINARY", painted(blob(0), right, "BINARY"))).status == "saved"
    assert intake.take(seg("BINARY", [], sources=[left])).status == "saved"
    for image_id in ("right", "left"):
        assert app.catalog.labels.current(image_id).label == "normal"
        assert mask_of(image_id).shape == SHAPE
        assert not mask_of(image_id).any()
    # Without a word of ours it says nothing of lesions, so the reader is asked.
    unnamed = intake.take(as_ohif(source("scan"), blob(0), ["Segment 1"]))
    assert unnamed.status == "question"
    assert versions(app)["scan"] == 0
    for segments in ([], [segment(0, "background")]):
        nothing = seg("LABELMAP", [(source("plain"), None, blob(0))], segments=segments)
        assert intake.take(nothing).status == "refused"
    assert versions(app)["plain"] == 0


def test_a_default_name_is_asked_about_and_nothing_is_lost(app, intake, source, mask_of):
    mask = blob(1)
    result = intake.take(
        as_ohif(source("right"), mask, ["Segment 1"]),
        author="ann",
        client_id="ohif",
        seconds_spent=40,
        info={"birads": "4A"},
    )
    assert (result.status, result.labels) == ("question", ())
    assert versions(app) == NOTHING
    (question,) = app.catalog.questions.open()
    assert question.segments[0]["name"] == "Segment 1"
    assert question.segments[0]["image_ids"] == ["right"]
    answered = intake.answer(result.question_id, {"Segment 1": "malignant"}, author="bob", remember=False)
    assert (answered.status, [dict(v) for v in answered.labels]) == (
        "saved",
        [{"image_id": "right", "version": 1}],
    )
    np.testing.assert_array_equal(mask_of("right"), mask * 2)
    version = app.catalog.labels.current("right")
    assert (version.author, version.client_id, version.seconds_spent) == ("ann", "ohif", 40)
    assert (version.info["birads"], version.info["viewer"]) == ("4A", "OHIF Brush")
    assert intake.take(as_ohif(source("left"), mask, ["Segment 1"])).status == "question", "not remembered"


def test_what_is_to_be_remembered_is_not_asked_again(app, intake, source, mask_of):
    first = intake.take(as_ohif(source("right"), blob(1), ["Segment 1"]))
    intake.answer(first.question_id, {"segment 1": "benign"}, author=None, remember=True)
    assert intake.take(as_ohif(source("left"), blob(1), ["Segment 1"])).status == "saved"
    np.testing.assert_array_equal(mask_of("left"), blob(1))


def test_only_segments_that_are_painted_are_asked_about(app, intake, source):
    stored = as_ohif(source("right"), blob(1), ["malignant", "Segment 2"])
    assert intake.take(stored).status == "saved"
    mixed = as_ohif(source("left"), blob(1) | blob(2, at=(8, 9), size=(2, 2)), ["malignant", "muscle"])
    asked = intake.take(mixed)
    assert asked.status == "question"
    assert [s["name"] for s in app.catalog.questions.get(asked.question_id).segments] == ["muscle"]
    intake.answer(asked.question_id, {"muscle": "ignore"}, author=None, remember=False)
    assert app.catalog.labels.current("left").info["segments"] == {
        "malignant": "malignant",
        "muscle": "ignore",
    }


def test_where_all_that_is_painted_is_to_be_ignored_there_is_no_label(app, intake, source):
    asked = intake.take(as_ohif(source("right"), blob(1), ["Segment 1"]))
    answered = intake.answer(asked.question_id, {"Segment 1": "ignore"}, author=None, remember=True)
    assert (answered.status, answered.labels) == ("ignored", ())
    assert versions(app) == NOTHING
    refused = intake.take(as_ohif(source("left"), blob(1), ["Segment 1"]))
    assert (refused.status, "ignored" in refused.reason) == ("refused", True)
    assert versions(app) == NOTHING


def test_the_senders_own_mapping_is_enough_and_answers_an_open_question(app, intake, source):
    stored = as_ohif(source("right"), blob(1), ["Segment 1"])
    assert intake.take(stored).status == "question"
    assert intake.take(stored).status == "question"
    answered = intake.take(stored, segments={"Segment 1": "malignant"})
    assert (answered.status, len(answered.labels)) == ("saved", 1)
    assert app.catalog.questions.count() == 0
    other = as_ohif(source("left"), blob(1), ["Segment 1"])
    assert intake.take(other, segments={"Segment 1": "benign"}).status == "saved"


def test_it_is_taken_once_by_whoever_comes_first(app, source):
    stored = seg("BINARY", painted(blob(), source("right"), "BINARY"))
    barrier, results = threading.Barrier(4), []

    def run():
        own = SegIntake(app)
        barrier.wait()
        results.append(own.take(stored))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.status for r in results) == ["known", "known", "known", "saved"]
    assert all([dict(v) for v in r.labels] == [{"image_id": "right", "version": 1}] for r in results)
    assert versions(app) == NOTHING | {"right": 1}


def test_our_own_are_not_readings(app, intake, source):
    pytest.importorskip("highdicom")
    from breastlabel.findings.dicom_seg import segmentation_dataset

    ours = segmentation_dataset(blob(), source("right"), algorithm=None, series_description="reading")
    assert intake.take(ours).status == "known"
    app.archive.store(ours, origin="ours")
    assert versions(app) == NOTHING
    # Stored again by a viewer under a name of its own, it is a reading, whoever it says to be made by.
    ours.SOPInstanceUID = ours.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    assert intake.take(ours).status == "saved"


def test_what_is_refused_changes_nothing_and_is_logged_without_identifiers(app, intake, source, caplog):
    for name, stored in bad_ones(source).items():
        caplog.clear()
        result = intake.take(stored, client_id="ohif")
        assert (result.status, result.labels) == ("refused", ()), name
        assert result.reason
        assert "refused" in caplog.text, name
        for secret in (*SECRETS, "SOMEONE", str(stored.SOPInstanceUID)):
            assert secret not in caplog.text, name
            assert secret not in result.reason, name
    assert versions(app) == NOTHING
    assert app.catalog.questions.count() == 0
    assert app.catalog.counts().waiting == 4
    assert not (app.catalog.studies / ".breastlabel" / "segmentations").exists()


def stow(client, *datasets):
    """Store them as a viewer does; the answer and, of each that failed, its UID and the reason in words."""
    head = b"--x\r\nContent-Type: application/dicom\r\n\r\n"
    body = b"".join(head + part10(dataset) + b"\r\n" for dataset in datasets) + b"--x--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    answer = client.post("/dicom-web/studies", content=body, headers={"content-type": kind})
    failed = answer.json().get("00081198", {}).get("Value", [])
    return answer, {i["00081155"]["Value"][0]: i["00000902"]["Value"][0] for i in failed}


def test_what_is_refused_leaves_nothing_in_the_archive(app, client, source):
    """But for one whose image is not there: that may come later, and the segmentation waits for it."""
    bad = bad_ones(source)
    waiting = [bad.pop(name) for name in list(bad) if "unknown" in name]
    assert (len(bad), len(waiting)) == (7, 2)
    for name, stored in bad.items():
        answer, failed = stow(client, stored)
        assert (answer.status_code, list(failed)) == (409, [stored.SOPInstanceUID]), name
        assert "00081199" not in answer.json(), name
        for secret in (*SECRETS, "SOMEONE", str(stored.SOPInstanceUID)):
            assert secret not in failed[stored.SOPInstanceUID], name
    kept = app.catalog.studies / ".breastlabel" / "dicom"
    assert app.catalog.dicom.find(modality="SEG") == []
    assert [path for path in kept.rglob("*") if path.is_file()] == []
    good = seg("BINARY", painted(blob(), source("right"), "BINARY"))
    answer, failed = stow(client, bad["another size"], good, *waiting)
    assert (answer.status_code, list(failed)) == (202, [bad["another size"].SOPInstanceUID])
    assert len(answer.json()["00081199"]["Value"]) == 1 + len(waiting)
    assert versions(app) == NOTHING | {"right": 1}
    assert len(app.catalog.dicom.find(modality="SEG")) == 1 + len(waiting)


def test_what_is_asked_about_stays_in_the_archive(app, client, source):
    unnamed = as_ohif(source("scan"), blob(1), ["Segment 1"])
    answer, _ = stow(client, unnamed)
    assert answer.status_code == 200
    assert app.catalog.questions.count() == 1
    assert [i.sop_instance_uid for i in app.catalog.dicom.find(modality="SEG")] == [unnamed.SOPInstanceUID]


@pytest.mark.parametrize(
    ("name", "author"),
    [
        ("Smith^Ann", "Smith Ann"),
        ("Doe^Jane", None),
        ("SECRET-4711", None),
        ("Jane", None),
        ("user1", None),
        ("", None),
    ],
)
def test_the_creator_is_the_author_unless_the_name_is_the_patients(app, intake, source, name, author):
    stored = seg("BINARY", painted(blob(), source("right"), "BINARY"), ContentCreatorName=name)
    intake.take(stored)
    assert app.catalog.labels.current("right").author == author


def test_whom_the_request_names_comes_before_the_creator(app, intake, source):
    stored = seg("BINARY", painted(blob(), source("right"), "BINARY"), ContentCreatorName="Smith^Ann")
    intake.take(stored, author="bob")
    assert app.catalog.labels.current("right").author == "bob"


def test_one_that_comes_before_its_image_is_taken_when_the_image_comes(app, client, studies):
    late = image(SHAPE, StudyInstanceUID="1.2.276.0.4711.9", SeriesInstanceUID="1.2.276.0.4711.9.1")
    app.archive.store(seg("BINARY", painted(blob(), late, "BINARY")), origin="stow")
    app.archive.store(image(SHAPE, StudyInstanceUID="1.2.276.0.4711.9"), origin="stow")
    assert app.catalog.labels.current_many() == {}
    stored = app.archive.store(late, origin="stow")
    assert list(app.catalog.labels.current_many()) == [stored.instance.image_id]


def test_an_image_whose_file_is_gone_or_damaged_gets_no_label(app, intake, source, studies, caplog):
    stored = {name: seg("BINARY", painted(blob(), source(name), "BINARY")) for name in ("right", "left")}
    (studies / "right.dcm").unlink()
    (studies / "left.dcm").write_bytes(b"nothing")
    for segmentation in stored.values():
        assert intake.take(segmentation).status == "refused"
    assert versions(app) == NOTHING
    assert "left.dcm" not in caplog.text
    assert "right" not in caplog.text


def test_other_objects_are_passed_over(app, intake):
    intake.on_stored(image())
    assert versions(app) == NOTHING
