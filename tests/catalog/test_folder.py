import os
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from sqlalchemy import event

from breastlabel.catalog import (
    LABELS_FOLDER,
    Catalog,
    ImageRecord,
    folder,
    hashed_split,
    label_path,
    reconcile,
    sync_folder,
)
from breastlabel.catalog.folder import take_in
from breastlabel.errors import NotFoundError
from breastlabel.imaging import Laterality, Modality, ViewPosition
from breastlabel.imaging.dicom import opaque_key


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def draw(path):
    """A label file; an empty one would count as none."""
    touch(path).write_bytes(f"a label in {path.name}".encode())
    return path


def ids(studies):
    with Catalog.open(studies) as catalog:
        return [r.image_id for r in catalog.images()]


def test_a_plain_folder_becomes_a_catalog(tmp_path):
    for name in ("b.png", "a.nii.gz", "C.PNG", "datastore_v2.json", "notes.txt", ".hidden.png"):
        touch(tmp_path / name)
    draw(tmp_path / LABELS_FOLDER / "b.nrrd")
    with Catalog.open(tmp_path) as catalog:
        found = {r.image_id: r for r in catalog.images()}
    assert set(found) == {"C", "a", "b"}
    assert found["a"].file == "a.nii.gz"
    assert [found[i].reviewed for i in "abC"] == [False, True, False]
    assert len({r.patient_key for r in found.values()}) == 3
    assert all(r.split == hashed_split(r.group) for r in found.values())
    assert (tmp_path / "datastore_v2.json").read_bytes() == b""


def test_opening_again_finds_new_images_and_labels(tmp_path):
    touch(tmp_path / "a.png")
    assert ids(tmp_path) == ["a"]
    touch(tmp_path / "b.png")
    draw(tmp_path / LABELS_FOLDER / "a.png")
    with Catalog.open(tmp_path) as catalog:
        assert [(r.image_id, r.reviewed) for r in catalog.images()] == [("a", True), ("b", False)]


def test_an_unchanged_folder_is_not_listed_again(tmp_path, monkeypatch):
    touch(tmp_path / "a.png")
    Catalog.open(tmp_path).close()
    os.utime(tmp_path, (1_000_000_000, 1_000_000_000))
    Catalog.open(tmp_path).close()
    monkeypatch.setattr(folder, "_image_files", lambda _: pytest.fail("the folder was listed"))
    assert ids(tmp_path) == ["a"]


def test_a_change_right_after_a_listing_is_not_missed(tmp_path):
    os.utime(touch(tmp_path / "a.png"))
    assert ids(tmp_path) == ["a"]
    stamp = tmp_path.stat().st_mtime_ns
    touch(tmp_path / "b.png")
    os.utime(tmp_path, ns=(stamp, stamp))
    assert ids(tmp_path) == ["a", "b"]


def statements(catalog, act):
    """How often the database is asked."""
    asked = []

    def count(*_):
        asked.append(1)

    event.listen(catalog.database.engine, "before_cursor_execute", count)
    act()
    event.remove(catalog.database.engine, "before_cursor_execute", count)
    return len(asked)


def test_a_listing_asks_no_more_of_many_images_than_of_few(tmp_path, database):
    asked = []
    with Catalog.open(tmp_path) as catalog:
        for n in (10, 400):
            for i in range(n):
                touch(tmp_path / f"{n}-{i}.png")
            asked.append(statements(catalog, lambda: sync_folder(tmp_path, catalog=catalog)))
        assert len(catalog) == 410
        for n in (10, 400):
            draw(tmp_path / LABELS_FOLDER / f"{n}-0.nrrd")
            asked.append(statements(catalog, lambda: sync_folder(tmp_path, catalog=catalog)))
        asked.append(statements(catalog, lambda: sync_folder(tmp_path, catalog=catalog, always=True)))
    few, many, one_label, another_label, nothing = asked
    # A few more or less, as the folder was settled or in flux.
    assert many < few + 10
    assert another_label < one_label + 10
    assert nothing < 30


def test_a_few_files_are_taken_in_by_their_names(tmp_path):
    dicom(tmp_path / "a.dcm", patient="4711")
    with Catalog.open(tmp_path) as catalog:
        dicom(tmp_path / "b.dcm", patient="4711")
        dicom(tmp_path / "c.dcm", patient="4711")
        draw(tmp_path / LABELS_FOLDER / "b.nrrd")
        names = ["b.dcm", "gone.png", ".hidden.png", "notes.txt", "sub/x.png", "labels/a.nrrd"]
        assert take_in(catalog, names) == 1
        assert [r.image_id for r in catalog.images()] == ["a", "b"]
        assert len({(r.patient_key, r.group, r.split) for r in catalog.images()}) == 1
        assert catalog.labels.ids() == ["b"]
        (tmp_path / "a.dcm").unlink()
        assert take_in(catalog, ["a.dcm"]) == 0
        assert catalog.image("a").excluded == "file-missing"


