"""A folder in step with a real PACS: Orthanc."""

from __future__ import annotations

import errno
import logging
import re
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from tests.orthanc import Orthanc, running_orthanc

from breastlabel.errors import StudiesError
from breastlabel.findings.dicom_identity import our_uid
from breastlabel.web.pacs.errors import PacsAwayError, PacsRefusalError
from breastlabel.web.pacs.known import State

from .conftest import Exam, file_of


@pytest.fixture(scope="module")
def filled(orthanc: Orthanc, exam: Exam) -> Orthanc:
    for path in exam.images:
        orthanc.store(path.read_bytes())
    return orthanc


def test_images_of_a_pacs_become_images_of_the_catalog(filled, mirrored, exam) -> None:
    pacs, catalog = mirrored(filled.dicom_web)
    pacs.mirror.poll()
    records = catalog.images()
    assert len(records) == 8
    views = sorted((r.laterality.value, r.view_position.value) for r in records)
    assert views == sorted([("R", "CC"), ("R", "MLO"), ("L", "CC"), ("L", "MLO")] * 2)
    assert len({r.study_key for r in records}) == len({r.metadata["acquired"] for r in records}) == 2
    # Their names say nothing, and what lies there is what the PACS has.
    assert all(re.fullmatch(r"[0-9a-f]{32}\.dcm", r.file) for r in records)
    image = catalog.dicom.instance(str(exam.image().SOPInstanceUID))
    assert image is not None
    assert image.origin == "pacs"
    assert pacs.archive.dataset(image.sop_instance_uid).PixelData == exam.image().PixelData


def test_a_study_that_is_known_is_not_asked_for_again(filled, mirrored, monkeypatch) -> None:
    pacs, _ = mirrored(filled.dicom_web)
    pacs.mirror.poll()
    pacs.close()
    again, _ = mirrored(filled.dicom_web)
    monkeypatch.setattr(again.mirror._survey._client, "series", lambda study: pytest.fail("asked again"))
    again.mirror.poll()
    assert again.mirror.progress.studies == 2
    assert again.mirror.progress.taken.images == 0


def test_a_segmentation_of_another_viewer_is_noticed_and_ours_is_passed_over(filled, mirrored, exam) -> None:
    pacs, _ = mirrored(filled.dicom_web)
    seen: list[Dataset] = []
    pacs.archive.on_stored.append(seen.append)
    pacs.mirror.poll()
    assert {d.Modality for d in seen} == {"MG"}
    seen.clear()
    theirs, ours = exam.segmentation(), exam.segmentation()
    ours.SOPInstanceUID = ours.file_meta.MediaStorageSOPInstanceUID = our_uid("a test")
    for dataset in (theirs, ours):
        filled.store(file_of(dataset))
    pacs.mirror.wake()
    pacs.mirror.poll()
    assert [d.SOPInstanceUID for d in seen] == [theirs.SOPInstanceUID]
    assert seen[0].PixelData == theirs.PixelData
    pacs.mirror.wake()
    pacs.mirror.poll()
    assert len(seen) == 1


def test_a_result_that_could_not_be_handed_on_comes_again(filled, mirrored, exam, caplog) -> None:
    pacs, _ = mirrored(filled.dicom_web)
    pacs.mirror.poll()
    theirs = exam.segmentation()
    filled.store(file_of(theirs))
    calls: list[str] = []

    def fails_at_first(dataset: Dataset) -> None:
        calls.append(dataset.Modality)
        if len(calls) == 1:
            raise OSError("a database that is away")

    pacs.archive.on_stored.append(fails_at_first)
    pacs.mirror.wake()
    pacs.mirror.poll()
    assert pacs.mirror._known.state(theirs.SOPInstanceUID) is State.FAILED
    pacs.mirror._known._connection.execute("UPDATE objects SET again_at = 1 WHERE again_at IS NOT NULL")
    pacs.mirror.poll()
    assert calls == ["SEG", "SEG"]
    assert pacs.mirror._known.state(theirs.SOPInstanceUID) is State.RESULT
    assert "a database" not in caplog.text


