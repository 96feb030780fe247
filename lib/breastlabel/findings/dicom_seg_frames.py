"""The frames of a DICOM segmentation, decoded one by one, each within the bounds that its header sets."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidLabelError
from breastlabel.findings.dicom_seg_header import NATIVE, RLE, SegmentationHeader
from breastlabel.findings.dicom_seg_parts import refused

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["MAX_SECONDS", "seg_frames"]

#: For all frames of one object; the largest that is taken needs some seconds.
MAX_SECONDS = 120.0
_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
#: Lossless ones whose streams `stored_pixels` checks against the header: JPEG, JPEG-LS, JPEG 2000.
_STREAMS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 90))


def seg_frames(dataset: Dataset, header: SegmentationHeader) -> Iterator[npt.NDArray[Any]]:
    """Each frame as (rows, columns): bool where pixels are bits, else uint8 or uint16 as stored.

    Never more than one is held here.

    Raises:
        InvalidLabelError: a frame cannot be decoded, holds another size, or decoding takes too long.
    """
    deadline = time.monotonic() + MAX_SECONDS
    frames = _frames(dataset, header)
    for _ in header.frames:
        if time.monotonic() > deadline:
            raise refused(
                f"a segmentation that is decoded within {MAX_SECONDS:.0f} s", "this one takes longer"
            )
        try:
            frame = next(frames)
        except InvalidLabelError:
            raise
        except MemoryError as error:
            raise refused("a segmentation that fits into memory", "this one does not") from error
        except (Exception, StopIteration) as error:
            # Decoders raise whatever their C code or pydicom comes up with.
            raise refused(
                "pixel data that can be decoded", "those of the segmentation are damaged or cut off"
            ) from error
        if frame.shape != header.shape:
            raise refused("frames of the size that the header states", "one is of another")
        yield frame


def _frames(dataset: Dataset, header: SegmentationHeader) -> Iterator[npt.NDArray[Any]]:
    data: bytes = dataset.PixelData
    if header.syntax in NATIVE:
        yield from _native(data, header)
        return
    if header.syntax not in (RLE, _DEFLATED_FRAMES, *_STREAMS):
        raise refused(
            "a segmentation without compression, deflated, or in RLE, JPEG-LS or JPEG 2000, lossless",
            "it is in another transfer syntax",
            "choose another one in the viewer",
        )
    if header.bits == 1 and header.syntax != _DEFLATED_FRAMES:
        raise refused("uncompressed bits", "the segmentation packs bits and compresses them")
    from pydicom.encaps import generate_pixel_data_frame

    for stream in generate_pixel_data_frame(data, len(header.frames)):
        if header.syntax == RLE:
            yield _run_lengths(stream, header)
        elif header.syntax == _DEFLATED_FRAMES:
            yield _inflated(stream, header)
        else:
            yield _decoded(stream, dataset, header)


def _native(data: bytes, header: SegmentationHeader) -> Iterator[npt.NDArray[Any]]:
    pixels = header.shape[0] * header.shape[1]
    for index in range(len(header.frames)):
        if header.bits == 1:
            # Frames follow each other without a gap, so that one may begin within a byte (PS3.5 8.1.1).
            first, end = index * pixels, (index + 1) * pixels
            packed = data[first // 8 : (end + 7) // 8]
            yield _bits(packed, first % 8, pixels).reshape(header.shape)
        else:
            size = pixels * header.bits // 8
            yield _numbers(data[index * size : (index + 1) * size], header)


def _bits(packed: bytes, skipped: int, pixels: int) -> npt.NDArray[np.bool_]:
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little", count=skipped + pixels)
    return bits[skipped:].view(np.bool_)


def _numbers(data: bytes, header: SegmentationHeader) -> npt.NDArray[Any]:
    return np.frombuffer(data, "<u2" if header.bits == 16 else np.uint8).reshape(header.shape)


def _inflated(stream: bytes, header: SegmentationHeader) -> npt.NDArray[Any]:
    """Deflated Image Frame Compression, PS3.5 A.4.13: each frame for itself, padded to whole bytes."""
    pixels = header.shape[0] * header.shape[1]
    size = (pixels * header.bits + 7) // 8
    # No more than is needed ever comes out, whatever the stream would grow to.
    data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream, size)
    return _bits(data, 0, pixels).reshape(header.shape) if header.bits == 1 else _numbers(data[:size], header)


def _run_lengths(stream: bytes, header: SegmentationHeader) -> npt.NDArray[Any]:
    """RLE Lossless, PS3.5 G: the high bytes of all pixels first, then the low ones."""
    pixels, planes = header.shape[0] * header.shape[1], header.bits // 8
    offsets = np.frombuffer(stream[:64], "<u4")
    if len(offsets) != 16 or offsets[0] != planes:
        raise ValueError("one run-length segment a byte of a pixel is required")
    starts = [int(offset) for offset in offsets[1 : planes + 1]]
    if starts[0] < 64 or sorted(starts) != starts or starts[-1] > len(stream):
        raise ValueError("run-length segments in order are required")
    ends = [*starts[1:], len(stream)]
    decoded = [_unrolled(stream[a:b], pixels) for a, b in zip(starts, ends, strict=True)]
    if planes == 1:
        return decoded[0].reshape(header.shape)
    high, low = (plane.astype(np.uint16) for plane in decoded)
    return ((high << 8) | low).reshape(header.shape)


def _unrolled(data: bytes, size: int) -> npt.NDArray[np.uint8]:
    """The first ``size`` bytes of a run-length segment (PS3.5 G.3.2); no more are ever made."""
    result, place, end = bytearray(), 0, len(data)
    while len(result) < size and place + 1 < end:
        head = data[place]
        if head > 128:
            result += data[place + 1 : place + 2] * (257 - head)
            place += 2
        elif head < 128:
            result += data[place + 1 : place + 2 + head]
            place += head + 2
        else:
            place += 1
    if len(result) < size:
        raise ValueError("run lengths for every pixel are required")
    return np.frombuffer(bytes(result[:size]), np.uint8)


def _decoded(stream: bytes, dataset: Dataset, header: SegmentationHeader) -> npt.NDArray[Any]:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    from breastlabel.imaging.transfer import stored_pixels

    frame = Dataset()
    frame.file_meta = FileMetaDataset()
    frame.file_meta.TransferSyntaxUID = UID(header.syntax)
    frame.is_little_endian, frame.is_implicit_VR = True, False
    frame.Rows, frame.Columns = header.shape
    frame.BitsAllocated = header.bits
    frame.BitsStored = int(dataset.get("BitsStored") or header.bits)
    frame.HighBit, frame.PixelRepresentation, frame.SamplesPerPixel = frame.BitsStored - 1, 0, 1
    frame.PhotometricInterpretation = "MONOCHROME2"
    frame.PixelData = encapsulate([stream])
    frame["PixelData"].VR, frame["PixelData"].is_undefined_length = "OB", True
    return stored_pixels(frame)
