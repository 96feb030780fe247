"""One image of a report, and the places of its lesions in it, as TID 1410 refers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from breastlabel.findings.dicom_source import laterality_of
from breastlabel.imaging.image import LabelArray
from breastlabel.imaging.vocabulary import Laterality, LesionClass

if TYPE_CHECKING:
    from highdicom.sr import ImageRegion, ReferencedSegmentationFrame
    from pydicom import Dataset

__all__ = ["ReportedImage", "outlined_region", "referenced_segment"]

_MOST_POINTS = 2000


@dataclass(frozen=True)
class ReportedImage:
    """One image of a report.

    Attributes:
        result: the answer as `result_json` or `BreastResults.result` gives it.
        source: the image.
        mask: (rows, cols) label map of the answer; a lesion is outlined where it is given, else boxed.
        segmentation: the answer as DICOM Segmentation, whose segments are then referred to.
        frame: of a cine loop, counted from 1.
    """

    result: Mapping[str, Any]
    source: Dataset
    mask: LabelArray | None = None
    segmentation: Dataset | None = None
    frame: int | None = None

    @property
    def frames(self) -> list[int] | None:
        """As references name them."""
        return None if self.frame is None else [self.frame]

    @cached_property
    def name(self) -> str:
        """Side and view, as far as they are known."""
        image = self.result.get("image") or {}
        known = [self.side.value if self.side else None, image.get("view_position")]
        return " ".join(str(word) for word in known if word) or str(image.get("modality") or "image")

    @cached_property
    def side(self) -> Laterality | None:
        """Of the breast, as the answer has it, else as the header does."""
        stated = (self.result.get("image") or {}).get("laterality")
        return Laterality(stated) if stated in set(Laterality) else laterality_of(self.source)


def referenced_segment(image: ReportedImage, taken: LesionClass) -> ReferencedSegmentationFrame | None:
    """The segment that is this lesion; None where there is none, or several lesions share their class's."""
    from highdicom.sr import ReferencedSegmentationFrame, SourceImageForSegmentation

    alike = [f for f in image.result["findings"] if f["class"] == taken.label]
    if image.segmentation is None or len(alike) != 1:
        return None
    frames = image.segmentation.PerFrameFunctionalGroupsSequence
    for number, item in enumerate(frames, start=1):
        if int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber) == int(taken):
            segment = ReferencedSegmentationFrame(
                sop_class_uid=image.segmentation.SOPClassUID,
                sop_instance_uid=image.segmentation.SOPInstanceUID,
                frame_number=number,
                segment_number=int(taken),
                source_image=SourceImageForSegmentation(
                    image.source.SOPClassUID, image.source.SOPInstanceUID, image.frames
                ),
            )
            # highdicom wants both numbers; PS3.3 table 10-3 allows one, and TID 1410 asks for the frame's.
            del segment[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
            return segment
    return None


def outlined_region(image: ReportedImage, finding: Mapping[str, Any]) -> ImageRegion:
    """The lesion's outline, else its box, as a closed polyline (PS3.3 C.18.6)."""
    from highdicom.sr import ImageRegion, SourceImageForRegion

    return ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=_outline(image.mask, finding),
        source_image=SourceImageForRegion(
            image.source.SOPClassUID, image.source.SOPInstanceUID, image.frames
        ),
    )


def _outline(mask: LabelArray | None, finding: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """(n, 2) of (column, row), the first point again at the end; 0\\0 is the first pixel's outer corner."""
    top, left, bottom, right = (int(v) for v in finding["bounding_box"])
    box = np.array(
        [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], dtype=np.float64
    )
    if mask is None:
        return box
    from skimage.measure import find_contours, label

    painted = mask[top:bottom, left:right] == LesionClass[finding["class"].upper()]
    parts = label(painted, connectivity=2)
    # Another lesion may reach into the box; this one fills it from edge to edge.
    spans = [np.argwhere(parts == part) for part in range(1, int(parts.max()) + 1)]
    filling = [s for s in spans if not s.min(axis=0).any() and tuple(s.max(axis=0) + 1) == painted.shape]
    if not filling:
        return box
    alone = np.zeros((bottom - top + 2, right - left + 2))
    alone[tuple((filling[0] + 1).T)] = 1.0
    contour = max(find_contours(alone, 0.5, fully_connected="high"), key=len)
    step = -(-len(contour) // _MOST_POINTS)
    points = np.concatenate([contour[:-1:step], contour[:1]])
    return np.stack([points[:, 1] + left - 0.5, points[:, 0] + top - 0.5], axis=1)
