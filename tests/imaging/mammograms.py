"""Small mammograms in any transfer syntax that can be written here."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

PATIENT_ID, PATIENT_NAME, STUDY_UID = "SECRET-4711", "DOE^JANE", "1.2.276.0.4711.1"
"""What must never be seen outside of a file."""

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
LOSSLESS = (*NATIVE, RLELossless, JPEG2000Lossless, JPEGLSLossless)


def code(scheme: str, value: str, **tags: Any) -> Dataset:
    """One item of a code sequence."""
    item = Dataset()
    item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning = scheme, value, "as coded"
    for keyword, content in tags.items():
        setattr(item, keyword, content)
    return item


def film(
    rows: int = 40, columns: int = 32, *, bits: int = 12, blocks: bool = False
) -> npt.NDArray[np.uint16]:
    """A picture without symmetry, large enough for JPEG 2000; of constant 8 x 8 blocks where asked."""
    y, x = np.mgrid[:rows, :columns]
    if blocks:
        y, x = y // 8 * 8, x // 8 * 8
    values = (y * columns * 3 + x * 7).astype(np.float64)
    return np.round(values / values.max() * (2**bits - 1)).astype(np.uint16)


def mammogram(
    pixels: npt.NDArray[Any], *, syntax: str = ExplicitVRLittleEndian, bits: int = 12, **tags: Any
) -> Dataset:
    """An MG dataset with its pixels encoded; uint8, uint16 or int16 (rows, cols)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = tags.get("SOPClassUID", FOR_PRESENTATION)
    meta.MediaStorageSOPInstanceUID = f"{STUDY_UID}.1.1"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_implicit_VR = syntax == ImplicitVRLittleEndian
    dataset.is_little_endian = syntax != ExplicitVRBigEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY_UID, f"{STUDY_UID}.1"
    dataset.Modality, dataset.PatientID, dataset.PatientName = "MG", PATIENT_ID, PATIENT_NAME
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored = min(bits, dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    _encode(dataset, pixels, syntax)
    return dataset


def write_mammogram(path: Path, pixels: npt.NDArray[Any] | None = None, **keywords: Any) -> Path:
    """`mammogram` as a file."""
    mammogram(film() if pixels is None else pixels, **keywords).save_as(path, write_like_original=False)
    return path


def view(scheme: str, value: str, *modifiers: Dataset) -> Sequence:
    """A View Code Sequence."""
    return Sequence([code(scheme, value, ViewModifierCodeSequence=Sequence(modifiers))])


def _encode(dataset: Dataset, pixels: npt.NDArray[Any], syntax: str) -> None:
    bits = int(dataset.BitsStored)
    if syntax in NATIVE:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
        dataset["PixelData"].VR = "OB" if bits <= 8 else "OW"
        return
    if syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelData = pixels.tobytes()
        dataset.compress(RLELossless)
        return
    if syntax in (JPEG2000, JPEG2000Lossless):
        stream = jpeg2000(pixels, bits, ratio=None if syntax == JPEG2000Lossless else 4)
    elif syntax == JPEGLSLossless:
        stream = jpeg_ls(pixels)
    elif syntax == JPEGExtended12Bit:
        stream = jpeg_12_bit(pixels)
    else:
        raise NotImplementedError(syntax)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True


def jpeg2000(pixels: npt.NDArray[Any], bits: int, *, ratio: float | None = None) -> bytes:
    """A bare codestream."""
    from openjpeg.utils import encode_array

    ratios = {} if ratio is None else {"compression_ratios": [ratio]}
    # 2 is monochrome in the plugin's own list.
    return bytes(encode_array(pixels, bits_stored=bits, photometric_interpretation=2, **ratios))


def jpeg_ls(pixels: npt.NDArray[Any]) -> bytes:
    import pillow_jpls  # noqa: F401, the import adds the format to Pillow

    stream = BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG-LS")
    return stream.getvalue()


def jpeg_12_bit(pixels: npt.NDArray[Any], *, last_coefficient: int = 63) -> bytes:
    """Sequential JPEG of 12 bits (ITU-T T.81) of a picture of constant 8 x 8 blocks, exactly.

    Each block is its mean alone: a difference in one of 13 categories, 4 bits each, and "end of block" in 1.
    """
    rows, columns = pixels.shape
    bits, last = [], 0
    for value in pixels[::8, ::8].astype(int).ravel() - 2048:
        difference, last = int(value) - last, int(value)
        size = abs(difference).bit_length()
        bits.append(f"{size:04b}")
        if size:
            bits.append(f"{difference if difference > 0 else difference + 2**size - 1:0{size}b}")
        bits.append("0")
    coded = "".join(bits)
    coded += "1" * (-len(coded) % 8)
    data = bytes(int(coded[i : i + 8], 2) for i in range(0, len(coded), 8)).replace(b"\xff", b"\xff\0")

    def segment(marker: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content

    return b"".join(
        (
            b"\xff\xd8",
            # A mean is stored eightfold (A.3.3), so that a quantiser of 8 keeps the values as they are.
            segment(0xDB, bytes([0] + [8] * 64)),
            segment(0xC1, struct.pack(">BHHBBBB", 12, rows, columns, 1, 1, 0x11, 0)),
            segment(0xC4, bytes([0x00, 0, 0, 0, 13, *[0] * 12, *range(13)])),
            segment(0xC4, bytes([0x10, 1, *[0] * 15, 0])),
            segment(0xDA, bytes([1, 1, 0x00, 0, last_coefficient, 0])),
            data,
            b"\xff\xd9",
        )
    )
