"""DICOM segmentations of every kind, put together from the standard alone, and with the faults of viewers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from tests.imaging.mammograms import PATIENT_ID, PATIENT_NAME, STUDY_UID, code, jpeg2000, jpeg_ls

SEG, LABELMAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
MG, US = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.6.1"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
STREAMS = (RLELossless, JPEG2000Lossless, JPEGLSLossless, DEFLATED_FRAMES)

#: What a viewer writes where nobody said what a segment is.
TISSUE = code("SRT", "T-D0050")
Frame = tuple[Dataset, int | None, npt.NDArray[Any]]


def image(shape: tuple[int, int] = (12, 16), *, modality: str = "MG", **tags: Any) -> FileDataset:
    """A mammogram or an ultrasound still with pixels, as a device writes it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID, dataset.SOPInstanceUID = MG if modality == "MG" else US, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY_UID, f"{STUDY_UID}.1"
    dataset.Modality, dataset.PatientID, dataset.PatientName = modality, PATIENT_ID, PATIENT_NAME
    dataset.Rows, dataset.Columns = shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    pixels = np.arange(shape[0] * shape[1], dtype=np.uint32).reshape(shape) % 251
    dataset.PixelData = padded(pixels.astype(np.uint8).tobytes())
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        dataset.SOPClassUID,
        dataset.SOPInstanceUID,
    )
    return dataset


def segment(
    number: int | None,
    label: str | None,
    *,
    kind: Dataset = TISSUE,
    modifiers: Sequence[Dataset] = (),
    lab: Sequence[int] | None = None,
) -> Dataset:
    """An item of Segment Sequence."""
    item = Dataset()
    if number is not None:
        item.SegmentNumber = number
    if label is not None:
        item.SegmentLabel = label
    item.SegmentAlgorithmType, item.SegmentAlgorithmName = "MANUAL", "OHIF Brush"
    item.SegmentedPropertyCategoryCodeSequence = DicomSequence([TISSUE])
    typed = Dataset()
    for element in kind:
        typed.add(element)
    if modifiers:
        typed.SegmentedPropertyTypeModifierCodeSequence = DicomSequence(modifiers)
    item.SegmentedPropertyTypeCodeSequence = DicomSequence([typed])
    if lab is not None:
        item.RecommendedDisplayCIELabValue = list(lab)
    return item


BENIGN, MALIGNANT = segment(1, "benign"), segment(2, "malignant")


def seg(
    kind: str,
    frames: Sequence[Frame],
    *,
    segments: Sequence[Dataset] = (BENIGN, MALIGNANT),
    syntax: str = ExplicitVRLittleEndian,
    bits: int | None = None,
    sources: Sequence[Dataset] = (),
    references: str = "frames",
    groups: Dataset | None = None,
    **tags: Any,
) -> FileDataset:
    """A segmentation object.

    Args:
        kind: BINARY, FRACTIONAL or LABELMAP.
        frames: source image, number of the segment (None in a label map) and stored pixels.
        bits: allocated; by default 1 for BINARY, else 8.
        sources: what the object as a whole refers to; by default the frames' images.
        references: how frames say what they are drawn on: ``"frames"``, ``"shared"`` or ``"series"``.
        groups: further content of the shared functional groups.
        tags: what is to be different.
    """
    bits = bits or (1 if kind == "BINARY" else 8)
    sources = list(sources) or list({f[0].SOPInstanceUID: f[0] for f in frames}.values())
    first = sources[0]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, syntax == ImplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = LABELMAP if kind == "LABELMAP" else SEG, generate_uid()
    dataset.Modality, dataset.SegmentationType = "SEG", kind
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID"):
        setattr(dataset, keyword, first.get(keyword, ""))
    dataset.SeriesInstanceUID = generate_uid()
    dataset.Manufacturer, dataset.ManufacturerModelName = "Unspecified", "Unspecified"
    dataset.ContentDate, dataset.ContentTime = "20260102", "030405"
    dataset.Rows, dataset.Columns = frames[0][2].shape if frames else (first.Rows, first.Columns)
    dataset.NumberOfFrames = len(frames)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation, dataset.SamplesPerPixel = 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if kind == "FRACTIONAL":
        dataset.SegmentationFractionalType, dataset.MaximumFractionalValue = "PROBABILITY", 255
    dataset.SegmentSequence = DicomSequence(segments)
    series = Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ReferencedInstanceSequence = DicomSequence([_reference(source) for source in sources])
    dataset.ReferencedSeriesSequence = DicomSequence([series])
    shared = groups or Dataset()
    if references == "shared":
        shared.DerivationImageSequence = _derivation(first)
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(
        [_frame_groups(source, number, references) for source, number, _ in frames]
    )
    _encode(dataset, [pixels for _, _, pixels in frames], syntax, bits)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID")
    return dataset