def test_what_cannot_be_read_is_noted_and_never_asked_for_again(filled, mirrored, exam, monkeypatch) -> None:
    empty = exam.another(Rows=0)
    loop = exam.image()
    loop.NumberOfFrames = 2
    loop.PixelData = loop.PixelData * 2
    many = exam.another(NumberOfFrames=2, PixelData=loop.PixelData)
    other = exam.another(Modality="CT")
    ids = [filled.store(data) for data in (empty, many, other)]
    try:
        pacs, catalog = mirrored(filled.dicom_web)
        pacs.mirror.poll()
        assert len(catalog) == 8
        assert pacs.archive.intake.taken.left == 2
        assert set(pacs.mirror._known.reasons()) == {
            "an image is required; the object holds none",
            "a still is required; the object holds several frames",
        }
        monkeypatch.setattr(pacs.mirror._survey._client, "retrieve", lambda place: pytest.fail("asked again"))
        pacs.mirror.wake()
        pacs.mirror.poll()
    finally:
        for name in ids:
            filled.delete(f"/instances/{name}")


def test_what_is_deleted_in_the_pacs_leaves_the_catalog_and_comes_back(filled, mirrored, exam) -> None:
    prior = [path for path in exam.images if "prior" in path.stem]
    pacs, catalog = mirrored(filled.dicom_web)
    pacs.mirror.poll()
    (one,) = filled.session.post(
        f"{filled.address}/tools/lookup", data=str(exam.image().SOPInstanceUID), timeout=10
    ).json()
    filled.delete(f"/instances/{one['ID']}")
    study = filled.store(prior[0].read_bytes())
    filled.delete(f"/studies/{filled.get(f'/instances/{study}/study')['ID']}")
    for _ in range(2):
        pacs.mirror.wake()
        pacs.mirror.poll()
        pacs.mirror._known._connection.execute("UPDATE objects SET again_at = 1 WHERE again_at IS NOT NULL")
    pacs.mirror.poll()
    assert catalog.counts().missing == pacs.archive.intake.taken.gone == 5
    assert len(catalog.dicom.find(modality="MG")) == 3
    for path in exam.images:
        filled.store(path.read_bytes())
    pacs.mirror.wake()
    pacs.mirror.poll()
    assert catalog.counts().missing == 0
    assert len(catalog.dicom.find(modality="MG")) == len(catalog) == 8


def test_films_are_fetched_where_they_are_asked_for_and_of_a_breast(filled, mirrored, exam) -> None:
    film, chest = exam.another(Modality="CR"), exam.another(Modality="CR", BodyPartExamined="CHEST")
    ids = [filled.store(data) for data in (film, chest)]
    try:
        pacs, catalog = mirrored(filled.dicom_web, MODALITIES="MG,US")
        pacs.mirror.poll()
        assert len(catalog) == 8
        pacs.close()
        pacs, catalog = mirrored(filled.dicom_web, MODALITIES="mg, US, CR")
        pacs.mirror.poll()
        assert len(catalog) == 9
    finally:
        for name in ids:
            filled.delete(f"/instances/{name}")


def test_a_full_disk_stops_fetching_and_loses_nothing(filled, mirrored, monkeypatch, caplog) -> None:
    pacs, catalog = mirrored(filled.dicom_web)
    store, kept = pacs.archive.keep, 0

    def full_after_three(file: Path, **kwargs: object) -> object:
        nonlocal kept
        kept += 1
        if kept > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return store(file, **kwargs)

    monkeypatch.setattr(pacs.archive, "keep", full_after_three)
    for _ in range(2):
        assert not pacs.mirror._try_poll()
    assert pacs.mirror.progress.disk_full
    assert caplog.text.count("the disk is full") == 1
    assert len(catalog) == 3
    monkeypatch.setattr(pacs.archive, "keep", store)
    assert pacs.mirror._try_poll()
    assert not pacs.mirror.progress.disk_full
    assert len(catalog) == 8


def test_room_is_left_for_labels(filled, mirrored) -> None:
    pacs, catalog = mirrored(filled.dicom_web, KEEP_FREE_MB="1e9")
    with pytest.raises(OSError, match="the disk is full"):
        pacs.mirror.poll()
    assert len(catalog) == 0


