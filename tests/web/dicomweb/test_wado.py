"""Studies, series, instances and metadata as viewers retrieve them."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from tests.imaging.mammograms import LOSSLESS, STUDY_UID, film, mammogram, write_mammogram

from breastlabel.imaging import read_image
from breastlabel.web.dicomweb import transcoded

from .conftest import Site, parts, path_of

WHOLE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
GREY = np.random.default_rng(5).integers(0, 256, (12, 17), np.uint8)


def dataset_of(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content))


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_an_instance_comes_as_it_is_stored_or_in_plain_values(site: Site, syntax: str) -> None:
    file = write_mammogram(site.folder / "film.dcm", syntax=syntax)
    (as_stored,) = parts(site.get(site.path("film"), WHOLE))
    assert as_stored.content == file.read_bytes()
    assert as_stored.headers["Content-Type"] == f"application/dicom; transfer-syntax={syntax}"
    for accept, expected in (
        (None, ExplicitVRLittleEndian),
        ('multipart/related; type="application/dicom"', ExplicitVRLittleEndian),
        (
            f"multipart/related; type=application/dicom; transfer-syntax={ImplicitVRLittleEndian}",
            ImplicitVRLittleEndian,
        ),
    ):
        (plain,) = parts(site.get(site.path("film"), accept))
        dataset = dataset_of(plain.content)
        assert dataset.file_meta.TransferSyntaxUID == expected
        np.testing.assert_array_equal(dataset.pixel_array, film())
        assert dataset.PatientName == "DOE^JANE"


def test_one_instance_may_come_without_parts(site: Site) -> None:
    file = write_mammogram(site.folder / "film.dcm")
    answer = site.get(site.path("film"), "application/dicom")
    assert answer.headers["content-type"].startswith("application/dicom")
    assert answer.content == file.read_bytes()


@pytest.mark.parametrize(
    "accept",
    [
        "image/png",
        f'multipart/related; type="application/dicom"; transfer-syntax={JPEG2000Lossless}',
        'multipart/related; type="image/jpeg"',
    ],
)
def test_what_cannot_be_had_is_not_acceptable(site: Site, accept: str) -> None:
    write_mammogram(site.folder / "film.dcm")
    answer = site.get(site.path("film"), accept)
    assert answer.status_code == 406
    assert "application/dicom" in answer.json()["detail"]


def test_a_compressed_stream_that_is_damaged_comes_as_it_is(site: Site) -> None:
    dataset = mammogram(film(), syntax=JPEG2000Lossless)
    dataset.PixelData = (
        dataset.PixelData[:60] + b"\0" * (len(dataset.PixelData) - 68) + dataset.PixelData[-8:]
    )
    dataset.save_as(site.folder / "film.dcm", write_like_original=False)
    (part,) = parts(site.get(site.path("film")))
    assert part.headers["Content-Type"].endswith(JPEG2000Lossless)
    asked = f'multipart/related; type="application/dicom"; transfer-syntax={ExplicitVRLittleEndian}'
    assert site.get(site.path("film"), asked).status_code == 406


def test_an_instance_that_unpacks_beyond_the_memory_comes_as_it_is(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kB of compressed frames may say that they hold terabytes."""
    file = write_mammogram(site.folder / "film.dcm", syntax=RLELossless)
    monkeypatch.setattr(transcoded, "_MOST_UNPACKED", film().nbytes - 1)
    (part,) = parts(site.get(site.path("film")))
    assert part.content == file.read_bytes()
    monkeypatch.setattr(transcoded, "_MOST_UNPACKED", film().nbytes)
    (part,) = parts(site.get(site.path("film")))
    assert dataset_of(part.content).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_a_study_and_a_series_come_whole(site: Site) -> None:
    for number in range(3):
        dataset = mammogram(film(), SeriesInstanceUID=f"1.2.{number % 2}")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.3.{number}"
        dataset.save_as(site.folder / f"f{number}.dcm", write_like_original=False)
        site.instance(f"f{number}")
    answer = site.get(f"/studies/{STUDY_UID}", WHOLE)
    uids = [dataset_of(part.content).SOPInstanceUID for part in parts(answer)]
    assert sorted(uids) == ["1.3.0", "1.3.1", "1.3.2"]
    locations = [part.headers["Content-Location"] for part in parts(answer)]
    assert locations[0].startswith(f"http://127.0.0.1:8000/dicom-web/studies/{STUDY_UID}/series/")
    assert len(parts(site.get(f"/studies/{STUDY_UID}/series/1.2.0", WHOLE))) == 2
    assert len(site.get(f"/studies/{STUDY_UID}/metadata").json()) == 3
    assert len(site.get(f"/studies/{STUDY_UID}/series/1.2.1/metadata").json()) == 1


