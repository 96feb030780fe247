"""Label maps as DICOM Segmentations: pixels, references, identity, and what the standard requires."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom import Dataset, dcmread
from tests.datasets.test_mammogram_dicom import NAMES, missing
from tests.e2e.serving import write_dicom
from tests.findings.dicom_images import MG, US, US_CINE, errors_of, image, read_back, region

from breastlabel.datasets.mammogram_dicom import mammogram_dataset
from breastlabel.datasets.phantoms import Machine, mammogram_exam
from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.findings.dicom_seg import Algorithm, is_ours, segmentation_dataset
from breastlabel.imaging import LesionClass

highdicom = pytest.importorskip("highdicom")

AI = Algorithm(name="mammography", version="12")
SHAPE = (19, 13)  # 247 pixels: no frame ends with a byte

masks = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda shape: arrays.arrays(np.uint8, shape, elements=st.integers(0, 2))
)
spacings = st.floats(0.02, 1.5).map(lambda v: round(v, 4))


def lesion(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A benign and a malignant region, and a second malignant one."""
    mask = np.zeros(shape, np.uint8)
    mask[2:6, 3:9], mask[10:15, 1:4], mask[-1, -1] = 1, 2, 2
    return mask


def by_pydicom(segmentation: Dataset) -> np.ndarray:
    """The label map as pydicom unpacks it, by the standard alone."""
    frames = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
    mask = np.zeros(frames.shape[1:], np.uint8)
    for item, frame in zip(segmentation.PerFrameFunctionalGroupsSequence, frames, strict=True):
        mask[frame == 1] = item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    return mask


def parsed(dataset: Dataset) -> Dataset:
    buffer = io.BytesIO()
    dataset.save_as(buffer, write_like_original=False)
    return dcmread(io.BytesIO(buffer.getvalue()))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    mask=masks,
    spacing=st.none() | st.tuples(spacings, spacings),
    keyword=st.sampled_from(["PixelSpacing", "ImagerPixelSpacing", "SequenceOfUltrasoundRegions"]),
    side=st.sampled_from(["R", "L", None]),
    algorithm=st.sampled_from([AI, None]),
    orientation=st.sampled_from([None, [1, 0, 0, 0, 0, -1]]),
    frame_of_reference=st.booleans(),
)
def test_a_label_map_comes_back_pixel_by_pixel(
    mask, spacing, keyword, side, algorithm, orientation, frame_of_reference
):
    tags = {"ImageLaterality": side} if side else {}
    if spacing is not None and keyword == "SequenceOfUltrasoundRegions":
        tags[keyword] = region(mask.shape, rows_mm=spacing[0], columns_mm=spacing[1])
    elif spacing is not None:
        tags[keyword] = list(spacing)
    if orientation is not None:
        tags["ImageOrientationPatient"] = orientation
    if frame_of_reference:
        tags["FrameOfReferenceUID"] = "1.2.3.999"
    kind = US if keyword == "SequenceOfUltrasoundRegions" else MG
    source = image(mask.shape, kind=kind, **tags)
    back = parsed(segmentation_dataset(mask, source, algorithm=algorithm, series_description="x"))
    np.testing.assert_array_equal(by_pydicom(back), mask)
    read = highdicom.seg.Segmentation.from_dataset(back)
    planes = read.get_pixels_by_source_instance([source.SOPInstanceUID], combine_segments=True)
    np.testing.assert_array_equal(planes[0], mask)
    assert len(back.PixelData) % 2 == 0
    assert back.NumberOfFrames == max(1, len(np.unique(mask[mask > 0])))
    assert list(
        back.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    ) == (orientation or [1, 0, 0, 0, 1, 0])
    assert back.get("FrameOfReferenceUID") == ("1.2.3.999" if frame_of_reference else None)
    assert missing(back, back.SOPClassUID) == []


