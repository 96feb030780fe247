"""A real server process over phantoms, with a tiny champion trained once, driven as viewers drive it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from monailabel.client import MONAILabelClient
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from breastlabel.datasets.phantoms import ultrasound_phantom
from breastlabel.imaging import Geometry, LesionClass, write_image

APP = Path(__file__).parents[2] / "apps" / "breast" / "main.py"
SHAPE = (96, 120)
_START_SECONDS = 300.0
STOCK = ("monailabel.main", "start_server")


class Server:
    """A server process, and what tests ask of it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, studies: Path, folder: Path) -> None:
        self.process = process
        self.url = url
        self.studies = studies
        self.folder = folder

    def client(self, client_id: str = "reader") -> MONAILabelClient:
        """As Slicer's module makes one; downloads land in the server's temporary folder."""
        return MONAILabelClient(self.url, tmpdir=str(self.folder), client_id=client_id)

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=60, **kwargs)

    def download(self, image: str) -> Path:
        """The image file, under the name that the server gives it."""
        answer = self.request("GET", "/datastore/image", params={"image": image})
        assert answer.status_code == 200, answer.text
        name = answer.headers["content-disposition"].split("filename=")[1].strip('"')
        path = self.folder / name
        path.write_bytes(answer.content)
        return path

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def stop_trainings(self) -> None:
        """Workers run in sessions of their own, so they do not end with the server."""
        for known in self.studies.glob(".breastlabel/jobs/*/process.json"):
            with contextlib.suppress(psutil.Error, ValueError, KeyError):
                told = json.loads(known.read_text())
                process = psutil.Process(int(told["pid"]))
                if abs(process.create_time() - float(told["created"])) < 1.0:
                    os.killpg(process.pid, signal.SIGKILL)


def wait_until(what: Callable[[], Any], seconds: float, *, every: float = 0.2) -> Any:
    """The first true answer; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"nothing came within {seconds:g} s")
        time.sleep(every)


@contextlib.contextmanager
def running_server(
    studies: Path | str, folder: Path, *extra: str, program: Sequence[str] = STOCK, **environment: str
) -> Iterator[Server]:
    """``monailabel start_server``, or another program, on a free port of the loopback interface."""
    app = folder / "app"
    app.mkdir(parents=True, exist_ok=True)
    shutil.copy(APP, app)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", *program, "--app", str(app)]
    command += ["--studies", str(studies), "--host", "127.0.0.1", "--port", str(port), *extra]
    env = {
        **os.environ,
        # One thread each: on two cores, a server and a worker with two threads each only wait for each other.
        "OMP_NUM_THREADS": "1",
        "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
        # Else each test would find proposals that nobody asked for; one of its own asks for them.
        "BREASTLABEL_READ_ON_ARRIVAL": "0",
        **environment,
    }
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            command, env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    server = Server(process, f"http://127.0.0.1:{port}", Path(studies), folder)
    try:
        wait_until(lambda: _answers(server), _START_SECONDS)
        yield server
    finally:
        server.stop_trainings()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def _answers(server: Server) -> bool:
    if server.process.poll() is not None:
        pytest.fail("the server ended at its start:\n" + server.log()[-3000:])
    try:
        # With a login it is refused, and answers all the same.
        return requests.get(server.url + "/info/", timeout=5).status_code in (200, 401)
    except requests.ConnectionError:
        return False


#: Unlabelled images of every kind that a viewer may load; ids are ``kind-...``.
KINDS = ("kind-grey", "kind-rgb", "kind-rgba", "kind-nifti", "kind-nrrd", "kind-dicom")
SPACED = Geometry(spacing=(0.2, 0.3, 1.0), origin=(12.0, -7.0, 3.0))


def write_many_kinds(studies: Path) -> None:
    """One phantom each: grey, RGB and RGBA PNG, NIfTI and NRRD with spacing and origin, a DICOM still."""
    from PIL import Image

    for seed, name in enumerate(KINDS):
        pixels = ultrasound_phantom(900 + seed, label=LesionClass.MALIGNANT, shape=SHAPE).pixels
        if name in ("kind-nifti", "kind-nrrd"):
            suffix = ".nii.gz" if name == "kind-nifti" else ".nrrd"
            write_image(studies / f"{name}{suffix}", pixels, geometry=SPACED)
            continue
        if name == "kind-dicom":
            write_dicom(studies / f"{name}.dcm", pixels)
            continue
        channels = {"kind-grey": 1, "kind-rgb": 3, "kind-rgba": 4}[name]
        array = pixels if channels == 1 else np.repeat(pixels[:, :, None], channels, axis=2)
        if channels == 4:
            array[:, :, 3] = 255
        Image.fromarray(array).save(studies / f"{name}.png")


def write_dicom(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    """Ultrasound, 0.25 mm a pixel, as a colour still (rows, cols) or as cine (frames, rows, cols)."""
    frames = pixels[None] if pixels.ndim == 2 else pixels
    kind = UltrasoundImageStorage if pixels.ndim == 2 else UltrasoundMultiFrameImageStorage
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dicom = FileDataset(str(path), Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dicom.is_little_endian, dicom.is_implicit_VR = True, False
    dicom.SOPClassUID, dicom.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    dicom.Modality, dicom.PatientID, dicom.StudyInstanceUID = "US", "patient-4711", generate_uid()
    dicom.SamplesPerPixel, dicom.PhotometricInterpretation, dicom.PlanarConfiguration = 3, "RGB", 0
    dicom.Rows, dicom.Columns = frames.shape[1:]
    if pixels.ndim == 3:
        dicom.NumberOfFrames = len(frames)
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = frames.shape[2] - 1, frames.shape[1] - 1
    region.RegionSpatialFormat, region.RegionDataType = 1, 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.025
    dicom.SequenceOfUltrasoundRegions = [region]
    dicom.BitsAllocated, dicom.BitsStored, dicom.HighBit, dicom.PixelRepresentation = 8, 8, 7, 0
    dicom.PixelData = np.repeat(frames[..., None], 3, axis=-1).tobytes()
    dicom.save_as(path, write_like_original=False)
