"""Phantom mammograms as DICOM: what the standard requires, reading back, truth as a segmentation."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from breastlabel.datasets.mammogram_dicom import Names, mammogram_dataset, truth_dataset
from breastlabel.datasets.phantoms import Machine, MammogramView, mammogram_exam
from breastlabel.imaging import LesionClass, Modality, read_image
from breastlabel.imaging.dicom_writing import dicom_bytes

pytest.importorskip("highdicom")

NAMES = Names(patient="PHANTOM-1-0003", study="newest", image="rcc", number=1, birth_year=1960)
SHAPE = (80, 64)


def views(machine: Machine = Machine.ALPHA) -> list[MammogramView]:
    return mammogram_exam(
        7,
        shape=SHAPE,
        classes=(LesionClass.BENIGN, LesionClass.MALIGNANT),
        prior=False,
        machine=machine,
    )


def parsed(dataset: Dataset) -> Dataset:
    return dcmread(io.BytesIO(dicom_bytes(dataset)))


def missing(dataset: Dataset, sop_class: str) -> list[str]:
    """Attributes of the standard's tables (PS3.3, as highdicom carries them) that the dataset lacks.

    Type 1 must be there with a value and type 2 be there, in every mandatory module, at every level whose
    sequence is there. Conditional attributes are left to the other tests.
    """
    from highdicom._iods import IOD_MODULE_MAP, SOP_CLASS_UID_IOD_KEY_MAP
    from highdicom._modules import MODULE_ATTRIBUTE_MAP

    found = []
    for module in IOD_MODULE_MAP[SOP_CLASS_UID_IOD_KEY_MAP[sop_class]]:
        # Functional groups may stand in either of two sequences, which the table does not say.
        if module["usage"] != "M" or module["key"].endswith("functional-groups"):
            continue
        for attribute in MODULE_ATTRIBUTE_MAP[module["key"]]:
            if attribute["type"] not in ("1", "2"):
                continue
            items = [dataset]
            for name in attribute["path"]:
                items = [inner for item in items for inner in item.get(name) or []]
            for item in items:
                keyword = attribute["keyword"]
                if keyword not in item or (attribute["type"] == "1" and item[keyword].is_empty):
                    found.append("/".join([module["key"], *attribute["path"], keyword]))
    return found


@pytest.mark.parametrize("machine", [Machine.ALPHA, Machine.BETA])
def test_every_required_attribute_is_there(machine: Machine) -> None:
    for view in views(machine):
        dataset = parsed(mammogram_dataset(view, NAMES))
        assert missing(dataset, dataset.SOPClassUID) == []
        assert missing(Dataset(), dataset.SOPClassUID)  # the check can fail


def test_the_header_says_what_the_picture_shows() -> None:
    orientation = {"RCC": ["P", "L"], "RMLO": ["P", "FL"], "LCC": ["A", "R"], "LMLO": ["A", "FR"]}
    for view in views():
        header = parsed(mammogram_dataset(view, NAMES))
        assert header.SOPClassUID.name == "Digital Mammography X-Ray Image Storage - For Presentation"
        assert header.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
        assert header.PresentationIntentType == "FOR PRESENTATION"
        assert header.Modality == "MG"
        assert header.ImageLaterality + header.ViewPosition == view.laterality + view.view_position
        assert list(header.PatientOrientation) == orientation[header.ImageLaterality + header.ViewPosition]
        assert header.ViewCodeSequence[0].CodeValue in ("399162004", "399368009")  # CID 4014
        assert header.AnatomicRegionSequence[0].CodeValue == "76752008"  # CID 4013
        assert header.BreastImplantPresent == "NO"
        assert str(header.PatientName) == "Phantom^1 0003"
        assert header.PatientID == "PHANTOM-1-0003"
        assert header.PatientAge == f"{view.age:03d}Y"


@pytest.mark.parametrize("machine", list(Machine))
def test_an_image_reads_back_as_it_was_made(machine: Machine, tmp_path: Path) -> None:
    for view in views(machine):
        path = tmp_path / "image.dcm"
        dataset = mammogram_dataset(view, NAMES)
        path.write_bytes(dicom_bytes(dataset))
        assert dataset.PhotometricInterpretation == f"MONOCHROME{1 if machine.style.inverted else 2}"
        image = read_image(path, modality=Modality.MG)
        assert image.shape == SHAPE
        assert image.spacing == pytest.approx((view.spacing_mm, view.spacing_mm), rel=1e-5)
        assert (image.laterality, image.view_position) == (view.laterality, view.view_position)
        assert (image.acquisition_date, image.age, image.implant) == (view.acquired, view.age, False)
        assert (image.manufacturer, image.machine_id) == (machine.style.manufacturer, machine.style.model)
        # A window may be applied, which is a straight line here.
        assert np.corrcoef(image.pixels.ravel(), view.pixels.ravel())[0, 1] > 0.9999


def test_the_truth_is_a_binary_segmentation_equal_to_the_label_map() -> None:
    from highdicom.seg import segread

    for view in views():
        image = mammogram_dataset(view, NAMES)
        data = dicom_bytes(truth_dataset(view, image, NAMES))
        truth = segread(io.BytesIO(data))
        assert truth.SegmentationType == "BINARY"
        assert truth.get_segment_description(1).segment_label == view.label.label
        source = truth.get_source_image_uids()
        assert source == [(image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)]
        planes = truth.get_pixels_by_source_instance([image.SOPInstanceUID])
        np.testing.assert_array_equal(planes[0, :, :, 0] * int(view.label), view.mask)
        assert missing(dcmread(io.BytesIO(data)), truth.SOPClassUID) == []


def test_files_are_equal_for_equal_phantoms_and_uids_differ_between_names() -> None:
    view = views()[0]
    first, again = (mammogram_dataset(view, NAMES) for _ in range(2))
    assert dicom_bytes(first) == dicom_bytes(again)
    assert dicom_bytes(truth_dataset(view, first, NAMES)) == dicom_bytes(truth_dataset(view, first, NAMES))
    sibling, prior = NAMES._replace(image="rmlo", number=2), NAMES._replace(study="prior")
    assert NAMES.uid("study") == sibling.uid("study") != prior.uid("study")
    assert NAMES.uid("series") == sibling.uid("series") != prior.uid("series")
    images = {names.uid("image") for names in (NAMES, sibling, prior)}
    assert len(images) == 3
    assert all(len(uid) <= 64 for uid in images)