def test_both_segments_are_described_and_number_as_label_maps_do():
    one = lesion()
    one[one == 1] = 0
    back = parsed(
        segmentation_dataset(one, image(SHAPE, ImageLaterality="L"), algorithm=AI, series_description="x")
    )
    benign, malignant = back.SegmentSequence
    assert [(s.SegmentNumber, s.SegmentLabel) for s in (benign, malignant)] == [
        (1, "benign"),
        (2, "malignant"),
    ]
    assert back.NumberOfFrames == 1
    for segment, modifier in ((benign, "30807003"), (malignant, "21594007")):
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert kind.CodeValue == "52988006"
        assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == modifier
        where = segment.AnatomicRegionSequence[0]
        assert where.CodeValue == "76752008"
        assert where.AnatomicRegionModifierSequence[0].CodeValue == "7771000"
        assert segment.SegmentAlgorithmName == "mammography"
        identified = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (identified.AlgorithmName, identified.AlgorithmVersion) == ("mammography", "12")
        assert identified.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert benign.TrackingUID != malignant.TrackingUID


@pytest.mark.parametrize(
    ("algorithm", "corrected", "kind", "label"),
    [
        (AI, False, "AUTOMATIC", "PROPOSAL"),
        (AI, True, "SEMIAUTOMATIC", "CORRECTION"),
        (None, False, "MANUAL", "READING"),
    ],
)
def test_it_says_who_outlined(algorithm, corrected, kind, label):
    back = parsed(
        segmentation_dataset(
            lesion(),
            image(SHAPE),
            algorithm=algorithm,
            corrected=corrected,
            series_description="x",
            creator="anna",
            probability=0.7312,
            created=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        )
    )
    assert {s.SegmentAlgorithmType for s in back.SegmentSequence} == {kind}
    assert back.ContentLabel == label
    assert back.ContentCreatorName == "anna^"
    assert "0.731" in back.SegmentSequence[0].SegmentDescription
    assert "research use" in back.ContentDescription
    assert back.ContentQualification == "RESEARCH"
    assert (back.Manufacturer, back.BodyPartExamined) == ("breastlabel", "BREAST")


def test_the_display_colours_are_those_of_our_pictures():
    from breastlabel.inference.overlay import CLASS_COLORS

    # sRGB to XYZ under D50, adapted by Bradford's method (Lindbloom), and the white point of the ICC's PCS.
    to_xyz = [[0.43607, 0.38506, 0.14308], [0.2225, 0.71688, 0.06062], [0.01393, 0.0971, 0.71417]]
    white = (0.96422, 1.0, 0.82521)
    back = parsed(segmentation_dataset(lesion(), image(SHAPE), algorithm=AI, series_description="x"))
    for segment, rgb in zip(back.SegmentSequence, CLASS_COLORS.values(), strict=True):
        linear = ((np.array(rgb) / 255 + 0.055) / 1.055) ** 2.4
        x, y, z = np.cbrt(np.array(to_xyz) @ linear / white)
        lab = np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
        stored = np.array(segment.RecommendedDisplayCIELabValue, float) / 65535
        np.testing.assert_allclose(stored * [100, 255, 255] - [0, 128, 128], lab, atol=0.05)


# What it takes over from its image


