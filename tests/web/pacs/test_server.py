"""The server over a real PACS: Orthanc's images in the catalog, Orthanc itself behind ``/dicom-web``."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from PIL import Image
from tests.e2e.serving import Server, running_server, wait_until
from tests.orthanc import Orthanc, running_orthanc

from .conftest import Exam, file_of

pytestmark = pytest.mark.slow

_LOGIN = {"reader": "kept-secret-4711"}


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, exam: Exam) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), users=_LOGIN) as server:
        for path in exam.images:
            server.store(path.read_bytes())
        yield server


@pytest.fixture(scope="module")
def server(pacs: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    environment = {
        "BREASTLABEL_HOME": str(folder / "home"),
        "BREASTLABEL_PACS_USERNAME": "reader",
        "BREASTLABEL_PACS_PASSWORD": _LOGIN["reader"],
        "BREASTLABEL_PACS_INTERVAL": "1",
        "BREASTLABEL_PACS_KEEP_FREE_MB": "0",
        "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
    }
    with running_server(
        pacs.dicom_web, folder, "--conf", "read_on_arrival", "false", **environment
    ) as running:
        running.studies = folder / "home"
        wait_until(lambda: running.request("GET", "/info/").json()["datastore"]["total"] == 8, 120)
        yield running


@pytest.fixture
def viewer(server: Server) -> DICOMwebClient:
    """As a viewer asks: of our server, without any credentials."""
    client = DICOMwebClient(f"{server.url}/dicom-web")
    # It leaves the port out of the Host header, off which a server reads its own address.
    client.host = server.url.removeprefix("http://")
    return client


def test_an_image_of_the_pacs_is_read_by_the_ai(server: Server, exam: Exam) -> None:
    image = image_id_of(server, str(exam.image().SOPInstanceUID))
    answer = server.request("POST", "/infer/mammography", params={"image": image, "output": "json"})
    assert answer.status_code == 200, answer.text
    # The side and the view that the PACS's image says, the other view of the same breast, and the priors.
    assert answer.json()["breast"]["laterality"] == "R"
    views = sorted((view["role"], view["view_position"]) for view in answer.json()["sequence"])
    assert views == [("asked", "CC"), ("prior", "CC"), ("prior", "MLO"), ("view", "MLO")]


def test_a_viewer_finds_and_loads_what_the_pacs_has(viewer, server, pacs, exam) -> None:
    image = exam.image()
    studies = viewer.search_for_studies(search_filters={"PatientID": image.PatientID})
    assert len(studies) == 2
    assert viewer.search_for_studies(search_filters={"PatientID": "nobody"}) == []
    place = (str(image.StudyInstanceUID), str(image.SeriesInstanceUID), str(image.SOPInstanceUID))
    assert len(viewer.search_for_series(place[0])) == 1
    assert len(viewer.search_for_instances(*place[:2])) == 4
    metadata = viewer.retrieve_series_metadata(*place[:2])
    assert {entry["00200062"]["Value"][0] for entry in metadata} == {"R", "L"}
    bulk = next(e for e in metadata if e["00080018"]["Value"][0] == place[2])["7FE00010"]["BulkDataURI"]
    assert bulk.startswith(
        f"{server.url}/dicom-web/studies/{place[0]}/series/{place[1]}/instances/{place[2]}/"
    )
    assert image.PixelData.rstrip(b"\0") in requests.get(bulk, timeout=30).content
    octets = (("application/octet-stream", "*"),)
    (frame,) = viewer.retrieve_instance_frames(*place, frame_numbers=[1], media_types=octets)
    assert frame == image.PixelData
    assert viewer.retrieve_instance(*place).PixelData == image.PixelData
    picture = viewer.retrieve_instance_rendered(*place, media_types=("image/png",))
    assert Image.open(io.BytesIO(picture)).size == (image.Columns, image.Rows)
    for path in (f"studies/{place[0]}/series", f"studies/{place[0]}/metadata", f"studies/{place[0]}"):
        answer = requests.get(f"{server.url}/dicom-web/{path}", timeout=30)
        assert answer.status_code == 200
        assert str(pacs.port).encode() not in answer.content + json.dumps(dict(answer.headers)).encode()


def test_a_segmentation_that_a_viewer_stores_is_a_label_at_once(viewer, server, pacs, exam) -> None:
    dataset = exam.segmentation()
    answer = viewer.store_instances([dataset])
    assert str(answer.ReferencedSOPSequence[0].RetrieveURL).startswith(f"{server.url}/dicom-web/studies/")
    found = pacs.session.post(f"{pacs.address}/tools/lookup", data=str(dataset.SOPInstanceUID), timeout=10)
    assert found.json()
    assert labels_of(server, dataset), "no label version of the stored segmentation"


def test_a_segmentation_that_another_viewer_stores_in_the_pacs_is_a_label_soon(server, pacs, exam) -> None:
    dataset = exam.segmentation()
    before = labels_of(server, dataset)
    dataset.ContentCreatorName = "Another^Reader"
    pacs.store(file_of(dataset))
    wait_until(lambda: len(labels_of(server, dataset)) > len(before), 90, every=1)


def image_id_of(server: Server, uid: str) -> str:
    """The catalog's name for an instance of the PACS."""
    case = server.request("GET", "/api/cases/find", params={"sop_instance_uid": uid})
    assert case.status_code == 200, case.text
    (image,) = [image for image in case.json()["images"] if image["sop_instance_uid"] == uid]
    return str(image["image_id"])