def test_images_in_subfolders_that_vanish_are_noticed(tmp_path):
    for name in "ab":
        touch(tmp_path / "sub" / f"{name}.png")
    with Catalog.open(tmp_path) as catalog:
        record = {"dataset": "busi", "modality": Modality.US, "patient_key": "p", "group": "g"}
        catalog.add_images(ImageRecord(image_id=i, file=f"sub/{i}.png", **record) for i in "ab")
        (tmp_path / "sub" / "a.png").unlink()
        sync_folder(tmp_path, catalog=catalog, always=True)
        assert [r.excluded for r in catalog.images()] == ["file-missing", None]


def test_an_image_that_vanished_is_kept_out_until_it_is_back(tmp_path):
    image = touch(tmp_path / "a.png")
    with Catalog.open(tmp_path) as catalog:
        split = catalog.image("a").split
    image.unlink()
    with Catalog.open(tmp_path) as catalog:
        assert catalog.image("a").excluded == "file-missing"
    touch(image)
    with Catalog.open(tmp_path) as catalog:
        assert (catalog.image("a").excluded, catalog.image("a").split) == (None, split)


def test_of_two_files_with_one_stem_the_first_counts(tmp_path):
    touch(tmp_path / "a.png")
    touch(tmp_path / "a.jpg")
    with Catalog.open(tmp_path) as catalog:
        assert [r.file for r in catalog.images()] == ["a.jpg"]


def test_the_newest_label_is_the_final_one(tmp_path):
    assert label_path(tmp_path, "a") is None
    old = draw(tmp_path / LABELS_FOLDER / "a.nrrd")
    new = draw(tmp_path / LABELS_FOLDER / "a.nii.gz")
    os.utime(old, (1, 1))
    assert label_path(tmp_path, "a") == new
    os.utime(new, (1, 1))
    assert label_path(tmp_path, "a") == old


@pytest.mark.parametrize("image_id", ["../../etc/passwd", "a/b", "", ".catalog", "a\0"])
def test_a_label_outside_the_folder_cannot_be_asked_for(tmp_path, image_id):
    with pytest.raises(NotFoundError, match="plain name"):
        label_path(tmp_path, image_id)


@given(st.text())
def test_a_hashed_split_is_one_of_three_and_stays(key):
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    assert hashed_split(key) in ("train", "val", "test")
    assert hashed_split(key) == hashed_split(key)


def test_hashed_splits_come_near_70_15_15():
    found = [hashed_split(f"patient-{n}") for n in range(5000)]
    shares = [found.count(split) / 5000 for split in ("train", "val", "test")]
    assert shares == pytest.approx([0.70, 0.15, 0.15], abs=0.03)


def test_a_name_that_can_be_no_id_is_passed_over(tmp_path):
    touch(tmp_path / "a.png")
    # Latin-1, as an old machine wrote it; and separators of another system.
    (tmp_path / os.fsdecode(b"M\xfcller.png")).write_bytes(b"")
    touch(tmp_path / "b\\c.png")
    touch(tmp_path / "d\ne.png")
    assert ids(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["../a", "a\\b", "a\0b", ".a", "", "a\nb"])
def test_a_label_is_asked_for_by_a_plain_name(tmp_path, name):
    with pytest.raises(NotFoundError, match="plain name"):
        label_path(tmp_path, name)