def test_patient_and_study_are_those_of_the_image_in_its_own_words():
    source = image(SHAPE, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Änne", PatientAge="054Y")
    source = parsed_with_pixels(source)
    back = parsed(segmentation_dataset(lesion(), source, algorithm=AI, series_description="x"))
    assert str(back.PatientName) == "Müller^Änne"
    assert back.SpecificCharacterSet == "ISO_IR 192"
    for keyword in ("PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyInstanceUID"):
        assert back[keyword].value == source[keyword].value
    for keyword in ("StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        assert back[keyword].value == source[keyword].value


def parsed_with_pixels(source: Dataset) -> Dataset:
    source.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
    source.is_little_endian, source.is_implicit_VR = True, False
    return parsed(source)


def test_what_the_image_lacks_is_left_empty_and_nothing_else_is_copied():
    absent = dict.fromkeys(
        ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
    )
    source = image(
        SHAPE, **absent, InstitutionName="Hospital", PatientComments="private", OperatorsName="X^Y"
    )
    source.add_new(0x00091001, "LO", "private")
    back = parsed(segmentation_dataset(lesion(), source, algorithm=AI, series_description="x"))
    for keyword in absent:
        assert keyword in back
        assert not back[keyword].value
    text = str(back)
    assert not any(secret in text for secret in ("Hospital", "private", "X^Y"))
    assert missing(back, back.SOPClassUID) == []


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientBirthDate", "19xx"), ("PatientSex", "W"), ("StudyTime", "noon"), ("PatientOrientation", "")],
)
def test_a_header_that_breaks_the_rules_is_no_hindrance(keyword, value):
    source = image(SHAPE)
    source.add_new(keyword, {"PatientBirthDate": "DA", "StudyTime": "TM"}.get(keyword, "CS"), value)
    back = parsed(segmentation_dataset(lesion(), source, algorithm=AI, series_description="x"))
    np.testing.assert_array_equal(by_pydicom(back), lesion())


def test_a_class_of_image_that_nobody_knows_is_referred_to_as_it_is():
    source = image(SHAPE, kind="1.2.840.10008.5.1.4.1.1.6")  # retired ultrasound image
    back = parsed(segmentation_dataset(lesion(), source, algorithm=AI, series_description="x"))
    assert references(back) == {("1.2.840.10008.5.1.4.1.1.6", source.SOPInstanceUID, None)}


def references(segmentation: Dataset) -> set[tuple[str, str, int | None]]:
    found = list(segmentation.SourceImageSequence)
    found += segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    for item in segmentation.PerFrameFunctionalGroupsSequence:
        found += item.DerivationImageSequence[0].SourceImageSequence
    return {
        (f.ReferencedSOPClassUID, f.ReferencedSOPInstanceUID, f.get("ReferencedFrameNumber")) for f in found
    }


def test_one_frame_of_a_cine_loop_is_referred_to_by_its_number():
    source = image(SHAPE, kind=US_CINE, NumberOfFrames=5)
    back = parsed(segmentation_dataset(lesion(), source, algorithm=AI, series_description="x", frame=4))
    assert (US_CINE, source.SOPInstanceUID, 4) in references(back)
    read = highdicom.seg.Segmentation.from_dataset(back)
    planes = read.get_pixels_by_source_frame(source.SOPInstanceUID, [4], combine_segments=True)
    np.testing.assert_array_equal(planes[0], lesion())
    assert (back.Rows, back.Columns) == SHAPE


def test_a_compressed_image_makes_its_outline_one_of_a_compressed_image():
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "8.5"}
    source = image(SHAPE, **lossy, LossyImageCompressionMethod="ISO_10918_1")
    back = parsed(segmentation_dataset(lesion(), source, algorithm=AI, series_description="x"))
    assert (back.LossyImageCompression, back.LossyImageCompressionRatio) == ("01", 8.5)


@pytest.mark.parametrize(
    ("offset", "date", "clock"), [("+0530", "20240507", "043809"), ("-1000", "20240506", "130809")]
)
def test_its_date_is_in_the_time_zone_of_the_image(offset, date, clock):
    moment = datetime(2024, 5, 6, 23, 8, 9, tzinfo=UTC)
    source = image(SHAPE, TimezoneOffsetFromUTC=offset)
    back = parsed(
        segmentation_dataset(lesion(), source, algorithm=AI, series_description="x", created=moment)
    )
    assert (back.ContentDate, back.ContentTime, back.TimezoneOffsetFromUTC) == (date, clock, offset)


# Identity


def test_the_same_result_is_the_same_object_and_another_is_not():
    def uids(mask=None, number=1, algorithm=AI, **options):
        source = image(SHAPE, number=number)
        made = segmentation_dataset(
            lesion() if mask is None else mask,
            source,
            algorithm=algorithm,
            series_description="x",
            **options,
        )
        assert is_ours(made)
        assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
        return made.SOPInstanceUID, made.SeriesInstanceUID

    first = uids()
    assert first == uids(created=datetime(2024, 1, 1, tzinfo=UTC))
    other_mask = lesion()
    other_mask[0, 0] = 1
    instance, series = uids(other_mask)
    assert instance != first[0]
    assert series == first[1]
    for different in (
        {"number": 2},
        {"algorithm": Algorithm(name="mammography", version="13")},
        {"algorithm": None},
        {"algorithm": None, "creator": "anna"},
        {"corrected": True},
    ):
        instance, series = uids(**different)
        assert instance != first[0]
        assert series != first[1]


def test_a_class_alone_makes_another_object():
    benign = np.where(lesion() == 2, 1, lesion()).astype(np.uint8)
    made = [
        segmentation_dataset(m, image(SHAPE), algorithm=AI, series_description="x").SOPInstanceUID
        for m in (lesion(), benign)
    ]
    assert made[0] != made[1]


# What is refused


