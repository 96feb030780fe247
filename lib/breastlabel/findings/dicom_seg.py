"""A label map as DICOM Segmentation (PS3.3 A.51): BINARY, one segment a class, one object an image.

- Segment 1 is ``benign`` and segment 2 ``malignant``, always both, so that a segment's number is the value
  with which the class is painted in a label map, and a viewer offers both to a reader who corrects.
- A class that is not painted has no frame. Where none is, which means "no lesion", segment 1 has one frame of
  zeros: pixel data must not be empty (C.7.6.3), and a frame must belong to a segment.
- Mammograms and ultrasound stills mostly have no frame of reference. The Derivation Image macro says which
  image, and which of its frames, each pixel belongs to (A.51.3 asks for this or for the planes' positions);
  the outline has the image's rows and columns, and Spatial Locations Preserved is YES.
- Plane Orientation holds the image's own Image Orientation (Patient), which few of these images have; else
  the identity, which says no more than that the outline is not turned against the image. OHIF needs it: its
  reader (3.13) refuses an object without orientation, and supposes this one for the image.
- There is no Pixel Measures macro: a projection has no slice thickness, without which readers refuse the
  macro. Sizes in mm stand in the report (`breastlabel.findings.dicom_sr`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.findings.dicom_codes import ABNORMAL_STRUCTURE, CLASSES, DISPLAY_COLORS, LESION
from breastlabel.findings.dicom_identity import (
    EQUIPMENT,
    Algorithm,
    is_our_uid,
    is_ours,
    our_uid,
    require_highdicom,
)
from breastlabel.findings.dicom_source import (
    breast_region,
    check_source,
    copy_image_facts,
    copy_patient_and_study,
    frame_count,
    image_orientation,
    laterality_of,
    person_name,
    plain_dataset,
    stamp,
    stand_in,
)
from breastlabel.findings.result import RESEARCH_USE
from breastlabel.imaging.image import LabelArray
from breastlabel.imaging.vocabulary import LesionClass

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

__all__ = ["Algorithm", "is_our_uid", "is_ours", "segmentation_dataset"]

_SERIES_NUMBER = 9001


def segmentation_dataset(
    mask: LabelArray,
    source: Dataset,
    *,
    algorithm: Algorithm | None,
    series_description: str,
    corrected: bool = False,
    creator: str | None = None,
    probability: float | None = None,
    frame: int | None = None,
    created: datetime | None = None,
) -> Dataset:
    """A label map of an image as a DICOM Segmentation, with its file meta information.

    The UIDs follow from the image, the maker and the content: writing the same result again gives the same
    object, and all results of a model's version on an image are one series.

    Args:
        mask: (rows, cols) of the image, or of its frame.
        source: the image; its pixels are not needed.
        algorithm: what outlined; None for a reader by hand.
        series_description: as viewers show it, at most 64 characters.
        corrected: a reader corrected what the algorithm outlined (SEMIAUTOMATIC).
        creator: the reader's name or login.
        probability: of malignancy, said in the segments' descriptions.
        frame: the frame of a cine loop, counted from 1.
        created: the content's date and time; None: the present ones.

    Raises:
        InvalidImageError: the source lacks a UID, or several frames come and none is named.
        InvalidLabelError: the mask has another size, or values other than 0, 1 and 2.
        MissingDependencyError: highdicom is not installed.
    """
    require_highdicom()
    from highdicom.seg import Segmentation

    check_source(source)
    _check_frame(source, frame)
    _check_mask(mask, source)
    maker = ("", "") if algorithm is None else (algorithm.name, algorithm.version)
    kind = "reading" if algorithm is None else "correction" if corrected else "proposal"
    about = (str(source.SOPInstanceUID), str(frame or ""), kind, *maker, creator or "")
    content = (np.packbits(mask > 0).tobytes(), np.packbits(mask == LesionClass.MALIGNANT).tobytes())
    uid = our_uid("SEG", *about, series_description, repr(probability), *content)
    segmentation = Segmentation(
        source_images=[stand_in(source)],
        pixel_array=np.ascontiguousarray(mask),
        segmentation_type="BINARY",
        segment_descriptions=[
            _segment(c, source, algorithm, corrected=corrected, probability=probability, about=about)
            for c in (LesionClass.BENIGN, LesionClass.MALIGNANT)
        ],
        series_instance_uid=our_uid("SEG series", *about),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=1,
        **EQUIPMENT,
        content_label=kind.upper(),
        content_description=RESEARCH_USE,
        series_description=series_description[:64],
        omit_empty_frames=bool(mask.any()),
    )
    copy_patient_and_study(source, segmentation)
    _refer(segmentation, source, frame)
    _describe(segmentation, source, creator=creator, about=about)
    stamp(segmentation, source, created)
    _tidy_pixels(segmentation, empty=not mask.any())
    return plain_dataset(segmentation)


def _segment(
    lesion: LesionClass,
    source: Dataset,
    algorithm: Algorithm | None,
    *,
    corrected: bool,
    probability: float | None,
    about: Sequence[str],
) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sequence import Sequence as DicomSequence

    identified = None
    if algorithm is not None:
        identified = AlgorithmIdentificationSequence(
            name=algorithm.name,
            version=algorithm.version,
            family=algorithm.family.code(),
            parameters=dict(algorithm.parameters) or None,
        )
    segment = SegmentDescription(
        segment_number=int(lesion),
        segment_label=lesion.label,
        segmented_property_category=ABNORMAL_STRUCTURE.code(),
        segmented_property_type=LESION.code(),
        algorithm_type="MANUAL" if algorithm is None else "SEMIAUTOMATIC" if corrected else "AUTOMATIC",
        algorithm_identification=identified,
        tracking_uid=our_uid("segment", *about, lesion.label),
        tracking_id=lesion.label,
    )
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    kind.SegmentedPropertyTypeModifierCodeSequence = DicomSequence([CLASSES[lesion].item()])
    segment.AnatomicRegionSequence = DicomSequence([breast_region(laterality_of(source))])
    segment.RecommendedDisplayCIELabValue = list(DISPLAY_COLORS[lesion])
    if probability is not None:
        segment.SegmentDescription = f"Probability of malignancy {probability:.3f}. {RESEARCH_USE}"
    return segment


def _refer(segmentation: Dataset, source: Dataset, frame: int | None) -> None:
    """Name the image's own class, and the frame where one of several was outlined."""
    from highdicom import PlaneOrientationSequence

    segmentation.SourceImageSequence[0].ReferencedSOPClassUID = source.SOPClassUID
    series = segmentation.ReferencedSeriesSequence[0]
    series.ReferencedInstanceSequence[0].ReferencedSOPClassUID = source.SOPClassUID
    for item in segmentation.PerFrameFunctionalGroupsSequence:
        image = item.DerivationImageSequence[0].SourceImageSequence[0]
        image.ReferencedSOPClassUID = source.SOPClassUID
        if frame is not None:
            image.ReferencedFrameNumber = frame
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence = PlaneOrientationSequence("PATIENT", image_orientation(source))


