"""A real server over a folder, and the client library that other programs use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from tests.e2e.serving import Server, running_server, wait_until
from tests.imaging.mammograms import film, mammogram

from breastlabel.datasets.mammogram_studies import write_mammogram_phantoms

pytestmark = pytest.mark.slow

GREY = np.random.default_rng(5).integers(0, 256, (12, 17), np.uint8)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dicomweb")
    studies = folder / "studies"
    write_mammogram_phantoms(studies, exams=2, seed=3, shape=(96, 80), truth=False)
    Image.fromarray(GREY).save(studies / "scan.png")
    with running_server(studies, folder) as running:
        yield running


@pytest.fixture
def client(server: Server) -> DICOMwebClient:
    made = DICOMwebClient(f"{server.url}/dicom-web")
    # The images were catalogued before; the server comes to them by itself.
    wait_until(lambda: len(made.search_for_instances()) >= 9, 60)
    return made


def test_what_the_client_finds_it_can_retrieve(server: Server, client: DICOMwebClient) -> None:
    found = client.search_for_studies(search_filters={"ModalitiesInStudy": "MG", "PatientName": "phantom*"})
    assert len(found) == 2
    study = found[0]["0020000D"]["Value"][0]
    (series,) = client.search_for_series(study)
    uids = study, series["0020000E"]["Value"][0]
    assert series["00201209"]["Value"] == [4]
    metadata = client.retrieve_series_metadata(*uids)
    assert sorted(m["00185101"]["Value"][0] for m in metadata) == ["CC", "CC", "MLO", "MLO"]
    assert len(client.retrieve_study(study)) == 4
    instance = metadata[0]["00080018"]["Value"][0]
    whole = client.retrieve_instance(*uids, instance)
    (frame,) = client.retrieve_instance_frames(*uids, instance, [1])
    np.testing.assert_array_equal(
        np.frombuffer(frame, "<u2").reshape(whole.pixel_array.shape), whole.pixel_array
    )
    file = next(f for f in server.studies.glob("*.dcm") if pydicom.dcmread(f).SOPInstanceUID == instance)
    assert whole == pydicom.dcmread(file)
    assert client.retrieve_instance_rendered(*uids, instance, media_types=("image/png",))[:4] == b"\x89PNG"
    bulk = metadata[0]["7FE00010"]["BulkDataURI"]
    assert bytes(client.retrieve_bulkdata(bulk)[0]) == whole.PixelData


def test_an_image_that_is_no_dicom_is_one_for_the_client(client: DICOMwebClient) -> None:
    (found,) = client.search_for_instances(search_filters={"Modality": "US"})
    uids = [found[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
    np.testing.assert_array_equal(client.retrieve_instance(*uids).pixel_array, GREY)


def test_what_the_client_stores_is_an_image_of_the_server(server: Server, client: DICOMwebClient) -> None:
    dataset = mammogram(film(64, 48))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    before = requests.get(f"{server.url}/datastore/", timeout=30).json()["total"]
    answer = client.store_instances([dataset])
    assert answer.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert requests.get(f"{server.url}/datastore/", timeout=30).json()["total"] == before + 1
    np.testing.assert_array_equal(
        client.retrieve_instance(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, "1.2.3.4").pixel_array,
        film(64, 48),
    )
    (known,) = client.search_for_instances(search_filters={"SOPInstanceUID": "1.2.3.4"})
    assert known["00280010"]["Value"] == [64]


def test_a_file_that_is_taken_away_vanishes(server: Server, client: DICOMwebClient, tmp_path: Path) -> None:
    file = next(server.studies.glob("phantom-*-lcc.dcm"))
    uid = pydicom.dcmread(file).SOPInstanceUID
    assert client.search_for_instances(search_filters={"SOPInstanceUID": uid})
    file.rename(tmp_path / "away.dcm")
    wait_until(lambda: not client.search_for_instances(search_filters={"SOPInstanceUID": uid}), 60)
    (tmp_path / "away.dcm").rename(file)
    wait_until(lambda: client.search_for_instances(search_filters={"SOPInstanceUID": uid}), 60)


def test_nothing_that_names_a_patient_is_logged(server: Server) -> None:
    log = server.log()
    assert "PHANTOM-3" not in log
    assert "SECRET-4711" not in log
    assert "Traceback" not in log