def as_ohif(source: Dataset, numbers: npt.NDArray[Any], names: Sequence[str], **tags: Any) -> FileDataset:
    """A label map as OHIF 3.13 stores it: run lengths, the image listed twice, no Frame Content Sequence, and
    the listed segments numbered 1, 2, ... whatever numbers are painted."""
    return seg(
        "LABELMAP",
        [(source, None, numbers.astype(np.uint8))],
        segments=[segment(i + 1, name) for i, name in enumerate(names)],
        sources=[source, source],
        syntax=RLELossless,
        SeriesDescription="Research Derived series",
        **tags,
    )


def painted(mask: npt.NDArray[Any], source: Dataset, kind: str, *, bits: int | None = None) -> list[Frame]:
    """The frames of a label map of ours, 1 benign and 2 malignant, in a kind of segmentation."""
    if kind == "LABELMAP":
        return [(source, None, mask.astype(np.uint16 if bits == 16 else np.uint8))]
    whole = 255 if kind == "FRACTIONAL" and bits != 1 else 1
    return [(source, number, (mask == number).astype(np.uint8) * np.uint8(whole)) for number in (1, 2)]


def to_bytes(dataset: Dataset) -> bytes:
    """As a DICOM file."""
    stream = BytesIO()
    dataset.save_as(stream, write_like_original=False)
    return stream.getvalue()


def padded(data: bytes) -> bytes:
    """To an even length."""
    return data + b"\0" * (len(data) % 2)


def _encode(dataset: Dataset, frames: Sequence[npt.NDArray[Any]], syntax: str, bits: int) -> None:
    if not frames:
        return
    if syntax in NATIVE:
        if bits == 1:
            flat = np.concatenate([frame.ravel() for frame in frames])
            dataset.PixelData = padded(np.packbits(flat.astype(bool), bitorder="little").tobytes())
        else:
            kind = "<u2" if bits == 16 else np.uint8
            dataset.PixelData = padded(b"".join(frame.astype(kind).tobytes() for frame in frames))
        dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
        return
    dataset.PixelData = encapsulate([padded(_stream(frame, syntax, bits)) for frame in frames])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True


def _stream(frame: npt.NDArray[Any], syntax: str, bits: int) -> bytes:
    if syntax == RLELossless:
        return rle(frame, bits)
    if syntax == DEFLATED_FRAMES:
        data = np.packbits(frame.astype(bool), bitorder="little") if bits == 1 else frame
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return packer.compress(data.tobytes()) + packer.flush()
    frame = frame.astype(np.uint16 if bits == 16 else np.uint8)
    return jpeg2000(frame, bits) if syntax == JPEG2000Lossless else jpeg_ls(frame)


def rle(frame: npt.NDArray[Any], bits: int) -> bytes:
    """PS3.5 Annex G: a segment for the high bytes, where there are any, then one for the low ones."""
    values = frame.astype(np.uint16).ravel()
    planes = [values >> 8, values & 255] if bits == 16 else [values]
    coded = [_runs(plane.astype(np.uint8).tolist()) for plane in planes]
    offsets, place = [], 64
    for plane in coded:
        offsets.append(place)
        place += len(plane)
    header = np.array([len(planes), *offsets, *[0] * (15 - len(offsets))], "<u4").tobytes()
    return header + b"".join(coded)


def _runs(values: list[int]) -> bytes:
    out, i = bytearray(), 0
    while i < len(values):
        n = 1
        while i + n < len(values) and values[i + n] == values[i] and n < 128:
            n += 1
        if n > 1:
            out += bytes([257 - n, values[i]])
        else:
            # Literals one by one: longer than need be, and as valid.
            out += bytes([0, values[i]])
        i += n
    return padded(bytes(out))


def _reference(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    return item


def _derivation(source: Dataset) -> DicomSequence:
    item = Dataset()
    item.SourceImageSequence = DicomSequence([_reference(source)])
    return DicomSequence([item])


def _frame_groups(source: Dataset, number: int | None, references: str) -> Dataset:
    group = Dataset()
    if references == "frames":
        group.DerivationImageSequence = _derivation(source)
    if number is not None:
        item = Dataset()
        item.ReferencedSegmentNumber = number
        group.SegmentIdentificationSequence = DicomSequence([item])
    return group
