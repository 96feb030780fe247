"""Reading a full-size film in JPEG 2000, beside pydicom with its fastest installed plugin."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import config
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, SecondaryCaptureImageStorage

from benchmarks.results import Row, at_most, skipped
from benchmarks.timing import alternately, milliseconds
from breastlabel.imaging import Modality, read_image
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.imaging.transfer import stored_pixels

__all__ = ["rows"]

_ROWS, _COLUMNS, _BITS = 4664, 3064, 12
_COMPRESSION = 10
_FILM = f"a film of {_ROWS} x {_COLUMNS}, {_BITS} bits, JPEG 2000 {_COMPRESSION}:1"
_DECODE, _READ = f"decode {_FILM}", f"read {_FILM}, with window and header"
_SHOWN = " and apply_voi_lut"
# For jitter; the claim is "at least as fast".
_TOLERANCE = 0.05


def rows(*, repeats: int = 7) -> list[Row]:
    """File to stored values, and file to the greys that are shown, each against pydicom with its plugins.

    Our decoder takes as many threads as there are cores: other work on the machine changes the figures.
    """
    try:
        from openjpeg.utils import encode_array
    except ImportError:
        return [skipped(_DECODE, "pylibjpeg-openjpeg, which writes the film, is not installed")]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "film.dcm"
        _write(path, encode_array(_film(), _BITS, 2, compression_ratios=[_COMPRESSION]))
        ways: dict[str, Callable[[], object]] = {
            "decode": lambda: stored_pixels(read_dataset(path, pixels=True)),
            "read": partial(read_image, path, modality=Modality.MG),
        }
        own = len(ways)
        for handler in config.pixel_data_handlers:
            plugin = handler.__name__.rsplit(".", 1)[-1].removesuffix("_handler")
            if handler.is_available() and handler.supports_transfer_syntax(JPEG2000):
                ways[plugin] = partial(_with_pydicom, path, plugin)
                ways[plugin + _SHOWN] = partial(_shown_by_pydicom, path, plugin)
        if len(ways) == own:
            return [skipped(_DECODE, "no plugin of pydicom's for JPEG 2000 is installed")]
        _check_equal(path, [way for way in list(ways)[own:] if not way.endswith(_SHOWN)])
        seconds = alternately(ways, repeats=repeats)
    compared = []
    for work, ours, ending in ((_DECODE, "decode", ""), (_READ, "read", _SHOWN)):
        rivals = [way for way in list(ways)[own:] if way.endswith(_SHOWN) == bool(ending)]
        fastest = min(rivals, key=lambda way: seconds[way])
        against = f"pydicom with {fastest} {milliseconds(seconds[fastest])}"
        ratio = seconds[ours] / seconds[fastest]
        compared.append(at_most(work, milliseconds(seconds[ours]), against, ratio, 1 + _TOLERANCE))
    return compared


def _with_pydicom(path: Path, plugin: str) -> npt.NDArray[np.uint16]:
    """As pydicom comes: Pillow's OpenJPEG would take the threads, too, that breastlabel asks for."""
    threads = os.environ.pop("OPJ_NUM_THREADS", None)
    try:
        dataset = pydicom.dcmread(path)
        dataset.convert_pixel_data(plugin)
        pixels: npt.NDArray[np.uint16] = dataset.pixel_array
    finally:
        if threads is not None:
            os.environ["OPJ_NUM_THREADS"] = threads
    return pixels


def _shown_by_pydicom(path: Path, plugin: str) -> npt.NDArray[np.float32]:
    """What `read_image` gives: rescaled, windowed, float32."""
    from pydicom.pixel_data_handlers.util import apply_modality_lut, apply_voi_lut

    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    values = apply_modality_lut(_with_pydicom(path, plugin), dataset)
    return np.asarray(apply_voi_lut(values, dataset), np.float32)


def _check_equal(path: Path, plugins: list[str]) -> None:
    ours = read_image(path, modality=Modality.MG).pixels
    for plugin in plugins:
        assert np.allclose(ours, _with_pydicom(path, plugin), atol=0.6), f"{plugin} gives other pixels"


def _film() -> npt.NDArray[np.uint16]:
    """A breast's outline with tissue at every scale, and the grain of film."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : _ROWS * 1j, 0 : 1 : _COLUMNS * 1j]
    breast = np.clip(1.2 - (x / 0.8) ** 2 - (y / 0.9) ** 2, 0, 1)
    tissue = np.zeros((_ROWS, _COLUMNS))
    for scale in (512, 128, 32, 8):
        coarse = random.standard_normal((_ROWS // scale + 2, _COLUMNS // scale + 2))
        tissue += np.kron(coarse, np.ones((scale, scale)))[:_ROWS, :_COLUMNS] * scale / 512
    values = 2600 * breast + 300 * tissue * (breast > 0) + 12 * random.standard_normal((_ROWS, _COLUMNS))
    return np.clip(values + 150, 0, 2**_BITS - 1).astype(np.uint16)


def _write(path: Path, stream: bytes) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = JPEG2000, SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    film = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    film.is_little_endian, film.is_implicit_VR = True, False
    film.SOPClassUID, film.SOPInstanceUID, film.Modality = SecondaryCaptureImageStorage, "1.2.3", "RG"
    film.Rows, film.Columns, film.SamplesPerPixel = _ROWS, _COLUMNS, 1
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, _BITS, _BITS - 1, 0
    film.PhotometricInterpretation = "MONOCHROME2"
    film.WindowCenter, film.WindowWidth = 2**_BITS / 2, 2**_BITS
    film.PixelData = encapsulate([stream])
    film["PixelData"].VR, film["PixelData"].is_undefined_length = "OB", True
    film.save_as(path, write_like_original=False)
