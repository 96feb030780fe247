"""The label maps that follow from a segmentation, once it is known what its segments mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from breastlabel.catalog.label_batch import Reading
from breastlabel.datasets import class_of_mask
from breastlabel.findings.dicom_seg_parts import Segment, refused
from breastlabel.findings.dicom_seg_reading import SegmentationContent, label_planes
from breastlabel.findings.segment_names import Meaning, display_names
from breastlabel.imaging.files import image_space
from breastlabel.label.saving import packed_nifti
from breastlabel.web.seg_sources import Source

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["headers_of", "readings_of", "unknown_segments"]


def unknown_segments(content: SegmentationContent, meanings: Mapping[int, Meaning | None]) -> list[Segment]:
    """The segments about which there is a question: of the painted ones, else of all that are listed.

    Raises:
        InvalidLabelError: none of them says anything about lesions.
    """
    if content.segments:
        return [s for s in content.segments if meanings[s.number] is None]
    listed = [s for s in content.header.segments if not s.background]
    if not listed or all(meanings[s.number] is Meaning.IGNORE for s in listed):
        raise refused("a segment for lesions, or a painted one", "the segmentation has neither")
    if any(meanings[s.number] in (Meaning.BENIGN, Meaning.MALIGNANT) for s in listed):
        return []
    return [s for s in listed if meanings[s.number] is None]


def readings_of(
    dataset: Dataset,
    content: SegmentationContent,
    sources: Mapping[str, Source],
    meanings: Mapping[int, Meaning | None],
    notes: Mapping[str, Any],
) -> list[Reading]:
    """A label map for each image that gets a version.

    - An image on which a benign or malignant pixel is painted.
    - Where the segmentation paints nothing at all: every image that it refers to, as normal, if it lists a
      segment of ours: the reader was looking for lesions, and saw none.
    - An image on which nothing is painted, of one that paints on another image: only where the sender
      says that it is ``complete``, for viewers write frames of images nobody looked at, too.

    Args:
        notes: ``notes`` for the labels, ``seconds_spent`` on all of them, ``complete``.

    Raises:
        InvalidLabelError: an image's file is another one than was drawn on.
    """
    classes = {n: c for n, meaning in meanings.items() if meaning and (c := meaning.lesion_class) is not None}
    painted = [uid for uid, numbers in content.painted.items() if numbers & set(classes)]
    if not content.segments:
        chosen = list(content.header.sources) if classes else []
    else:
        chosen = list(content.header.sources) if notes["complete"] and classes else painted
    planes = label_planes(dataset, content, headers_of(sources), classes)
    names = display_names(content.header.segments)
    readings = []
    for uid in chosen:
        source = sources[uid]
        shape, geometry = image_space(source.file)
        if shape != content.header.shape:
            raise refused(
                "pixels of the image as it now is", "the image's file was replaced", "draw it again"
            )
        mask = planes.get(uid, np.zeros(shape, np.uint8))
        said = {names[n]: str(meanings[n]) for n in sorted(content.painted.get(uid, ()))}
        data = packed_nifti(mask, geometry)
        readings.append(
            Reading(
                image_id=source.image_id,
                data=data,
                label=class_of_mask(mask).label,
                seconds_spent=_share(notes["seconds_spent"], len(chosen)),
                info={**notes["notes"], "segments": said},
            )
        )
    return readings


def _share(seconds: float | None, images: int) -> float | None:
    return None if seconds is None else seconds / images


def headers_of(sources: Mapping[str, Source]) -> dict[str, Dataset]:
    """The images' headers by SOP Instance UID."""
    return {uid: source.header for uid, source in sources.items()}
