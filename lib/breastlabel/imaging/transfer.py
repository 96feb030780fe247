"""Stored pixel values, out of whatever transfer syntax a DICOM file is in (PS3.5 8 and Annex A).

JPEG 2000, in which full-size films come most often, is decoded by OpenCV's OpenJPEG, which uses several
threads; pydicom and its plugins decode everything else.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from breastlabel.imaging.transfer_codestream import (
    StreamHeader,
    boxed_jpeg2000,
    repaired_jpeg,
    stream_header,
)

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["stored_pixels"]

# OpenJPEG asks for it whenever it decodes, and takes one thread where it is not set.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
os.environ.setdefault("OPJ_NUM_THREADS", str(min(8, _CORES)))

_RLE = "1.2.840.10008.1.2.5"
_JPEG_BASELINE, _JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
_JPEG_2000 = frozenset({"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"})
# Extended, the two lossless processes, and JPEG-LS: what pylibjpeg-libjpeg decodes and Pillow does not.
_JPEG_OF_LIBJPEG = frozenset(
    {_JPEG_EXTENDED, *(f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 81))}
)
# Two bytes of a run become 128 at most (PS3.5 G.3).
_RLE_GROWTH = 64


def stored_pixels(dataset: Dataset) -> npt.NDArray[Any]:
    """The pixels of a dataset with one frame.

    Returns:
        (rows, cols) or, in colour, (rows, cols, 3): integers in the machine's byte order, colours as the
        Photometric Interpretation of the dataset says.

    Raises:
        ValueError: the stream holds another image than the header says.
        Exception: whatever a decoder raises over damaged data, or for want of a plugin.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    array = _decoded(dataset, syntax) if dataset.file_meta.TransferSyntaxUID.is_compressed else None
    if array is None:
        array = dataset.pixel_array
    if array.shape[:2] != (rows, columns):
        raise ValueError(f"{rows} x {columns} pixels are required")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _decoded(dataset: Dataset, syntax: str) -> npt.NDArray[Any] | None:
    """The pixels, where pydicom is not the one to decode them; the stream is checked and repaired."""
    if syntax == _RLE:
        _check_growth(dataset)
        return None
    if not syntax.startswith("1.2.840.10008.1.2.4."):
        return None
    from pydicom.encaps import defragment_data, encapsulate

    stream = defragment_data(dataset.PixelData)
    header = stream_header(stream)
    if header is not None:
        _check_header(dataset, header)
    if syntax in _JPEG_2000:
        return _jpeg2000(dataset, stream, header)
    if syntax in (_JPEG_BASELINE, _JPEG_EXTENDED):
        repaired = repaired_jpeg(stream)
        if repaired is not stream:
            stream = repaired
            dataset.PixelData = encapsulate([stream])
    if syntax in _JPEG_OF_LIBJPEG and importlib.util.find_spec("libjpeg") is None:
        return _itk_decoded(dataset, syntax, stream)
    return None


def _check_header(dataset: Dataset, header: StreamHeader) -> None:
    said = int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
    if (header.rows, header.columns, header.components) != said or header.bits > int(dataset.BitsAllocated):
        raise ValueError("the compressed stream must have the header's size")


def _check_growth(dataset: Dataset) -> None:
    size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    if size * int(dataset.BitsAllocated) // 8 > _RLE_GROWTH * len(dataset.PixelData):
        raise ValueError("run lengths must be able to fill the image")


def _jpeg2000(dataset: Dataset, stream: bytes, header: StreamHeader | None) -> npt.NDArray[Any] | None:
    """By OpenCV, where it gives the stored values unchanged; None where it would not."""
    if header is None or not header.plain or dataset.PixelRepresentation or header.bits > 16:
        return None
    if header.bits != int(dataset.BitsStored):
        return None
    try:
        # OpenCV frees a header that OpenJPEG refuses twice; the plugin does not, so that it goes first.
        from openjpeg.utils import get_parameters
    except ImportError:
        return None
    get_parameters(stream)
    import cv2

    decoded = cv2.imdecode(np.frombuffer(boxed_jpeg2000(stream, header), np.uint8), cv2.IMREAD_UNCHANGED)
    return decoded if decoded is not None and decoded.ndim == 2 else None


def _itk_decoded(dataset: Dataset, syntax: str, stream: bytes) -> npt.NDArray[Any]:
    """By ITK, out of a file that has the pixels and nothing else: ITK would apply rescale and inversion."""
    import SimpleITK
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    if int(dataset.SamplesPerPixel) != 1:
        raise ValueError("colour in this transfer syntax needs pylibjpeg-libjpeg")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        SecondaryCaptureImageStorage,
        generate_uid(),
    )
    bare = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    bare.is_little_endian, bare.is_implicit_VR = True, False
    bare.SOPClassUID, bare.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(bare, keyword, int(dataset[keyword].value))
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare.PixelData = encapsulate([stream])
    bare["PixelData"].VR, bare["PixelData"].is_undefined_length = "OB", True
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frame.dcm"
        bare.save_as(file, write_like_original=False)
        pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file)))
    return np.asarray(pixels).reshape(pixels.shape[-2:])
