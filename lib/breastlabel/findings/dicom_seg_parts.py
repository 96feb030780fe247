"""What the segments and the frames of a DICOM segmentation are: PS3.3 C.8.20.2, C.8.20.3 and C.7.6.16.2."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from breastlabel.errors import InvalidLabelError
from breastlabel.imaging.dicom_values import Code, codes, is_uid, items, number, numbers, text

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "MAX_SEGMENTS",
    "FramePlace",
    "Kind",
    "Segment",
    "read_places",
    "read_segments",
    "references",
    "refused",
    "uid_of",
]

MAX_SEGMENTS = 1024

_BACKGROUND = Code("DCM", "125040")


class Kind(StrEnum):
    """What a stored pixel means."""

    #: 1 painted, 0 not; one frame for each segment and image. Fractional ones that viewers pack as bits too.
    BITS = "bits"
    #: A share of Maximum Fractional Value; one frame for each segment and image.
    FRACTIONS = "fractions"
    #: The number of a segment; one frame for each image.
    NUMBERS = "numbers"


@dataclass(frozen=True)
class Segment:
    """One entry of Segment Sequence (0062,0002).

    Attributes:
        number: as pixels or frames refer to it.
        label: in one line; empty where there is none.
        codes: its type and the type's modifiers.
        meaning: of the type's code, in words; empty where there is none.
        colour: CIELAB (L 0 to 100, a, b); None where none is recommended.
        background: what stands for "nothing here" in a label map.
    """

    number: int
    label: str = ""
    codes: tuple[Code, ...] = ()
    meaning: str = ""
    colour: tuple[float, float, float] | None = None
    background: bool = False

    @property
    def rgb(self) -> str | None:
        """The colour as viewers show it, ``#rrggbb``."""
        if self.colour is None:
            return None
        import numpy as np
        from skimage.color import lab2rgb

        with warnings.catch_warnings():
            # A colour that no screen can show is clipped.
            warnings.simplefilter("ignore")
            red, green, blue = (round(255 * float(v)) for v in lab2rgb(np.array(self.colour)))
        return f"#{red:02x}{green:02x}{blue:02x}"


class FramePlace(NamedTuple):
    """What a frame refers to.

    Attributes:
        source: SOP Instance UID of the image that it was drawn on.
        segment: the segment's number; None in a label map, whose pixels say it.
        spacing: (between rows, between columns) in mm; None where it is not stated.
        orientation: direction cosines of the rows and the columns; None where they are not stated.
        position: of the first pixel; None where it is not stated.
    """

    source: str
    segment: int | None
    spacing: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    position: tuple[float, ...] | None = None


def refused(required: str, came: str, remedy: str = "store it again from the viewer") -> InvalidLabelError:
    """The error of a segmentation that cannot be taken, in one line."""
    return InvalidLabelError(f"{required} is required; {came}; {remedy}")


def read_segments(dataset: Dataset, kind: Kind) -> tuple[Segment, ...]:
    """The segments as listed; they have different numbers.

    Raises:
        InvalidLabelError: they have not, or there are too many.
    """
    listed = items(dataset, "SegmentSequence")
    if len(listed) > MAX_SEGMENTS:
        raise refused(f"at most {MAX_SEGMENTS} segments", f"it lists {len(listed)}")
    stated = [number(item, "SegmentNumber") for item in listed]
    if any(n is not None and (n != int(n) or not 0 <= n <= 65535) for n in stated):
        raise refused("segment numbers from 0 to 65535", "there are others")
    # Without any, their places stand for them, as with viewers that leave them out.
    numbered = [i + 1 if n is None else int(n) for i, n in enumerate(stated)]
    if len(set(numbered)) < len(numbered):
        raise refused("a number of its own for each segment", "two segments have the same")
    padding = number(dataset, "PixelPaddingValue")
    return tuple(_segment(item, n, kind, padding) for item, n in zip(listed, numbered, strict=True))


def _segment(item: Dataset, n: int, kind: Kind, padding: float | None) -> Segment:
    types = items(item, "SegmentedPropertyTypeCodeSequence")
    found = codes(item, "SegmentedPropertyTypeCodeSequence")
    for part in (item, *types):
        found += codes(part, "SegmentedPropertyTypeModifierCodeSequence")
    stored = numbers(item, "RecommendedDisplayCIELabValue")
    colour = None
    if stored is not None and len(stored) == 3 and all(0 <= v <= 65535 for v in stored):
        lightness, a, b = (v / 65535 for v in stored)
        colour = (100 * lightness, 255 * a - 128, 255 * b - 128)
    return Segment(
        number=n,
        label=_printable(text(item, "SegmentLabel")),
        codes=tuple(dict.fromkeys(found)),
        meaning=_printable(text(types[0], "CodeMeaning")) if types else "",
        colour=colour,
        background=kind is Kind.NUMBERS and (n in (0, padding) or _BACKGROUND in found),
    )