def labels_of(server: Server, segmentation: pydicom.Dataset) -> list[object]:
    """The label versions of the image that a segmentation is about."""
    source = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
    image = image_id_of(server, str(source))
    history = server.request("GET", "/datastore/label/history", params={"image": image})
    assert history.status_code == 200, history.text
    return [v for v in history.json()["versions"] if v["tag"] == "final"]


@pytest.mark.parametrize(
    "path",
    [
        "../system",
        "..%2fsystem",
        "studies/../../system",
        "studies/%2e%2e/%2e%2e/instances",
        "studies/1.2.3/series/../../../../system",
        "studies/1.2.3%2f..%2f..%2f..%2fsystem",
        "studies/1.2.3/../../tools/shutdown",
        "http://127.0.0.1:1/studies",
        "//127.0.0.1:1/studies",
        "@127.0.0.1:1/studies",
        "studies/1.2.3/series/4.5/instances/6.7/frames/0",
        "studies/1.2.x",
        f"studies/{'1' * 65}",
        "servers",
        "info",
    ],
)
def test_a_path_that_is_none_of_dicomweb_reaches_nothing(server: Server, path: str) -> None:
    # Sent as it stands: a client library would tidy it up.
    url = requests.Request("GET", server.url).prepare()
    url.url = f"{server.url}/dicom-web/{path}"
    answer = requests.Session().send(url, timeout=30)
    assert answer.status_code == 404, answer.text
    assert "detail" in answer.json()


def test_nothing_but_dicom_is_stored_and_nothing_is_deleted(server: Server, pacs: Orthanc) -> None:
    url = f"{server.url}/dicom-web/studies"
    before = pacs.get("/statistics")["CountInstances"]
    assert (
        requests.post(url, data=b"{}", headers={"Content-Type": "application/json"}, timeout=30).status_code
        == 415
    )
    assert requests.delete(url, timeout=30).status_code == 405
    broken = b"--B\r\nContent-Type: application/dicom\r\n\r\nno file\r\n--B--"
    kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=B'}
    answer = requests.post(url, data=broken, headers=kind, timeout=30)
    assert answer.status_code == 400, answer.text
    assert requests.get(f"{url}?x={'y' * 9000}", timeout=30).status_code == 414
    accept = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    assert requests.get(url, headers=accept, timeout=30).status_code == 406
    assert pacs.get("/statistics")["CountInstances"] == before


def test_neither_secrets_nor_identifiers_are_written(server: Server, pacs: Orthanc, exam: Exam) -> None:
    command = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().decode()
    image = exam.image()
    for secret in (_LOGIN["reader"], image.PatientID, str(image.SOPInstanceUID), str(image.PatientName)):
        assert secret not in server.log()
        assert secret not in command
    assert str(image.StudyInstanceUID) not in server.log()


def test_an_engineer_is_told_how_the_mirror_goes(server: Server) -> None:
    health = server.request("GET", "/health").json()
    assert health["archive"] == {"kind": "pacs", "state": "ok"}
    assert health["workers"]["pacs-mirror"]
    metrics = server.request("GET", "/metrics").text
    assert "breastlabel_pacs_up 1.0" in metrics
    assert 'breastlabel_pacs_objects_total{outcome="image"} 8.0' in metrics
    assert "breastlabel_pacs_studies_waiting 0.0" in metrics


def test_an_image_that_is_stored_through_the_server_is_in_the_catalog_at_once(viewer, server, exam) -> None:
    viewer.store_instances([pydicom.dcmread(io.BytesIO(exam.another(PatientID="SOMEBODY-ELSE")))])
    assert server.request("GET", "/info/").json()["datastore"]["total"] == 9


def test_the_server_goes_on_while_the_pacs_is_down(server: Server, pacs: Orthanc) -> None:
    """The last of this file, since it takes the PACS away."""
    pacs.kill()
    answer = requests.get(f"{server.url}/dicom-web/studies", timeout=60)
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"]
    assert str(pacs.port) not in answer.text
    sample = server.client().next_sample("first", {"client_id": "another"})
    assert server.download(sample["id"]).stat().st_size > 1000
    wait_until(lambda: "Nothing is fetched from the PACS" in server.log(), 60)
    assert server.request("GET", "/health").json()["status"] == "degraded"