def test_a_map_of_another_size_or_with_other_values_is_refused():
    with pytest.raises(InvalidLabelError, match="19 x 13"):
        segmentation_dataset(lesion((20, 13)), image(SHAPE), algorithm=AI, series_description="x")
    with pytest.raises(InvalidLabelError, match="got 3"):
        segmentation_dataset(lesion() + 1, image(SHAPE), algorithm=AI, series_description="x")


@pytest.mark.parametrize(
    "keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"]
)
def test_an_image_without_a_uid_is_refused_without_telling_whose(keyword):
    with pytest.raises(InvalidImageError, match=keyword) as refused:
        segmentation_dataset(lesion(), image(SHAPE, **{keyword: None}), algorithm=AI, series_description="x")
    assert not any(secret in str(refused.value) for secret in ("4711", "DOE", "1.2.3"))


@pytest.mark.parametrize("frame", [None, 0, 6])
def test_a_loop_needs_the_number_of_one_of_its_frames(frame):
    source = image(SHAPE, kind=US_CINE, NumberOfFrames=5)
    with pytest.raises(InvalidImageError, match="5"):
        segmentation_dataset(lesion(), source, algorithm=AI, series_description="x", frame=frame)


# Real files, and the standard's checker


def mammogram() -> tuple[np.ndarray, Dataset]:
    view = mammogram_exam(
        7,
        shape=(81, 67),
        classes=(LesionClass.BENIGN, LesionClass.MALIGNANT),
        prior=False,
        machine=Machine.ALPHA,
    )[0]
    return view.mask, mammogram_dataset(view, NAMES)


def ultrasound(folder: Path, *, frames: int | None = None) -> Dataset:
    shape = (96, 121) if frames is None else (frames, 96, 121)
    write_dicom(folder / "us.dcm", np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8))
    dataset = dcmread(folder / "us.dcm")
    dataset.SeriesInstanceUID = "1.2.3.4"
    return dataset


def test_a_mammogram_passes_the_checker(tmp_path):
    mask, source = mammogram()
    made = segmentation_dataset(mask, source, algorithm=AI, series_description="x", probability=0.7)
    assert errors_of(made, tmp_path) == []
    np.testing.assert_array_equal(by_pydicom(read_back(made, tmp_path)), mask)


def test_a_normal_mammogram_passes_the_checker(tmp_path):
    mask, source = mammogram()
    made = segmentation_dataset(
        np.zeros_like(mask), source, algorithm=None, series_description="x", creator="a b"
    )
    assert errors_of(made, tmp_path) == []
    back = read_back(made, tmp_path)
    assert back.NumberOfFrames == 1
    assert not back.pixel_array.any()
    read = highdicom.seg.segread(tmp_path / "written.dcm")
    assert not read.get_pixels_by_source_instance([source.SOPInstanceUID]).any()


@pytest.mark.parametrize("frames", [None, 3])
def test_ultrasound_passes_the_checker(frames, tmp_path):
    source = ultrasound(tmp_path, frames=frames)
    mask = lesion((96, 121))
    made = segmentation_dataset(
        mask,
        source,
        algorithm=AI,
        corrected=True,
        creator="anna",
        series_description="x",
        frame=None if frames is None else 2,
    )
    assert errors_of(made, tmp_path) == []
    np.testing.assert_array_equal(by_pydicom(read_back(made, tmp_path)), mask)


def test_a_frame_of_reference_passes_the_checker(tmp_path):
    mask, source = mammogram()
    source.FrameOfReferenceUID, source.PositionReferenceIndicator = "1.2.3.999", ""
    made = segmentation_dataset(mask, source, algorithm=AI, series_description="x")
    assert errors_of(made, tmp_path) == []


def test_a_full_size_mammogram_is_written_at_once():
    shape = (4096, 3328)
    mask = np.zeros(shape, np.uint8)
    mask[1000:1400, 800:1500], mask[2000:2100, 100:200] = 2, 1
    source = image(shape)
    segmentation_dataset(lesion(), image(SHAPE), algorithm=AI, series_description="x")  # imports
    start = time.process_time()
    made = segmentation_dataset(mask, source, algorithm=AI, series_description="x")
    seconds = time.process_time() - start
    assert len(made.PixelData) == 2 * shape[0] * shape[1] // 8
    # Some 0.05 s; unpacked pixel by pixel it would take minutes.
    assert seconds < 2.0