def dicom(path, *, patient, modality="US", issuer=None, **header):
    """A file with a header only."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2", generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.PatientID, dataset.Modality, dataset.StudyInstanceUID = patient, modality, "1.2.3"
    if issuer:
        dataset.IssuerOfPatientID = issuer
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, write_like_original=False)


def test_dicom_files_of_one_patient_are_never_parted(tmp_path):
    for n in range(12):
        dicom(tmp_path / f"a{n}.dcm", patient="4711")
    dicom(tmp_path / "b.dcm", patient="4712")
    dicom(tmp_path / "c.dcm", patient="4711", issuer="another hospital")
    touch(tmp_path / "broken.dcm")
    with Catalog.open(tmp_path) as catalog:
        first = catalog.image("a0")
    dicom(tmp_path / "later.DCM", patient="4711")
    with Catalog.open(tmp_path) as catalog:
        found = {r.image_id: r for r in catalog.images()}
    mine = [r for i, r in found.items() if i.startswith("a") or i == "later"]
    assert len(mine) == 13
    assert {(r.patient_key, r.group, r.split) for r in mine} == {
        (first.patient_key, first.patient_key, hashed_split(first.patient_key))
    }
    assert len({r.patient_key for r in found.values()}) == 4
    assert all("4711" not in r.patient_key for r in mine)


def test_a_dicom_file_joins_the_split_that_its_patient_has(tmp_path):
    dicom(tmp_path / "a.dcm", patient="4711")
    with Catalog.open(tmp_path) as catalog:
        split = "val" if catalog.image("a").split == "test" else "test"
        catalog.update_image("a", split=split, group="elsewhere")
    dicom(tmp_path / "b.dcm", patient="4711")
    with Catalog.open(tmp_path) as catalog:
        assert (catalog.image("b").split, catalog.image("b").group) == (split, "elsewhere")
        catalog.update_image("b", split="train")
    dicom(tmp_path / "c.dcm", patient="4711")
    with Catalog.open(tmp_path) as catalog:
        assert (catalog.image("c").split, catalog.image("c").excluded) == (None, "patient-across-splits")


def test_a_dicom_header_says_whose_breast_it_is_and_when(tmp_path):
    dicom(
        tmp_path / "a.dcm",
        patient="4711",
        modality="MG",
        ImageLaterality="R",
        ViewPosition="MLO",
        AcquisitionDate="20260302",
        PatientAge="061Y",
        BreastImplantPresent="NO",
        Manufacturer="Maker",
        ManufacturerModelName="One",
        PaddleDescription="SPOT",
    )
    with Catalog.open(tmp_path) as catalog:
        found = catalog.image("a")
        [exam] = catalog.exams(found.patient_key)
    assert (found.laterality, found.view_position) == (Laterality.R, ViewPosition.MLO)
    assert found.study_key == exam.exam_key
    assert exam.acquisition_date == date(2026, 3, 2)
    expected = {
        "acquired": "2026-03-02",
        "age": 61.0,
        "implant": False,
        "manufacturer": "Maker",
        "machine": "One",
        "not_analysable": "spot compression view",
    }
    assert {k: v for k, v in found.metadata.items() if k in expected} == expected


def test_a_file_name_that_says_side_and_view_is_a_mammograms(tmp_path):
    touch(tmp_path / "7_R_MLO.png")
    touch(tmp_path / "8.png")
    with Catalog.open(tmp_path) as catalog:
        [named, other] = catalog.images()
    assert (named.modality, named.laterality, named.view_position) == (
        Modality.MG,
        Laterality.R,
        ViewPosition.MLO,
    )
    assert (other.modality, other.laterality) == (Modality.US, None)


def test_a_film_is_taken_for_a_mammogram(tmp_path):
    dicom(tmp_path / "a.dcm", patient="4711", modality="RG")
    with Catalog.open(tmp_path) as catalog:
        assert catalog.image("a").modality is Modality.MG


def test_a_dicom_header_says_the_modality(tmp_path):
    dicom(tmp_path / "a.dcm", patient="4711", modality="MG")
    dicom(tmp_path / "b.dcm", patient="4711")
    with Catalog.open(tmp_path) as catalog:
        assert [r.modality for r in catalog.images()] == [Modality.MG, Modality.US]


def test_a_record_number_cannot_be_found_by_trying(tmp_path):
    for name in ("one", "two"):
        dicom(tmp_path / name / "a.dcm", patient="4711")
    keys = []
    for name in ("one", "two"):
        with Catalog.open(tmp_path / name) as catalog:
            keys.append(catalog.image("a").patient_key)
    assert keys[0] != keys[1]
    assert not {opaque_key("4711"), opaque_key("4711", salt="")} & set(keys)


def test_an_image_whose_label_is_removed_is_no_longer_reviewed(tmp_path):
    for name in "abc":
        touch(tmp_path / f"{name}.png")
        draw(tmp_path / LABELS_FOLDER / f"{name}.nrrd")
    with Catalog.open(tmp_path) as catalog:
        catalog.update_image("a", label="benign")
        catalog.update_image("b", label="normal")
    for name in "ab":
        (tmp_path / LABELS_FOLDER / f"{name}.nrrd").unlink()
    with Catalog.open(tmp_path) as catalog:
        assert [r.reviewed for r in catalog.images()] == [False, True, True]


def test_labels_that_cannot_be_listed_change_nothing(tmp_path, monkeypatch):
    touch(tmp_path / "a.png")
    draw(tmp_path / LABELS_FOLDER / "a.nrrd")
    Catalog.open(tmp_path).close()

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reconcile, "label_entries", denied)
    with Catalog.open(tmp_path) as catalog:
        assert catalog.image("a").reviewed
