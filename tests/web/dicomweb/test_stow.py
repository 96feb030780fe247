"""Instances that are sent: kept whole, once, under no name of the sender's, or refused with a reason."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from tests.imaging.mammograms import LOSSLESS, STUDY_UID, film, mammogram, write_mammogram

from breastlabel.imaging.dicom_writing import dicom_bytes
from breastlabel.web.dicomweb import storing
from breastlabel.web.dicomweb.received import NOT_UNDERSTOOD, RefusedError

from .conftest import Site, parts, path_of

REFERENCED, FAILED, OTHERS = "00081199", "00081198", "0008119A"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"


def sent(uid: str = "1.2.3", **tags: Any) -> bytes:
    """A film as a file."""
    dataset = mammogram(film(), **tags)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    return dicom_bytes(dataset)


def failures(answer: Any) -> list[tuple[int, str]]:
    """(code, reason) of what was refused."""
    found = answer.json()
    items = [i for tag in (FAILED, OTHERS) for i in found.get(tag, {}).get("Value", [])]
    return [(item["00081197"]["Value"][0], item["00000902"]["Value"][0]) for item in items]


def content(folder: Path) -> set[Path]:
    """Every file below a folder but for the catalog and what is being received."""
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and "catalog.sqlite3" not in path.name and path.name != "studies-id"
    }


def test_an_image_becomes_one_of_the_folder(site: Site) -> None:
    answer = site.stow([sent()])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    (item,) = answer.json()[REFERENCED]["Value"]
    assert item["00081155"]["Value"] == ["1.2.3"]
    (file,) = content(site.folder)
    assert (site.folder / file).read_bytes() == sent()
    assert "1.2.3" not in file.name
    assert file.suffix == ".dcm"
    record = site.catalog.image(file.stem)
    assert record.modality == "MG"
    instance = site.catalog.dicom.instance("1.2.3")
    assert instance is not None
    assert (instance.image_id, instance.file, instance.origin) == (file.stem, file.name, "stow")
    (part,) = parts(site.client.get(item["00081190"]["Value"][0]))
    assert part.content
    (entry,) = [e for e in site.catalog.audit.entries() if e.action == "dicom.store"]
    assert entry.details == {"new": 1, "known": 0}


@pytest.mark.parametrize(
    "tags",
    [
        {"SOPClassUID": SEG, "Modality": "SEG"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1", "Modality": "US", "NumberOfFrames": 2},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "OT"},
    ],
    ids=["segmentation", "loop", "capture"],
)
def test_what_is_no_still_of_a_breast_is_kept_beside_the_images(site: Site, tags: dict[str, Any]) -> None:
    dataset = mammogram(film(), **tags)
    if tags.get("NumberOfFrames"):
        dataset.PixelData = dataset.PixelData * 2
    assert site.stow([dicom_bytes(dataset)]).status_code == 200
    (file,) = content(site.folder)
    assert file.parts[:2] == (".breastlabel", "dicom")
    assert len(site.catalog) == 0
    (instance,) = site.catalog.dicom.find()
    assert (instance.image_id, instance.file) == (None, file.as_posix())
    assert site.get(path_of(instance), "application/dicom").content == dicom_bytes(dataset)


def test_a_film_of_a_breast_is_an_image(site: Site) -> None:
    assert site.stow([sent(Modality="CR", BodyPartExamined="BREAST")]).status_code == 200
    assert len(site.catalog) == 1


def test_the_same_instance_again_is_a_success_that_changes_nothing(site: Site) -> None:
    seen: list[str] = []
    site.archive.on_stored.append(lambda dataset: seen.append(dataset.SOPInstanceUID))
    files = [sent("1.2.3"), sent("1.2.4", SOPClassUID=SEG, Modality="SEG")]
    assert site.stow(files).status_code == 200
    before = {path: (site.folder / path).stat().st_mtime_ns for path in content(site.folder)}
    again = site.stow(files)
    assert again.status_code == 200
    assert len(again.json()[REFERENCED]["Value"]) == 2
    assert {path: (site.folder / path).stat().st_mtime_ns for path in content(site.folder)} == before
    # After a kill nobody knows whether the hooks ran.
    assert seen == ["1.2.3", "1.2.4"] * 2


def test_the_same_content_in_another_wrapping_is_the_same(site: Site) -> None:
    site.stow([sent()])
    dataset = pydicom.dcmread(next(site.folder.glob("*.dcm")))
    dataset.file_meta.ImplementationVersionName = "another"
    assert site.stow([dicom_bytes(dataset)]).status_code == 200
    assert len(site.catalog) == 1


@pytest.mark.parametrize("tags", [{}, {"SOPClassUID": SEG, "Modality": "SEG"}], ids=["image", "segmentation"])
def test_another_content_under_a_known_uid_is_refused(site: Site, tags: dict[str, Any]) -> None:
    site.stow([sent(**tags)])
    before = {path: (site.folder / path).read_bytes() for path in content(site.folder)}
    answer = site.stow([sent(**tags, PatientName="Other")])
    assert answer.status_code == 409
    ((code, reason),) = failures(answer)
    assert code == 0x0111
    assert "UID of its own" in reason
    assert {path: (site.folder / path).read_bytes() for path in content(site.folder)} == before


def test_an_instance_that_the_folder_has_is_known(site: Site) -> None:
    file = write_mammogram(site.folder / "mine.dcm")
    site.instance("mine")
    assert site.stow([file.read_bytes()]).status_code == 200
    assert content(site.folder) == {Path("mine.dcm")}


def test_a_conversion_that_comes_back_is_known(site: Site) -> None:
    from PIL import Image

    Image.fromarray(np.arange(90, dtype=np.uint8).reshape(9, 10)).save(site.folder / "scan.png")
    file = site.get(site.path("scan"), "application/dicom").content
    assert site.stow([file]).status_code == 200
    assert len(site.catalog) == 1


@pytest.mark.parametrize("uid", ["../../..", "../../../etc/x", "", "1.2.x", "1" * 65, "/abs", "1..2", "."])
@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_uid_that_is_none_writes_nothing(site: Site, keyword: str, uid: str) -> None:
    dataset = mammogram(film())
    setattr(dataset, keyword, uid)
    # The part that pydicom itself would check stays valid.
    answer = site.stow([dicom_bytes(dataset)])
    assert answer.status_code == 409
    ((code, reason),) = failures(answer)
    assert code == 0xC000
    assert "digits and dots" in reason
    assert content(site.folder) == set()
    assert not list(site.folder.parent.glob("*.dcm"))
    assert len(site.catalog) == 0


def test_each_of_a_batch_is_judged_alone(site: Site) -> None:
    without_class = mammogram(film())
    del without_class.SOPClassUID
    encrypted = Dataset()
    encrypted.file_meta = mammogram(film()).file_meta
    encrypted.is_little_endian, encrypted.is_implicit_VR = True, False
    encrypted.SOPClassUID, encrypted.SOPInstanceUID = SEG, "1.2.9"
    encrypted.EncryptedAttributesSequence = []
    private = mammogram(film())
    private.file_meta.TransferSyntaxUID = "1.2.3.4.5"
    answer = site.stow(
        [
            sent("1.2.3"),
            b"no DICOM at all",
            sent("1.2.4")[:-50],
            dicom_bytes(without_class),
            dicom_bytes(encrypted),
            dicom_bytes(private),
            sent("1.2.5"),
        ]
    )
    assert answer.status_code == 202
    stored = [item["00081155"]["Value"][0] for item in answer.json()[REFERENCED]["Value"]]
    assert stored == ["1.2.3", "1.2.5"]
    assert sorted(code for code, _ in failures(answer)) == [0xA900, 0xC000, 0xC000, 0xC000, 0xC122]
    assert any("encrypted" in reason for _, reason in failures(answer))
    assert len(site.catalog) == 2
    assert "SECRET" not in answer.text
    assert "DOE" not in answer.text


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_any_syntax_is_kept_as_it_is_and_no_part_of_it(site: Site, syntax: str) -> None:
    whole = dicom_bytes(mammogram(film(), syntax=syntax))
    assert site.stow([whole[: len(whole) * 3 // 4]]).status_code == 409
    assert site.stow([whole]).status_code == 200
    (file,) = content(site.folder)
    assert (site.folder / file).read_bytes() == whole


def test_fewer_pixels_than_the_header_says_are_refused(site: Site) -> None:
    """A segmentation bomb among them: a huge number of frames in a small file."""
    bomb = mammogram(film(), SOPClassUID=SEG, Modality="SEG", NumberOfFrames=2_000_000_000)
    assert site.stow([dicom_bytes(bomb)]).status_code == 409
    bare = mammogram(film())
    del bare.PixelData
    assert site.stow([dicom_bytes(bare)]).status_code == 409
    assert content(site.folder) == set()


def test_only_the_study_of_the_url_is_taken(site: Site) -> None:
    answer = site.stow([sent("1.2.3"), sent("1.2.4", StudyInstanceUID="1.9")], path=f"/studies/{STUDY_UID}")
    assert answer.status_code == 202
    ((code, _),) = failures(answer)
    assert code == 0xA900
    assert [instance.sop_instance_uid for instance in site.catalog.dicom.find()] == ["1.2.3"]
    assert site.stow([sent()], path="/studies/x.y").status_code == 400


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/dicom", 415),
        ("application/dicom+json", 415),
        ('multipart/related; type="application/dicom+json"; boundary=x', 415),
        ("multipart/form-data; boundary=x", 415),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom"; boundary=x', 400),
        ("", 415),
    ],
)
def test_other_requests_are_refused_with_the_reason(site: Site, kind: str, status: int) -> None:
    answer = site.client.post("/dicom-web/studies", content=b"--x\r\n\r\nabc", headers={"content-type": kind})
    assert answer.status_code == status
    assert "required" in answer.json()["detail"]
    assert content(site.folder) == set()


def test_a_body_that_is_cut_off_stores_nothing(site: Site) -> None:
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + sent() + b"\r\n--x\r\n\r\nhalf of"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    answer = site.client.post("/dicom-web/studies", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert content(site.folder) == set()


def test_a_part_of_another_type_is_refused(site: Site) -> None:
    body = b"--x\r\nContent-Type: image/png\r\n\r\nabc\r\n--x--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    answer = site.client.post("/dicom-web/studies", content=body, headers={"content-type": kind})
    assert answer.status_code == 409


def test_a_hook_that_fails_costs_nobody_and_says_nothing_of_the_patient(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def fails(dataset: Dataset) -> None:
        raise ValueError(str(dataset.PatientID))

    site.archive.on_stored += [fails, lambda dataset: seen.append(dataset.Modality)]
    with caplog.at_level(logging.INFO):
        assert site.stow([sent()]).status_code == 200
    assert seen == ["MG"]
    assert "ValueError" in caplog.text
    assert "SECRET" not in caplog.text


def test_one_who_looks_at_what_comes_may_refuse_it_and_then_nothing_of_it_stays(site: Site) -> None:
    def refuses(dataset: Dataset) -> None:
        if dataset.SOPInstanceUID == "1.2.4":
            raise RefusedError(NOT_UNDERSTOOD, "another is required", dataset)
        raise ValueError(str(dataset.PatientID))

    site.archive.on_received.append(refuses)
    answer = site.stow([sent("1.2.3"), sent("1.2.4")])
    assert answer.status_code == 202
    assert failures(answer) == [(NOT_UNDERSTOOD, "another is required")]
    assert answer.json()[FAILED]["Value"][0]["00081155"]["Value"] == ["1.2.4"]
    assert [i.sop_instance_uid for i in site.catalog.dicom.find()] == ["1.2.3"]
    assert len(content(site.folder)) == 1


def test_four_writers_at_once_lose_nothing(site: Site) -> None:
    """Of overlapping studies, some instances twice at the same time."""
    files = [sent(f"1.2.{n}") for n in range(8)]
    files += [sent(f"1.3.{n}", SOPClassUID=SEG, Modality="SEG") for n in range(4)]

    def send(number: int) -> int:
        return site.stow(files[number * 3 :] + files[: number * 3 + 3]).status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(send, range(4))) == [200] * 4
    assert len(site.catalog.dicom.find()) == 12
    assert len(site.catalog) == 8
    assert len(content(site.folder)) == 12


def test_our_own_results_replace_earlier_ones(site: Site) -> None:
    first = mammogram(film(), SOPClassUID=SEG, Modality="SEG")
    second = mammogram(film(), SOPClassUID=SEG, Modality="SEG", ContentLabel="NEWER")
    assert site.archive.store(first, origin="ours").is_new
    stored = site.archive.store(second, origin="ours")
    assert not stored.is_new
    assert site.archive.dataset(stored.instance.sop_instance_uid).ContentLabel == "NEWER"
    (instance,) = site.catalog.dicom.find()
    assert (instance.origin, instance.value("ContentLabel")) == ("ours", "NEWER")
    # Nobody else may.
    answer = site.stow([dicom_bytes(mammogram(film(), SOPClassUID=SEG, Modality="SEG", ContentLabel="X"))])
    assert answer.status_code == 409


def test_a_full_disk_is_said_and_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storing.Storing, "_place", full)
    answer = site.stow([sent()])
    assert answer.status_code == 409
    ((code, reason),) = failures(answer)
    assert code == 0xA700
    assert "disk is full" in reason
    assert content(site.folder) == set()


def test_without_links_files_still_appear_whole(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(storing.os, "link", no_links)
    assert site.stow([sent()]).status_code == 200
    assert site.stow([sent()]).status_code == 200
    (file,) = content(site.folder)
    assert (site.folder / file).read_bytes() == sent()


def test_a_dataset_can_be_stored_from_python(site: Site) -> None:
    stored = site.archive.store(mammogram(film(), syntax=ImplicitVRLittleEndian), origin="stow")
    assert stored.is_new
    np.testing.assert_array_equal(site.archive.dataset(stored.instance.sop_instance_uid).pixel_array, film())
    assert "PixelData" not in site.archive.dataset(stored.instance.sop_instance_uid, pixels=False)


def test_what_a_killed_process_left_is_removed_later(site: Site) -> None:
    import os
    import time

    left = [site.archive.incoming() / name for name in ("stow-old", "stow-new")]
    for folder in left:
        folder.mkdir()
        (folder / "0.dcm").write_bytes(b"half of")
    os.utime(left[0], (time.time() - 90_000,) * 2)
    storing.Storing(site.catalog)
    assert [folder.exists() for folder in left] == [False, True]
