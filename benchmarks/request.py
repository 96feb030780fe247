"""One full-size mammogram asked for, beside MONAI Label's own pipeline with the same network.

What is compared is all that is not the network: a request's time less that of its forward pass. Ours is
measured at an HTTP client of a real server process, which also keeps the mask as a proposal; the stock
pipeline runs in this process, without any HTTP, which is to its advantage.
"""

from __future__ import annotations

import json
import logging
import shutil
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psutil
import requests
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian
from requests_toolbelt import MultipartDecoder

from benchmarks.results import Row, at_least, at_most
from benchmarks.servers import Server, running
from benchmarks.stock_inference import StockPipeline
from breastlabel.imaging import Geometry, write_image
from breastlabel.networks import create_network
from breastlabel.training.checkpoint import save_checkpoint
from breastlabel.training.registry import ModelRegistry
from breastlabel.transforms import preparation_from_config

__all__ = ["rows"]

_SHAPE, _INPUT, _SPACING = (4096, 3328), (1024, 1024), 0.065
_MODEL = "mammography"
#: Else the image may have been read, and be held, before the request that is measured as the first.
_UNASKED = ("--conf", "read_on_arrival", "false")
_BARS = {
    "first request, uncompressed DICOM": 3.0,
    "first request, .nii.gz": 1.5,
    "asked for again": 5.0,
}
_STAGES = ("read", "prepare", "restore", "write", "describe", "keep")
_GIB = 2**30


class _Request(NamedTuple):
    """Seconds of a request without its forward pass, and those of its stages."""

    besides: float
    forward: float
    stages: dict[str, float]


def rows(*, turns: int = 3) -> list[Row]:
    """Speed by kind of request; how soon others are answered meanwhile; memory.

    Args:
        turns: how often ours and the stock pipeline follow one another, each time on new files.
    """
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studies = _studies(folder / "studies", turns + 2)
        checkpoint = ModelRegistry(studies).champion(_MODEL)
        stock = StockPipeline(checkpoint, studies, folder / "stock", _INPUT)
        with running(studies, folder / "server", "--conf", "models", _MODEL, *_UNASKED) as server:
            ours, theirs = _by_turns(server, stock, turns)
            beside = _beside_others(server, turns + 1)
    found = []
    for kind, bar in _BARS.items():
        mine = statistics.median(request.besides for request in ours[kind])
        other = statistics.median(theirs[kind])
        found.append(at_least(f"{_size()}, {kind}", _described(ours[kind]), _ms(other), other / mine, bar))
    return [*found, *beside]


def _by_turns(
    server: Server, stock: StockPipeline, turns: int
) -> tuple[dict[str, list[_Request]], dict[str, list[float]]]:
    ours: dict[str, list[_Request]] = defaultdict(list)
    theirs: dict[str, list[float]] = defaultdict(list)
    dicom, nifti, again = _BARS
    for turn in range(turns + 1):
        film, volume = f"film-{turn}", f"volume-{turn}"
        steps = [
            (dicom, film, stock.convert_and_infer),
            (nifti, volume, stock.infer),
            (again, volume, stock.infer),
        ]
        for kind, image, run in steps:
            if turn % 2:
                request, seconds = _ask(server, image), run(image)
            else:
                seconds, request = run(image), _ask(server, image)
            # The first turn warms both up.
            if turn:
                ours[kind].append(request)
                theirs[kind].append(seconds)
    return ours, theirs


def _ask(server: Server, image: str) -> _Request:
    started = time.perf_counter()
    answer = requests.post(f"{server.url}/infer/{_MODEL}", params={"image": image}, timeout=600)
    seconds = time.perf_counter() - started
    answer.raise_for_status()
    params, mask = MultipartDecoder(answer.content, answer.headers["content-type"]).parts
    assert mask.content.startswith(b"NRRD"), "the answer is no mask"
    stages = json.loads(params.text)["latencies"]
    return _Request(seconds - stages["forward"], stages["forward"], stages)