def test_one_damaged_file_does_not_cost_the_others(site: Site) -> None:
    for name in ("a", "b"):
        Image.fromarray(GREY).save(site.folder / f"{name}.png")
    exam = {site.instance(name).image_id for name in "ab"}
    site.catalog.update_images({str(name): {"study_key": "exam"} for name in exam})
    site.catalog.dicom.catch_up(changed=True)
    study = site.instance("a").study_instance_uid
    data = (site.folder / "a.png").read_bytes()
    (site.folder / "a.png").write_bytes(data[: len(data) // 2])
    assert len(parts(site.get(f"/studies/{study}", WHOLE))) == 1
    assert len(site.get(f"/studies/{study}/metadata").json()) == 1
    broken = path_of(site.catalog.dicom.find(study=study)[0])
    assert {site.get(broken).status_code, site.get(site.path("b")).status_code} <= {200, 422}
    assert site.get(site.path("a")).status_code == 422


@pytest.mark.parametrize("suffix", [".png", ".tif", ".nrrd", ".nii.gz"])
def test_an_image_that_is_no_dicom_has_the_pixels_that_our_reader_sees(site: Site, suffix: str) -> None:
    from breastlabel.imaging import Geometry, write_image

    file = site.folder / f"scan{suffix}"
    if suffix in (".png", ".tif"):
        Image.fromarray(GREY).save(file)
    else:
        write_image(file, GREY.astype(np.float32), geometry=Geometry((0.3, 0.2, 1.0)))
    (part,) = parts(site.get(site.path("scan"), WHOLE))
    dataset = dataset_of(part.content)
    np.testing.assert_array_equal(dataset.pixel_array, read_image(file).pixels)
    assert dataset.SOPInstanceUID == site.instance("scan").sop_instance_uid
    region = dataset.get("SequenceOfUltrasoundRegions")
    assert (region is not None) == (suffix in (".nrrd", ".nii.gz"))
    if region:
        assert (region[0].PhysicalDeltaX, region[0].PhysicalDeltaY) == pytest.approx((0.03, 0.02))


def test_conversions_are_kept_until_the_image_changes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from breastlabel.web.dicomweb import converted

    calls: list[Path] = []
    read = converted.read_image
    monkeypatch.setattr(converted, "read_image", lambda path, **kw: calls.append(path) or read(path, **kw))
    Image.fromarray(GREY).save(site.folder / "scan.png")
    first = parts(site.get(site.path("scan")))[0].content
    assert parts(site.get(site.path("scan")))[0].content == first
    assert len(calls) == 1
    Image.fromarray(255 - GREY).save(site.folder / "scan.png")
    second = parts(site.get(site.path("scan")))[0].content
    assert len(calls) == 2
    np.testing.assert_array_equal(dataset_of(second).pixel_array, 255 - GREY)


def test_the_cache_stays_within_its_limit(site: Site) -> None:
    from breastlabel.web.dicomweb.converted import ConvertedFiles

    kept = ConvertedFiles(site.catalog, site.folder / "kept", limit=4000)
    for name in "abcdef":
        Image.fromarray(np.roll(GREY, ord(name))).save(site.folder / f"{name}.png")
        assert kept.converted(site.instance(name)).is_file()
    sizes = [path.stat().st_size for path in (site.folder / "kept").iterdir()]
    assert 1 <= len(sizes) < 6
    assert sum(sizes) <= 4000
    assert kept.converted(site.instance("a")).is_file()


def test_a_copied_file_is_served_under_a_uid_of_its_own(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm")
    first = site.instance("film")
    shutil.copy(site.folder / "film.dcm", site.folder / "copy.dcm")
    second = site.instance("copy")
    (part,) = parts(site.get(site.path("copy"), WHOLE))
    dataset = dataset_of(part.content)
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == second.sop_instance_uid
    assert second.sop_instance_uid != first.sop_instance_uid
    np.testing.assert_array_equal(dataset.pixel_array, film())


def test_a_file_without_series_is_served_with_one(site: Site) -> None:
    dataset = mammogram(film())
    del dataset.SeriesInstanceUID
    dataset.save_as(site.folder / "film.dcm", write_like_original=False)
    (part,) = parts(site.get(site.path("film"), WHOLE))
    assert dataset_of(part.content).SeriesInstanceUID == site.instance("film").series_instance_uid


def test_a_replaced_file_is_not_served_under_the_uid_of_the_old_one(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm")
    before = site.path("film")
    dataset = mammogram(film())
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.99"
    dataset.save_as(site.folder / "film.dcm", write_like_original=False)
    assert site.get(before).status_code == 404
    assert site.get(site.path("film")).status_code == 200
    assert site.path("film").endswith("/1.2.99")


def test_a_missing_file_is_404(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm")
    path = site.path("film")
    (site.folder / "film.dcm").unlink()
    for what in ("", "/metadata", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010"):
        answer = site.get(path + what)
        assert answer.status_code == 404, what
        assert "SECRET" not in answer.text


@pytest.mark.parametrize("uid", ["..", "1.2..3", "x", "1" * 65, "1.2/../../x", "%2e%2e%2f"])
def test_what_is_no_uid_reaches_nothing(site: Site, uid: str) -> None:
    write_mammogram(site.folder / "film.dcm")
    for path in (
        f"/studies/{uid}",
        f"/studies/{uid}/metadata",
        f"/studies/{STUDY_UID}/series/{uid}/rendered",
    ):
        assert site.get(path).status_code in (400, 404, 422)


def test_an_instance_is_found_only_in_its_own_series_and_study(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm")
    one = site.instance("film")
    assert site.get(f"/studies/1.2/series/1.3/instances/{one.sop_instance_uid}").status_code == 404
    assert site.get("/studies/1.2").status_code == 404


def test_metadata_have_everything_but_the_pixels(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm", StudyDescription="Screening", ImageType=["ORIGINAL", "", "X"])
    path = site.path("film")
    (found,) = site.get(path + "/metadata", "application/dicom+json").json()
    assert found["00081030"] == {"vr": "LO", "Value": ["Screening"]}
    assert found["00080008"]["Value"] == ["ORIGINAL", None, "X"]
    assert found["7FE00010"] == {
        "vr": "OW",
        "BulkDataURI": f"http://127.0.0.1:8000/dicom-web{path}/bulkdata/7FE00010",
    }
    (pixels,) = parts(site.client.get(found["7FE00010"]["BulkDataURI"]))
    np.testing.assert_array_equal(np.frombuffer(pixels.content, "<u2").reshape(film().shape), film())
    assert site.get(path + "/metadata", "application/dicom+xml").status_code == 406


def test_large_values_come_by_reference(site: Site) -> None:
    dataset = mammogram(film())
    block = dataset.private_block(0x0011, "vendor", create=True)
    block.add_new(0x01, "OB", bytes(range(256)) * 8)
    item = Dataset()
    item.add_new(0x00420011, "OB", b"%PDF" + b"x" * 300_000)
    item.DocumentTitle = "short"
    dataset.add_new(0x00081115, "SQ", [item])
    dataset.save_as(site.folder / "film.dcm", write_like_original=False)
    (found,) = site.get(site.path("film") + "/metadata").json()
    private = site.client.get(
        found["00111001"]["BulkDataURI"], headers={"accept": "application/octet-stream"}
    )
    assert private.content == bytes(range(256)) * 8
    nested = found["00081115"]["Value"][0]
    assert nested["00420010"]["Value"] == ["short"]
    (part,) = parts(site.client.get(nested["00420011"]["BulkDataURI"]))
    assert part.content.startswith(b"%PDFxxx")
    for place in ("00081115", "00081115/7/00420011", "0011FFFF", "../../x", "00100010/0/0/0"):
        assert site.get(f"{site.path('film')}/bulkdata/{place}").status_code in (400, 404)


def test_look_up_tables_stay_in_the_metadata(site: Site) -> None:
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 12]
    item.add_new(0x00283006, "OW", np.arange(4096, dtype="<u2").tobytes())
    write_mammogram(site.folder / "film.dcm", VOILUTSequence=[item])
    (found,) = site.get(site.path("film") + "/metadata").json()
    assert "InlineBinary" in found["00283010"]["Value"][0]["00283006"]


@pytest.mark.parametrize("syntax", [RLELossless, ExplicitVRBigEndian], ids=lambda s: s.name)
def test_metadata_of_any_syntax(site: Site, syntax: str) -> None:
    write_mammogram(site.folder / "film.dcm", syntax=syntax)
    (found,) = site.get(site.path("film") + "/metadata").json()
    assert (found["00280010"]["Value"], found["00280011"]["Value"]) == ([40], [32])
    assert "00020010" not in found