def _describe(segmentation: Dataset, source: Dataset, *, creator: str | None, about: Sequence[str]) -> None:
    segmentation.ContentQualification = "RESEARCH"
    segmentation.ContentCreatorName = person_name(creator)
    segmentation.BodyPartExamined = "BREAST"
    copy_image_facts(source, segmentation)
    dimensions = our_uid("dimensions", *about)
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions


def _tidy_pixels(segmentation: Dataset, *, empty: bool) -> None:
    """Keep one of an empty label map's two frames of zeros, and pad with a zero (PS3.5 8.1.1), not a "0"."""
    if empty:
        segmentation.PerFrameFunctionalGroupsSequence = segmentation.PerFrameFunctionalGroupsSequence[:1]
        segmentation.NumberOfFrames = 1
    frames = int(segmentation.NumberOfFrames)
    size = -(-segmentation.Rows * segmentation.Columns * frames // 8)
    segmentation.PixelData = segmentation.PixelData[:size] + bytes(size % 2)


def _check_frame(source: Dataset, frame: int | None) -> None:
    frames = frame_count(source)
    if frame is None and frames > 1:
        raise InvalidImageError(
            f"a still image is required; this one has {frames} frames; say which frame was outlined"
        )
    if frame is not None and not 1 <= frame <= frames:
        raise InvalidImageError(f"a frame from 1 to {frames} is required; got {frame}")


def _check_mask(mask: LabelArray, source: Dataset) -> None:
    shape = (int(source.Rows), int(source.Columns))
    if mask.shape != shape:
        raise InvalidLabelError(
            f"a label map of the image's {shape[0]} x {shape[1]} pixels is required; got shape {mask.shape}; "
            "outline the image in its own size"
        )
    if mask.size and int(mask.max()) > LesionClass.MALIGNANT:
        raise InvalidLabelError(
            f"label values 0 (nothing), 1 (benign) and 2 (malignant) are required; got {int(mask.max())}"
        )
