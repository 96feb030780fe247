"""Every image of a catalog is one DICOM instance, whatever kind of file it is."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.imaging.mammograms import STUDY_UID, film, mammogram, write_mammogram

from breastlabel.catalog import Catalog
from breastlabel.catalog.dicom_indexer import DicomIndexer
from breastlabel.catalog.dicom_instance import derived_uid, instance_of
from breastlabel.catalog.dicom_search import search_instances, search_series, search_studies
from breastlabel.catalog.folder import sync_folder, take_in
from breastlabel.imaging import Geometry, Laterality, Modality, ViewPosition, write_image
from breastlabel.imaging.dicom_values import is_uid

SEG = "1.2.840.10008.5.1.4.1.1.66.4"


#: What differs between the two databases is run on each; `database` starts before the catalog is opened.
on_each = pytest.mark.usefixtures("database")


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10)).save(folder / "scan.png")
    write_mammogram(folder / "film.dcm", SOPInstanceUID="1.2.3", StudyDate="20240229", StudyTime="0930")
    return folder


@pytest.fixture
def catalog(studies):
    with Catalog.open(studies) as opened:
        yield opened


def write(path, uid, **tags):
    """A film with this UID."""
    dataset = mammogram(film(), **tags)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.save_as(path, write_like_original=False)


def segmentation(uid="1.2.9", *, study=STUDY_UID, **tags):
    dataset = mammogram(film())
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = SEG, uid, "SEG"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{uid}.1"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return instance_of(dataset, image_id=None, file=f".breastlabel/dicom/{uid}.dcm", origin="stow")


def studies_of(catalog, **wanted):
    found = search_studies(catalog.database, {k: [v] for k, v in wanted.items()}, limit=10)
    return [study.study_instance_uid for study in found]


def test_a_dicom_file_has_its_own_uids_and_facts(catalog):
    assert catalog.dicom.catch_up() == 2
    film_ = catalog.dicom.of_image("film")
    assert (film_.sop_instance_uid, film_.study_instance_uid) == ("1.2.3", STUDY_UID)
    assert (film_.modality, film_.file, film_.origin) == ("MG", "film.dcm", "file")
    assert (film_.value("Rows"), film_.value("Columns"), film_.value("StudyDate")) == (40, 32, "20240229")
    assert catalog.dicom.instance("1.2.3") == film_
    assert catalog.dicom.find(study=STUDY_UID, series=film_.series_instance_uid, modality="MG") == [film_]


def test_any_other_image_has_uids_that_stay(catalog, studies):
    scan = catalog.dicom.of_image("scan")
    assert (scan.modality, scan.file, scan.origin) == ("US", None, "converted")
    assert (scan.value("Rows"), scan.value("Columns")) == (6, 10)
    uids = (scan.sop_instance_uid, scan.series_instance_uid, scan.study_instance_uid)
    assert len(set(uids)) == 3
    assert all(map(is_uid, uids))
    catalog.dicom.remove([scan.sop_instance_uid])
    with Catalog.open(studies) as again:
        assert again.dicom.of_image("scan").sop_instance_uid == scan.sop_instance_uid


def test_another_site_gives_other_uids():
    assert derived_uid("a", "study", "x") == derived_uid("a", "study", "x")
    assert len({derived_uid(salt, kind, "x") for salt in "ab" for kind in ("study", "instance")}) == 4


def test_images_of_one_exam_are_of_one_study(catalog, studies, record):
    for name in ("rcc", "rmlo"):
        shutil.copy(studies / "scan.png", studies / f"{name}.png")
    catalog.add_images(record(name, study_key="exam-1") for name in ("rcc", "rmlo"))
    found = catalog.dicom.of_images(["rcc", "rmlo", "scan", "nobody"])
    assert found["rcc"].study_instance_uid == found["rmlo"].study_instance_uid
    assert found["rcc"].study_instance_uid != found["scan"].study_instance_uid
    assert found["rcc"].series_instance_uid != found["rmlo"].series_instance_uid
    assert "nobody" not in found


def test_what_is_asked_for_is_looked_at_before_anything_else_is(catalog):
    assert catalog.dicom.find() == []
    assert catalog.dicom.of_image("film").sop_instance_uid == "1.2.3"
    assert [found.image_id for found in catalog.dicom.find()] == ["film"]


@on_each
def test_a_file_that_goes_vanishes_from_every_answer_and_comes_back(catalog, studies):
    catalog.dicom.catch_up()
    (studies / "film.dcm").rename(studies.parent / "away.dcm")
    take_in(catalog, ["film.dcm"])
    assert catalog.dicom.instance("1.2.3") is None
    assert catalog.dicom.of_image("film") is None
    assert [found.image_id for found in catalog.dicom.find()] == ["scan"]
    assert studies_of(catalog, PatientID="SECRET-4711") == []
    assert search_series(catalog.database, {"Modality": ["MG"]}, limit=9) == []
    assert search_instances(catalog.database, {"Modality": ["MG"]}, limit=9) == []
    assert studies_of(catalog, ModalitiesInStudy="MG") == []
    (studies.parent / "away.dcm").rename(studies / "film.dcm")
    take_in(catalog, ["film.dcm"])
    assert catalog.dicom.instance("1.2.3").image_id == "film"
    assert studies_of(catalog, PatientID="SECRET-4711") == [STUDY_UID]


def test_a_file_that_is_excluded_for_another_reason_is_shown(catalog):
    catalog.dicom.catch_up()
    catalog.exclude("film", "duplicate")
    assert catalog.dicom.instance("1.2.3").image_id == "film"


def test_a_renamed_file_keeps_its_uids(catalog, studies):
    catalog.dicom.catch_up()
    (studies / "film.dcm").rename(studies / "other.dcm")
    take_in(catalog, ["film.dcm", "other.dcm"])
    assert catalog.dicom.instance("1.2.3").image_id == "other"
    assert catalog.dicom.of_image("film") is None


@on_each
def test_a_copied_file_is_an_instance_of_its_own(catalog, studies):
    catalog.dicom.catch_up()
    for name in ("copy", "twin"):
        shutil.copy(studies / "film.dcm", studies / f"{name}.dcm")
    take_in(catalog, ["copy.dcm", "twin.dcm"])
    found = catalog.dicom.of_images(["film", "copy", "twin"])
    assert found["film"].sop_instance_uid == "1.2.3"
    assert len({instance.sop_instance_uid for instance in found.values()}) == 3
    assert {instance.study_instance_uid for instance in found.values()} == {STUDY_UID}
    assert found["copy"].value("SOPInstanceUID") == found["copy"].sop_instance_uid
    catalog.dicom.look_at(["copy", "film", "twin"])
    assert catalog.dicom.of_images(["film", "copy", "twin"]).keys() == found.keys()
    assert catalog.dicom.instance("1.2.3").image_id == "film"


def test_copies_that_come_at_once_are_told_apart(catalog, studies):
    for name in ("a", "b"):
        write(studies / f"{name}.dcm", "1.2.77")
    sync_folder(studies, catalog=catalog, always=True)
    catalog.dicom.catch_up()
    found = catalog.dicom.of_images(["a", "b"])
    assert len({instance.sop_instance_uid for instance in found.values()}) == 2


@on_each
def test_a_replaced_file_is_looked_at_again(catalog, studies):
    catalog.dicom.catch_up()
    write(studies / "film.dcm", "1.2.4", StudyDate="20250101")
    take_in(catalog, ["film.dcm"])
    assert catalog.dicom.instance("1.2.3") is None
    assert catalog.dicom.of_image("film").sop_instance_uid == "1.2.4"
    assert studies_of(catalog, StudyDate="20250101") == [STUDY_UID]
    write(studies / "film.dcm", "1.2.5")
    assert catalog.dicom.catch_up() == 0
    assert catalog.dicom.catch_up(changed=True) == 1
    assert catalog.dicom.of_image("film").sop_instance_uid == "1.2.5"


def test_what_the_catalog_learns_of_an_image_changes_its_conversion(catalog):
    before = catalog.dicom.of_image("scan")
    catalog.update_image(
        "scan",
        modality=Modality.MG,
        laterality=Laterality.L,
        view_position=ViewPosition.CC,
        spacing_rows=0.1,
        spacing_cols=0.1,
        study_key="exam",
        metadata={"acquired": "2023-04-05"},
    )
    assert catalog.dicom.catch_up(changed=True) == 2
    after = catalog.dicom.of_image("scan")
    assert after.sop_instance_uid == before.sop_instance_uid
    assert (after.modality, after.value("StudyDate")) == ("MG", "20230405")
    assert after.sop_class_uid == "1.2.840.10008.5.1.4.1.1.1.2"
    assert studies_of(catalog, StudyDate="20230405") == [after.study_instance_uid]
    # Its first study has nothing left.
    assert len(studies_of(catalog)) == 2


def test_a_volume_is_indexed_too(catalog, studies):
    write_image(studies / "v.nrrd", np.arange(20.0).reshape(4, 5), geometry=Geometry((0.2, 0.2, 1)))
    take_in(catalog, ["v.nrrd"])
    assert (catalog.dicom.of_image("v").value("Rows"), catalog.dicom.of_image("v").value("Columns")) == (4, 5)


def test_what_cannot_be_read_is_passed_over(catalog, studies):
    (studies / "damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    (studies / "damaged.png").write_bytes(b"never a picture")
    (studies / "b.png").write_bytes(b"never a picture")
    sync_folder(studies, catalog=catalog, always=True)
    assert catalog.dicom.catch_up() == 2
    assert catalog.dicom.of_image("damaged") is None
    assert catalog.dicom.of_image("b") is None
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(studies / "b.png")
    assert catalog.dicom.of_image("b").value("Rows") == 9


def test_missing_and_malformed_uids_are_made_up(catalog, studies):
    dataset = mammogram(film())
    del dataset.SeriesInstanceUID
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = "../../..", ""
    dataset.save_as(studies / "odd.dcm", write_like_original=False)
    take_in(catalog, ["odd.dcm"])
    odd = catalog.dicom.of_image("odd")
    assert all(map(is_uid, (odd.sop_instance_uid, odd.series_instance_uid, odd.study_instance_uid)))
    assert odd.value("StudyInstanceUID") == odd.study_instance_uid


@on_each
def test_adding_again_changes_nothing(catalog):
    seg = segmentation()
    assert catalog.dicom.add([seg]) == 1
    assert catalog.dicom.add([seg, seg]) == 0
    later = replace(segmentation(), origin="ours")
    assert catalog.dicom.add([later]) == 0
    (kept,) = catalog.dicom.find(modality="SEG")
    assert (kept.origin, kept.received_at) == ("ours", seg.received_at)


def test_an_image_stays_one_whoever_sends_its_uid(catalog):
    catalog.dicom.catch_up()
    catalog.dicom.add([segmentation("1.2.3")])
    assert catalog.dicom.instance("1.2.3").image_id == "film"


@on_each
def test_images_say_what_counts_of_their_study_and_others_only_add(catalog):
    catalog.dicom.add([segmentation(PatientName="", StudyDate="19000101", AccessionNumber="A1")])
    assert studies_of(catalog, StudyDate="19000101") == [STUDY_UID]
    catalog.dicom.catch_up()
    catalog.dicom.add([segmentation("1.2.10", PatientName="Nobody", StudyDate="19000101")])
    (found,) = search_studies(catalog.database, {"AccessionNumber": ["A1"]}, limit=9)
    assert found.attributes["00080020"]["Value"] == ["20240229"]
    assert found.attributes["00100010"]["Value"] == [{"Alphabetic": "DOE^JANE"}]
    assert (found.modalities, found.series, found.instances) == (("MG", "SEG"), 3, 3)


@on_each
def test_newest_studies_come_first_page_by_page(catalog):
    days = ["20200101", "", "20240101", "20210101"]
    for number, day in enumerate(days):
        catalog.dicom.add([segmentation(f"1.3.{number}", study=f"1.4.{number}", StudyDate=day)])
    assert studies_of(catalog) == ["1.4.2", "1.4.3", "1.4.0", "1.4.1"]
    pages = [search_studies(catalog.database, {}, limit=3, offset=offset) for offset in (0, 3)]
    assert [s.study_instance_uid for page in pages for s in page] == studies_of(catalog)


@on_each
def test_many_writers_at_once_lose_nothing(studies, catalog):
    """Four, each with a connection of its own, of which each adds all and two look at the folder."""
    found = [segmentation(f"1.5.{n}", study=f"1.6.{n % 5}") for n in range(40)]

    def write_all(number):
        with Catalog.open(studies) as own:
            own.dicom.catch_up()
            return own.dicom.add(found[number * 10 :] + found[: number * 10])

    with ThreadPoolExecutor(4) as pool:
        new = list(pool.map(write_all, range(4)))
    assert sum(new) == 40
    assert len(catalog.dicom.find(modality="SEG")) == 40
    assert len(catalog.dicom.find()) == 42
    (five, *_) = search_studies(catalog.database, {"StudyInstanceUID": ["1.6.0"]}, limit=1)
    assert five.instances == 8


def test_the_indexer_catches_up_and_follows(catalog, studies, record):
    indexer = DicomIndexer(catalog, pause=0.01)
    assert catalog.dicom.find() == []
    indexer.start()
    try:
        wait(lambda: indexer.is_done)
        assert len(catalog.dicom.find()) == 2
        # An import into a folder that nobody watches.
        (studies / "sub").mkdir()
        shutil.copy(studies / "scan.png", studies / "sub" / "x.png")
        catalog.add_images([record("x", file="sub/x.png")])
        wait(lambda: len(catalog.dicom.find()) == 3)
    finally:
        indexer.stop()


def test_stopping_keeps_what_was_found(catalog, studies):
    calls = []
    assert catalog.dicom.catch_up(stopped=lambda: len(calls) > 1 or bool(calls.append(1))) == 1
    assert len(catalog.dicom.find()) == 1


@on_each
def test_a_header_with_nul_and_foreign_letters_can_be_stored(catalog, studies):
    dataset = mammogram(film(), SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Åse")
    dataset.SOPInstanceUID = "1.2.8"
    dataset.StudyDescription, dataset.StudyInstanceUID = "Screening\0", "1.2.8.1"
    dataset.save_as(studies / "odd.dcm", write_like_original=False)
    take_in(catalog, ["odd.dcm"])
    assert catalog.dicom.of_image("odd").value("StudyDescription") == "Screening"
    assert studies_of(catalog, PatientName="MÜLLER*") == ["1.2.8.1"]
    assert studies_of(catalog, StudyDescription="screening") == ["1.2.8.1"]


def wait(what):
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