def read_places(
    dataset: Dataset, frames: int, segments: Sequence[Segment], kind: Kind
) -> tuple[FramePlace, ...]:
    """What each frame refers to.

    A frame's own functional group comes first, then what all frames share, then the one image that the object
    as a whole refers to.

    Raises:
        InvalidLabelError: a frame refers to no image, to several, to a later frame of a loop, or to a segment
            that is not listed.
    """
    shared = items(dataset, "SharedFunctionalGroupsSequence")[:1]
    each = items(dataset, "PerFrameFunctionalGroupsSequence")
    if each and len(each) != frames:
        raise refused("functional groups for each frame", f"there are {len(each)} for {frames} frames")
    if not frames:
        return ()
    only: str | None = None
    known = {segment.number for segment in segments}
    places = []
    for index in range(frames):
        groups = [*each[index : index + 1], *shared]
        source = _source(groups)
        if source is None:
            only = only or _only_reference(dataset)
            source = only
        segment = None if kind is Kind.NUMBERS else _segment_number(groups, segments)
        if segment is not None and segment not in known:
            raise refused("frames of the segments that are listed", "a frame refers to another segment")
        places.append(
            FramePlace(
                source,
                segment,
                spacing=_stated(groups, "PixelMeasuresSequence", "PixelSpacing", 2),
                orientation=_stated(groups, "PlaneOrientationSequence", "ImageOrientationPatient", 6),
                position=_stated(groups, "PlanePositionSequence", "ImagePositionPatient", 3),
            )
        )
    return tuple(places)


def _source(groups: Sequence[Dataset]) -> str | None:
    """The image of a frame, from the frame's own groups, else from those that all frames share."""
    for group in groups:
        found: set[str] = set()
        for derivation in items(group, "DerivationImageSequence"):
            for image in items(derivation, "SourceImageSequence"):
                if set(numbers(image, "ReferencedFrameNumber") or (1.0,)) != {1.0}:
                    raise refused("a segmentation of stills", "it refers to a later frame of a loop")
                uid = uid_of(image, "ReferencedSOPInstanceUID")
                if uid is not None:
                    found.add(uid)
        if len(found) > 1:
            raise refused("one source image a frame", f"a frame has {len(found)}")
        if found:
            return found.pop()
    return None


def _only_reference(dataset: Dataset) -> str:
    found = references(dataset)
    if len(found) != 1:
        raise refused(
            "a source image for each frame",
            f"the frames name none, and the segmentation refers to {len(found)} images",
        )
    return found[0]


def references(dataset: Dataset) -> tuple[str, ...]:
    """The images that the object as a whole refers to, each once; OHIF lists them twice."""
    found: dict[str, None] = {}
    for series in items(dataset, "ReferencedSeriesSequence"):
        for image in items(series, "ReferencedInstanceSequence"):
            found[uid_of(image, "ReferencedSOPInstanceUID") or ""] = None
    for keyword in () if found else ("SourceImageSequence", "ReferencedImageSequence"):
        for image in items(dataset, keyword):
            found[uid_of(image, "ReferencedSOPInstanceUID") or ""] = None
    found.pop("", None)
    return tuple(found)


def _segment_number(groups: Sequence[Dataset], segments: Sequence[Segment]) -> int:
    for group in groups:
        for item in items(group, "SegmentIdentificationSequence"):
            found = number(item, "ReferencedSegmentNumber")
            if found is not None:
                return int(found)
    if len(segments) != 1:
        raise refused("a segment for each frame", "a frame names none")
    return segments[0].number


def _stated(groups: Sequence[Dataset], macro: str, keyword: str, length: int) -> tuple[float, ...] | None:
    for group in groups:
        for item in items(group, macro)[:1]:
            values = numbers(item, keyword)
            if values is not None and len(values) == length:
                return values
    return None


def uid_of(dataset: Dataset, keyword: str) -> str | None:
    """A UID (PS3.5 9.1); None where there is none, or something else."""
    found = text(dataset, keyword) or ""
    return found if is_uid(found) else None


def _printable(value: str | None) -> str:
    # Neither database nor page can hold control characters, PostgreSQL no NUL at all.
    return "".join(c for c in value or "" if c.isprintable()).strip()[:128]
