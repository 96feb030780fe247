"""Mammography phantoms as DICOM: the image for presentation, and its truth as a segmentation.

The image is a Digital Mammography X-Ray Image for presentation (PS3.3 A.27), uncompressed. Patients, dates
and UIDs are invented and a function of the names given, so that the same phantom is the same file, byte for
byte.
"""

from __future__ import annotations

import uuid
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from breastlabel.datasets.mammogram_exam import MammogramView
from breastlabel.imaging.mammogram_writing import FOR_PRESENTATION, add_breast_and_view
from breastlabel.imaging.vocabulary import Laterality, LesionClass, ViewPosition

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Names", "mammogram_dataset", "truth_dataset"]

_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_TIME = "093000"
_SOFTWARE = "breastlabel phantom"


class Names(NamedTuple):
    """What a phantom is called.

    Attributes:
        patient: the invented patient id, such as ``PHANTOM-1-0003``.
        study: which of the patient's exams.
        image: tells the images of a study apart, such as ``rcc``.
        number: of the image in its study, from 1 on.
        birth_year: of the patient.
    """

    patient: str
    study: str
    image: str
    number: int
    birth_year: int

    def uid(self, kind: str) -> str:
        """A UID made from a UUID (PS3.5 B.2), equal for equal names."""
        of = {"study": (self.study,), "series": (self.study,), "frame": (self.study, self.image)}
        parts = (self.patient, kind, *of.get(kind, (self.study, self.image)))
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(parts)).int}"


def mammogram_dataset(view: MammogramView, names: Names) -> Dataset:
    """A view as a Digital Mammography X-Ray Image for presentation, with its file meta information."""
    from pydicom.dataset import Dataset, FileMetaDataset

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = FOR_PRESENTATION
    dataset.file_meta.MediaStorageSOPInstanceUID = names.uid("image")
    dataset.file_meta.TransferSyntaxUID = _EXPLICIT_LITTLE
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID = FOR_PRESENTATION
    dataset.SOPInstanceUID = names.uid("image")
    _add_patient_and_study(dataset, view, names)
    _add_equipment(dataset, view)
    _add_acquisition(dataset, view, names)
    _add_pixels(dataset, view)
    return dataset


def truth_dataset(view: MammogramView, image: Dataset, names: Names) -> Dataset:
    """The label map of a view with a lesion as a binary DICOM Segmentation of its image, one segment.

    highdicom is needed, which comes with the extra ``server``.
    """
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    label = LesionClass(int(view.mask.max()))
    malignant = label is LesionClass.MALIGNANT
    kind = (
        Code("86049000", "SCT", "Malignant neoplasm, primary")
        if malignant
        else Code("4147007", "SCT", "Mass")
    )
    segment = SegmentDescription(
        segment_number=1,
        segment_label=label.label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=kind,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=_SOFTWARE, family=codes.DCM.ArtificialIntelligence, version="1"
        ),
        tracking_uid=names.uid("lesion"),
        tracking_id=f"{names.patient}-{view.laterality}",
    )
    truth = Segmentation(
        source_images=[image],
        pixel_array=(view.mask > 0).astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[segment],
        series_instance_uid=names.uid("truth-series"),
        series_number=100 + names.number,
        sop_instance_uid=names.uid("truth"),
        instance_number=1,
        manufacturer="breastlabel",
        manufacturer_model_name="phantom",
        software_versions=_SOFTWARE,
        device_serial_number="1",
        content_label="TRUTH",
        content_description="Truth of a phantom",
    )
    # highdicom leaves it to the geometry, which an image without a frame of reference does not have.
    truth.PatientOrientation = image.PatientOrientation
    # highdicom takes these from the clock and from chance.
    for kept in ("ContentDate", "SeriesDate", "InstanceCreationDate"):
        if kept in truth:
            setattr(truth, kept, _da(view.acquired))
            setattr(truth, kept.replace("Date", "Time"), _TIME)
    dimensions = names.uid("truth-dimensions")
    for item in (*truth.DimensionOrganizationSequence, *truth.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
    return truth


def _da(day: date) -> str:
    return day.strftime("%Y%m%d")


def _add_patient_and_study(dataset: Dataset, view: MammogramView, names: Names) -> None:
    day = _da(view.acquired)
    dataset.PatientName = f"Phantom^{names.patient.removeprefix('PHANTOM-').replace('-', ' ')}"
    dataset.PatientID = names.patient
    dataset.PatientBirthDate = f"{names.birth_year}0101"
    dataset.PatientSex = "F"
    dataset.PatientAge = f"{view.age:03d}Y"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "invented"
    dataset.StudyInstanceUID = names.uid("study")
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = _TIME
    dataset.StudyID = names.study[:16]
    dataset.StudyDescription = "Phantom mammography"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.SeriesInstanceUID = names.uid("series")
    dataset.SeriesNumber = "1"
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"


def _add_equipment(dataset: Dataset, view: MammogramView) -> None:
    dataset.Manufacturer = view.machine.manufacturer
    dataset.ManufacturerModelName = view.machine.model
    dataset.InstitutionName = ""
    dataset.SoftwareVersions = _SOFTWARE
    dataset.DeviceSerialNumber = "1"


def _add_acquisition(dataset: Dataset, view: MammogramView, names: Names) -> None:
    from pydicom.sequence import Sequence

    dataset.ImageType = ["DERIVED", "PRIMARY", ""]
    dataset.InstanceNumber = str(names.number)
    add_breast_and_view(dataset, view.laterality, view.view_position)
    dataset.ImagesInAcquisition = "1"
    dataset.BurnedInAnnotation = "NO"  # the marker names the view, not the patient (C.7.6.1)
    dataset.LossyImageCompression = "00"
    dataset.BreastImplantPresent = "NO"
    dataset.PositionerPrimaryAngle = _angle(view)
    dataset.DetectorType = "DIRECT"
    dataset.DetectorConfiguration = "AREA"
    dataset.DetectorDescription = "invented"
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.ImagerPixelSpacing = [f"{view.spacing_mm:.6g}"] * 2
    dataset.EstimatedRadiographicMagnificationFactor = "1"
    dataset.DerivationDescription = "Computed phantom"


def _angle(view: MammogramView) -> str:
    if view.view_position is ViewPosition.CC:
        return "0"
    return "-45" if view.laterality is Laterality.L else "45"


def _add_pixels(dataset: Dataset, view: MammogramView) -> None:
    top = 2**view.machine.bits - 1
    values = view.pixels
    low, high = view.machine.floor * top, view.machine.ceiling * top
    if view.machine.inverted:
        values, low, high = top - values, top - high, top - low
    stored = np.rint(values).astype("<u2")
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if view.machine.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = view.machine.bits
    dataset.HighBit = view.machine.bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if view.machine.inverted else -1
    dataset.RescaleIntercept = "0"
    dataset.RescaleSlope = "1"
    dataset.RescaleType = "US"
    dataset.PresentationLUTShape = "INVERSE" if view.machine.inverted else "IDENTITY"
    dataset.WindowCenter = f"{(low + high + 1) / 2:.1f}"
    dataset.WindowWidth = f"{high - low:.1f}"
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