def test_a_pacs_that_is_away_is_told_once_and_comes_back(tmp_path, mirrored, exam, caplog) -> None:
    with running_orthanc(tmp_path / "orthanc") as server:
        for path in exam.images[:4]:
            server.store(path.read_bytes())
        pacs, catalog = mirrored(server.dicom_web, TIMEOUT="5")
        assert pacs.mirror._try_poll()
        server.kill()
        caplog.set_level(logging.WARNING)
        with pytest.raises(PacsAwayError, match="a PACS that answers is required; it does not"):
            pacs.mirror.poll()
        for _ in range(2):
            assert not pacs.mirror._try_poll()
        assert caplog.text.count("Nothing is fetched from the PACS") == 1
        assert str(server.port) not in caplog.text
        assert len(catalog) == 4
        assert pacs.archive.dataset(catalog.dicom.find()[0].sop_instance_uid).PixelData
        with running_orthanc(tmp_path / "orthanc", port=server.port) as again:
            for path in exam.images[4:]:
                again.store(path.read_bytes())
            assert pacs.mirror._try_poll()
        assert "The PACS is read again" in caplog.text
        assert len(catalog) == 8


def test_a_login_is_asked_for_and_never_shown(tmp_path, mirrored, exam, caplog) -> None:
    with running_orthanc(tmp_path / "orthanc", users={"alice": "kept-secret"}) as server:
        server.store(exam.images[0].read_bytes())
        wrong, _ = mirrored(server.dicom_web, USERNAME="alice", PASSWORD="not-this-one")
        one_line = r"^credentials that the PACS accepts are required; .*401"
        with pytest.raises(PacsRefusalError, match=one_line) as refused:
            wrong.mirror.poll()
        assert not wrong.mirror._try_poll()
        assert len(caplog.records) == 1
        right, catalog = mirrored(server.dicom_web, USERNAME="alice", PASSWORD="kept-secret")
        right.mirror.poll()
        assert len(catalog) == 1
    shown = f"{caplog.text} {refused.value} {right.settings!r} {wrong.mirror.progress!r}"
    assert "not-this-one" not in shown
    assert "kept-secret" not in shown


def test_a_folder_mirrors_one_pacs(filled, mirrored) -> None:
    mirrored(filled.dicom_web)
    with pytest.raises(StudiesError, match="a folder of its own is required for each PACS"):
        mirrored("https://pacs.example.org/dicom-web")


def test_what_we_store_lies_in_the_pacs_and_here(filled, mirrored, exam) -> None:
    pacs, catalog = mirrored(filled.dicom_web)
    pacs.mirror.poll()
    seen: list[Dataset] = []
    pacs.archive.on_stored.append(seen.append)
    ours = exam.segmentation()
    ours.SOPInstanceUID = ours.file_meta.MediaStorageSOPInstanceUID = our_uid("another test")
    for _ in range(2):
        stored = pacs.archive.store(ours, origin="ours")
    assert not stored.is_new
    assert stored.instance.origin == "ours"
    uid = str(ours.SOPInstanceUID)
    assert filled.session.post(f"{filled.address}/tools/lookup", data=uid, timeout=10).json()
    assert pacs.archive.dataset(uid).SegmentSequence == ours.SegmentSequence
    assert [d.SOPInstanceUID for d in seen] == [uid, uid]
    seen.clear()
    pacs.mirror.wake()
    pacs.mirror.poll()
    assert uid not in [d.SOPInstanceUID for d in seen]
    assert catalog.dicom.find(origin="ours")


def test_a_result_of_ours_waits_for_a_pacs_that_is_away(tmp_path, mirrored, exam) -> None:
    with running_orthanc(tmp_path / "orthanc") as server:
        server.store(file_of(exam.image()))
        pacs, catalog = mirrored(server.dicom_web, TIMEOUT="5")
        pacs.mirror.poll()
        server.kill()
        ours, theirs = exam.segmentation(), exam.segmentation()
        ours.SOPInstanceUID = ours.file_meta.MediaStorageSOPInstanceUID = our_uid("a third test")
        uid = str(ours.SOPInstanceUID)
        assert pacs.archive.store(ours, origin="ours").is_new
        assert pacs.archive.dataset(uid).PixelData == ours.PixelData
        # A reader's work is not taken to be stored where it is not.
        with pytest.raises(PacsAwayError):
            pacs.archive.store(theirs, origin="stow")
        assert catalog.dicom.instance(str(theirs.SOPInstanceUID)) is None
        with running_orthanc(tmp_path / "orthanc", port=server.port) as again:
            pacs.mirror._known._connection.execute(
                "UPDATE objects SET again_at = 1 WHERE again_at IS NOT NULL"
            )
            pacs.mirror.poll()
            assert again.session.post(f"{again.address}/tools/lookup", data=uid, timeout=10).json()
        assert pacs.mirror._known.state(uid) is State.OURS
