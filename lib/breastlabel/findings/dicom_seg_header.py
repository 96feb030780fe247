"""What a DICOM segmentation says of itself, checked before a pixel is decoded or room is made for one.

Segmentation IOD (PS3.3 A.51) and Label Map Segmentation IOD (Supplement 243); what is read stands in C.8.20.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from breastlabel.errors import InvalidLabelError
from breastlabel.findings.dicom_seg_parts import (
    FramePlace,
    Kind,
    Segment,
    read_places,
    read_segments,
    references,
    refused,
    uid_of,
)
from breastlabel.imaging.dicom_values import number, text, words
from breastlabel.imaging.stored import MAX_PIXELS

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "LABELMAP_STORAGE",
    "MAX_FRAMES",
    "NATIVE",
    "RLE",
    "SEGMENTATION_STORAGE",
    "SegmentationHeader",
    "is_segmentation",
    "read_header",
]

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"

MAX_FRAMES = 4096
#: Over all frames: forty full-field mammograms. Packed as bits they take 70 MB of a file.
MAX_DECODED_PIXELS = 550_000_000

#: Two bytes of a run become 128 at most (PS3.5 G.3).
_RLE_GROWTH = 64
RLE = "1.2.840.10008.1.2.5"
#: Native ones, little-endian: what follows PixelData is the pixels themselves.
NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})


@dataclass(frozen=True)
class SegmentationHeader:
    """A segmentation without its pixels.

    Attributes:
        sop_instance_uid, study_instance_uid: its own name, and the study to which it says it belongs.
        kind: what a stored pixel means.
        shape: (rows, columns) of every frame.
        bits: allocated for a pixel: 1, 8 or 16.
        syntax: the transfer syntax.
        maximum: Maximum Fractional Value; 1 unless `kind` is `Kind.FRACTIONS`.
        segments: as listed.
        frames: in the order of the pixels.
        sources: the images that frames refer to; where there is no frame, those that the object refers to.
    """

    sop_instance_uid: str
    study_instance_uid: str
    kind: Kind
    shape: tuple[int, int]
    bits: int
    syntax: str
    maximum: int
    segments: tuple[Segment, ...]
    frames: tuple[FramePlace, ...]
    sources: tuple[str, ...]


def is_segmentation(dataset: Dataset) -> bool:
    """Whether a dataset says that it is a segmentation, of either kind."""
    return text(dataset, "SOPClassUID") in (SEGMENTATION_STORAGE, LABELMAP_STORAGE)


def read_header(dataset: Dataset) -> SegmentationHeader:
    """Read what a segmentation says of itself; takes no longer for one that claims to be huge.

    Raises:
        InvalidLabelError: it is none, contradicts itself or the bytes that it has, or is larger than any
            segmentation of breast images.
    """
    try:
        return _read(dataset)
    except InvalidLabelError:
        raise
    except Exception as error:
        # pydicom decodes elements when they are asked for, and malformed bytes raise almost anything.
        raise InvalidLabelError(
            "a readable DICOM segmentation is required; this one is malformed; store it again from the viewer"
        ) from error


def _read(dataset: Dataset) -> SegmentationHeader:
    if not is_segmentation(dataset):
        raise refused("a DICOM segmentation", "the object is of another kind", "store a SEG")
    name, study = uid_of(dataset, "SOPInstanceUID"), uid_of(dataset, "StudyInstanceUID")
    if name is None or study is None:
        raise refused("a segmentation with SOP Instance UID and Study Instance UID", "one of them is missing")
    count = number(dataset, "NumberOfFrames")
    if count is None:
        count = 1.0 if "PixelData" in dataset and "NumberOfFrames" not in dataset else -1.0
    if not 0 <= count <= MAX_FRAMES or count != int(count):
        raise refused(f"a number of frames from 0 to {MAX_FRAMES}", "it has another, or none")
    frames = int(count)
    shape = _shape(dataset, frames)
    kind, bits, maximum = _pixel_kind(dataset, frames)
    syntax = str(
        getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", "") or "1.2.840.10008.1.2.1"
    )
    if frames:
        _check_bytes(dataset, frames * shape[0] * shape[1], bits, frames, syntax)
    segments = read_segments(dataset, kind)
    places = read_places(dataset, frames, segments, kind)
    sources = tuple(dict.fromkeys(p.source for p in places)) if places else references(dataset)
    return SegmentationHeader(name, study, kind, shape, bits, syntax, maximum, segments, places, sources)


def _shape(dataset: Dataset, frames: int) -> tuple[int, int]:
    rows, columns = (number(dataset, keyword) or 0.0 for keyword in ("Rows", "Columns"))
    if not (1 <= rows <= 65535 and 1 <= columns <= 65535 and rows * columns <= MAX_PIXELS):
        raise refused("a segmentation with Rows and Columns", "it has none, or more than any image")
    if frames * rows * columns > MAX_DECODED_PIXELS:
        raise refused(
            f"at most {MAX_DECODED_PIXELS // 1_000_000} megapixels over all frames",
            f"it has {frames} frames of {rows:.0f} x {columns:.0f}",
            "store a SEG for each image",
        )
    return int(rows), int(columns)


def _pixel_kind(dataset: Dataset, frames: int) -> tuple[Kind, int, int]:
    """What pixels mean, their bits, and what stands for the whole of a fraction."""
    stated = "".join(words(dataset, "SegmentationType")[:1])
    if text(dataset, "SOPClassUID") == LABELMAP_STORAGE:
        stated = "LABELMAP"
    bits = number(dataset, "BitsAllocated") or (1.0 if not frames else 0.0)
    signed = number(dataset, "PixelRepresentation") or 0.0
    if (number(dataset, "SamplesPerPixel") or 1.0) != 1 or signed:
        raise refused("one unsigned number a pixel", "the segmentation has other pixels")
    if stated == "LABELMAP" and (bits in (8, 16) or not frames):
        return Kind.NUMBERS, int(bits), 1
    if stated in ("BINARY", "FRACTIONAL") and bits == 1:
        return Kind.BITS, 1, 1
    if stated == "FRACTIONAL" and bits == 8:
        most = number(dataset, "MaximumFractionalValue")
        if most is not None and not 1 <= most <= 255:
            raise refused("a Maximum Fractional Value from 1 to 255", "the segmentation has another")
        return Kind.FRACTIONS, 8, int(most or 255)
    if stated == "BINARY" and bits == 8:
        # One byte a pixel, as viewers write it that cannot pack bits: what is not 0 is painted.
        return Kind.FRACTIONS, 8, 1
    raise refused(
        "a segmentation of type BINARY, FRACTIONAL or LABELMAP with 1, 8 or 16 bits a pixel",
        "it is of another",
        "choose another export in the viewer",
    )


def _check_bytes(dataset: Dataset, pixels: int, bits: int, frames: int, syntax: str) -> None:
    """Compare what the header announces with the bytes that are there."""
    data = dataset.get("PixelData")
    there = len(data) if isinstance(data, bytes | bytearray) else 0
    if syntax in NATIVE:
        enough = there >= (pixels * bits + 7) // 8
    else:
        # Each frame has an item of its own, with eight bytes in front.
        enough = there >= 8 * frames
        if syntax == RLE:
            enough &= pixels * bits // 8 <= _RLE_GROWTH * there
    if not enough:
        raise refused(
            "as many pixels as the header announces",
            f"{there} bytes are too few for {frames} frames, so it is truncated or damaged",
        )
