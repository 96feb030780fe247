"""DICOM segmentations of any viewer -> label maps on the images' own pixels.

pydicom alone reads them: highdicom refuses what OHIF writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidLabelError
from breastlabel.findings.dicom_seg_frames import seg_frames
from breastlabel.findings.dicom_seg_grid import frame_flip
from breastlabel.findings.dicom_seg_header import SegmentationHeader, is_segmentation, read_header
from breastlabel.findings.dicom_seg_parts import Kind, Segment
from breastlabel.imaging import LabelArray
from breastlabel.imaging.vocabulary import LesionClass

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["SegmentationContent", "is_segmentation", "label_planes", "read_header", "read_segmentation"]


@dataclass(frozen=True)
class SegmentationContent:
    """A segmentation whose frames lie on the images that they refer to.

    Attributes:
        header: with a segment for every number that is painted.
        painted: image's SOP Instance UID -> numbers of the segments of which a pixel is painted there, the
            background left out. An image that frames refer to is there with none as well.
    """

    header: SegmentationHeader
    painted: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments that are painted somewhere, by number."""
        found = frozenset().union(*self.painted.values()) if self.painted else frozenset()
        return tuple(s for s in sorted(self.header.segments, key=lambda s: s.number) if s.number in found)


def read_segmentation(
    dataset: Dataset, sources: Mapping[str, Dataset], *, header: SegmentationHeader | None = None
) -> SegmentationContent:
    """Read what is painted where.

    A fraction counts as painted from half of Maximum Fractional Value on, whether it is a probability or an
    occupancy; fractions that are packed as bits are 0 or 1.

    A label map whose only segment is listed under another number than the only one that is painted means that
    segment: viewers number their list anew when they store it. Any other number that is painted
    and not listed becomes a segment without a name.

    Args:
        sources: the images by SOP Instance UID, pixels not needed.
        header: `read_header` of the dataset, where the caller has read it.

    Raises:
        InvalidLabelError: damaged, too large, or drawn on another grid of pixels than an image's.
    """
    header = header or read_header(dataset)
    for place in header.frames:
        frame_flip(place, header.shape, sources[place.source])
    painted: dict[str, set[int]] = {source: set() for source in header.sources}
    background = _background(header)
    for place, frame in zip(header.frames, seg_frames(dataset, header), strict=True):
        if place.segment is None:
            painted[place.source] |= _numbers_in(frame) - background
        elif _is_painted(frame, header).any():
            painted[place.source].add(place.segment)
    found = set().union(*painted.values())
    header = _with_every_segment(header, found)
    return SegmentationContent(header, {source: frozenset(numbers) for source, numbers in painted.items()})


def label_planes(
    dataset: Dataset,
    content: SegmentationContent,
    sources: Mapping[str, Dataset],
    classes: Mapping[int, LesionClass],
) -> dict[str, LabelArray]:
    """A label map for each image that frames refer to: 0 nothing, 1 benign, 2 malignant.

    Where segments overlap, malignant wins.

    Args:
        content: `read_segmentation` of the dataset.
        classes: segment's number -> class; others are left out.

    Raises:
        InvalidLabelError: as `read_segmentation`.
    """
    header = content.header
    planes = {place.source: np.zeros(header.shape, np.uint8) for place in header.frames}
    values = np.zeros(65536 if header.bits == 16 else 256, np.uint8)
    for number, lesion_class in classes.items():
        if number < len(values):
            values[number] = int(lesion_class)
    for place, frame in zip(header.frames, seg_frames(dataset, header), strict=True):
        if place.segment is None:
            drawn = values[frame]
        else:
            drawn = _is_painted(frame, header).astype(np.uint8) * np.uint8(classes.get(place.segment, 0))
        flip = frame_flip(place, header.shape, sources[place.source])
        drawn = drawn[:: -1 if flip.rows else 1, :: -1 if flip.columns else 1]
        np.maximum(planes[place.source], drawn, out=planes[place.source])
    return planes


def _background(header: SegmentationHeader) -> set[int]:
    return {0} | {segment.number for segment in header.segments if segment.background}


def _is_painted(frame: npt.NDArray[Any], header: SegmentationHeader) -> npt.NDArray[np.bool_]:
    if header.kind is Kind.BITS:
        return frame
    return np.asarray(frame >= (header.maximum + 1) // 2)


def _numbers_in(frame: npt.NDArray[Any]) -> set[int]:
    seen = np.zeros(65536 if frame.dtype.itemsize == 2 else 256, np.bool_)
    seen[frame] = True
    return {int(n) for n in np.flatnonzero(seen)}


def _with_every_segment(header: SegmentationHeader, painted: set[int]) -> SegmentationHeader:
    listed = [segment for segment in header.segments if not segment.background]
    missing = sorted(painted - {segment.number for segment in listed})
    if not missing:
        return header
    if len(listed) == len(painted) == 1:
        added = [replace(listed[0], number=missing[0])]
        return replace(header, segments=tuple(added))
    if len(missing) > 32:
        raise InvalidLabelError(
            f"segments for the numbers that are painted are required; {len(missing)} of them are not listed; "
            "store it again from the viewer"
        )
    return replace(header, segments=(*header.segments, *(Segment(number) for number in missing)))