def _beside_others(server: Server, turn: int) -> list[Row]:
    """How long ``GET /info/`` takes while a first request runs, and what that request needs of memory."""
    process = psutil.Process(server.pid)
    idle, peak, slowest = process.memory_info().rss, 0, []
    over = threading.Event()
    answers: list[float] = []

    def ask_for_info() -> None:
        while not over.is_set():
            answers.append(_info(server))
            time.sleep(0.01)

    alone = max(_info(server) for _ in range(50))
    for image in (f"film-{turn}", f"volume-{turn}"):
        over.clear()
        answers.clear()
        watcher = threading.Thread(target=ask_for_info)
        watcher.start()
        request = threading.Thread(target=_ask, args=(server, image))
        request.start()
        while request.is_alive():
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.005)
        over.set()
        watcher.join()
        slowest.append(max(answers))
    # The other programs of the machine hold up an answer now and then, so the better of two counts.
    return [
        at_most(
            f"GET /info/ while {_size()} is asked for",
            f"slowest answer {_ms(min(slowest))}",
            f"the slowest of 50 of an idle server {_ms(alone)}",
            1000 * min(slowest),
            50.0,
            unit=" ms",
        ),
        at_most(
            f"memory for {_size()}",
            f"peak {peak / _GIB:.2f} GiB",
            f"before {idle / _GIB:.2f} GiB",
            (peak - idle) / _GIB,
            3.0,
            unit=" GiB more",
        ),
    ]


def _info(server: Server) -> float:
    started = time.perf_counter()
    requests.get(f"{server.url}/info/", timeout=60).raise_for_status()
    return time.perf_counter() - started


def _described(requests_made: list[_Request]) -> str:
    median = statistics.median
    stages = {name: median(r.stages.get(name, 0.0) for r in requests_made) for name in _STAGES}
    besides, forward = (median(values) for values in zip(*((r[0], r[1]) for r in requests_made), strict=True))
    rest = besides - sum(stages.values())
    told = ", ".join(f"{name} {_ms(seconds)}" for name, seconds in {**stages, "rest": rest}.items())
    return f"{_ms(besides)} beside the forward pass of {_ms(forward)} ({told})"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _size() -> str:
    return f"a mammogram of {_SHAPE[0]} x {_SHAPE[1]}"


def _studies(folder: Path, n: int) -> Path:
    """``n`` uncompressed DICOM files, as many NIfTI files, and a champion with a ResNet-18 encoder."""
    folder.mkdir()
    pixels = _film()
    _write_dicom(folder / "film-0.dcm", pixels)
    write_image(folder / "volume-0.nii.gz", pixels, geometry=Geometry(spacing=(_SPACING, _SPACING, 1.0)))
    for i in range(1, n):
        shutil.copy(folder / "film-0.dcm", folder / f"film-{i}.dcm")
        shutil.copy(folder / "volume-0.nii.gz", folder / f"volume-{i}.nii.gz")
    torch.manual_seed(0)
    checkpoint = save_checkpoint(
        folder / ".breastlabel" / "made",
        create_network(_MODEL, encoder="resnet18").eval(),
        model=_MODEL,
        preparation=preparation_from_config({"name": _MODEL, "size": _INPUT}),
        calibration={"temperature": 1.0},
        thresholds={"mask": 0.5, "normal": 1.0},
    )
    registry = ModelRegistry(folder)
    registry.promote(_MODEL, registry.add(_MODEL, checkpoint))
    return folder


def _film() -> npt.NDArray[np.uint16]:
    """A breast at the left: half an ellipse of tissue, with noise, in 16 bits."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[-1 : 1 : _SHAPE[0] * 1j, 0 : 1 : _SHAPE[1] * 1j]
    distance = (y / 0.85) ** 2 + (x / 0.6) ** 2
    tissue = np.clip(1.0 - distance, 0.0, 1.0) ** 0.5
    image = 40_000 * tissue + 300 + rng.normal(0.0, 200.0, _SHAPE)
    return np.clip(image, 0, 65_535).astype(np.uint16)


def _write_dicom(path: Path, pixels: npt.NDArray[np.uint16]) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dicom = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dicom.is_little_endian, dicom.is_implicit_VR = True, False
    dicom.SOPClassUID, dicom.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dicom.Modality, dicom.ImageLaterality, dicom.ViewPosition = "MG", "L", "CC"
    dicom.ImagerPixelSpacing = [str(_SPACING), str(_SPACING)]
    dicom.Rows, dicom.Columns = pixels.shape
    dicom.SamplesPerPixel, dicom.PhotometricInterpretation = 1, "MONOCHROME2"
    dicom.BitsAllocated, dicom.BitsStored, dicom.HighBit, dicom.PixelRepresentation = 16, 16, 15, 0
    dicom.PixelData = pixels.tobytes()
    dicom.save_as(path, write_like_original=False)
