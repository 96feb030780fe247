"""Segmentations of any viewer come back as the label maps that were painted."""

from __future__ import annotations

import time
import tracemalloc
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000, ExplicitVRBigEndian, RLELossless
from tests.findings.seg_writer import (
    BENIGN,
    DEFLATED_FRAMES,
    MALIGNANT,
    NATIVE,
    STREAMS,
    as_ohif,
    image,
    painted,
    seg,
    segment,
    to_bytes,
)

from breastlabel.errors import InvalidLabelError
from breastlabel.findings.dicom_seg_header import MAX_FRAMES
from breastlabel.findings.dicom_seg_reading import label_planes, read_header, read_segmentation
from breastlabel.imaging.vocabulary import LesionClass

CLASSES = {1: LesionClass.BENIGN, 2: LesionClass.MALIGNANT}
#: Kind, bits allocated, and the transfer syntaxes in which pixels of it may be.
KINDS = [
    *(("BINARY", 1, syntax) for syntax in (*NATIVE, DEFLATED_FRAMES)),
    ("BINARY", 8, NATIVE[1]),
    ("FRACTIONAL", 1, NATIVE[1]),
    *(("FRACTIONAL", 8, syntax) for syntax in (*NATIVE, *STREAMS)),
    *(("LABELMAP", 8, syntax) for syntax in (*NATIVE, *STREAMS)),
    *(("LABELMAP", 16, syntax) for syntax in (*NATIVE, RLELossless, STREAMS[1], DEFLATED_FRAMES)),
]


def again(dataset):
    """As a file that somebody stored and that was read again, where pydicom can write it."""
    if dataset.file_meta.TransferSyntaxUID == DEFLATED_FRAMES:
        return dataset
    return dcmread(BytesIO(to_bytes(dataset)))


def planes_of(dataset, *sources, classes=CLASSES):
    headers = {source.SOPInstanceUID: source for source in sources}
    content = read_segmentation(dataset, headers)
    return label_planes(dataset, content, headers, classes)


def refused(dataset, *sources):
    with pytest.raises(InvalidLabelError) as caught:
        planes_of(dataset, *sources)
    message = str(caught.value)
    assert message.count(";") >= 1 or "," in message
    assert "SECRET" not in message
    assert "4711" not in message
    return message


def blob(shape, *, value=2, at=(2, 3), size=(4, 5)):
    mask = np.zeros(shape, np.uint8)
    mask[at[0] : at[0] + size[0], at[1] : at[1] + size[1]] = value
    return mask


@st.composite
def masks(draw):
    """A label map without symmetry in an image of some size."""
    rows, columns = draw(st.integers(1, 41)), draw(st.integers(1, 53))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = rng.choice(3, size=(rows, columns), p=[0.6, 0.2, 0.2]).astype(np.uint8)
    return mask * np.uint8(draw(st.booleans()) or rng.integers(0, 2, (rows, columns)))


@given(
    mask=masks(),
    how=st.sampled_from(KINDS),
    modality=st.sampled_from(["MG", "US"]),
    side=st.sampled_from(["R", "L", None]),
    spacing=st.one_of(st.none(), st.tuples(st.floats(0.01, 2), st.floats(0.01, 2))),
    stated=st.booleans(),
    references=st.sampled_from(["frames", "shared", "series"]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_painted_comes_back_pixel_for_pixel(mask, how, modality, side, spacing, stated, references):
    kind, bits, syntax = how
    if syntax in STREAMS[1:3]:
        # The encoders need a few pixels.
        mask = np.pad(mask, ((0, 40), (0, 40)))
    tags = {"PixelSpacing": [f"{v:.6g}" for v in spacing]} if spacing else {}
    source = image(mask.shape, modality=modality, **tags, **({"ImageLaterality": side} if side else {}))
    groups = Dataset()
    if stated and spacing:
        measures = Dataset()
        measures.PixelSpacing = tags["PixelSpacing"]
        groups.PixelMeasuresSequence = Sequence([measures])
    stored = seg(
        kind,
        painted(mask, source, kind, bits=bits),
        bits=bits,
        syntax=syntax,
        references=references,
        groups=groups,
    )
    planes = planes_of(again(stored), source)
    assert list(planes) == [source.SOPInstanceUID]
    assert planes[source.SOPInstanceUID].dtype == np.uint8
    np.testing.assert_array_equal(planes[source.SOPInstanceUID], mask)


def test_ours_come_back_too():
    pytest.importorskip("highdicom")
    from breastlabel.findings.dicom_seg import segmentation_dataset

    source = image((20, 30))
    for mask in (blob((20, 30), value=1), blob((20, 30)), np.zeros((20, 30), np.uint8)):
        stored = segmentation_dataset(mask, source, algorithm=None, series_description="reading")
        np.testing.assert_array_equal(planes_of(again(stored), source)[source.SOPInstanceUID], mask)


@pytest.mark.parametrize(("maximum", "first"), [(255, 128), (100, 50), (1, 1), (3, 2)])
def test_a_fraction_counts_from_half_on(maximum, first):
    source = image((4, 64))
    values = np.arange(256, dtype=np.uint8).reshape(4, 64)
    for kind in ("PROBABILITY", "OCCUPANCY"):
        stored = seg(
            "FRACTIONAL",
            [(source, 2, values)],
            MaximumFractionalValue=maximum,
            SegmentationFractionalType=kind,
        )
        mask = planes_of(stored, source)[source.SOPInstanceUID]
        assert int(np.flatnonzero(mask)[0]) == first
        assert (mask.ravel()[first:] == 2).all(), "more than the whole is the whole"


def test_where_segments_overlap_malignant_wins():
    source = image()
    benign, malignant = blob((12, 16), value=1), blob((12, 16), value=1, at=(4, 4))
    for frames in ([(1, benign), (2, malignant)], [(2, malignant), (1, benign)]):
        stored = seg("BINARY", [(source, number, mask) for number, mask in frames])
        mask = planes_of(stored, source)[source.SOPInstanceUID]
        assert (mask[malignant > 0] == 2).all()
        assert (mask[(benign > 0) & (malignant == 0)] == 1).all()
        assert (mask[(benign == 0) & (malignant == 0)] == 0).all()


def test_each_frame_goes_to_its_own_image():
    views = [image(ImageLaterality=side) for side in "RL"]
    drawn = [blob((12, 16)), blob((12, 16), value=1, at=(6, 8))]
    frames = [
        frame for mask, view in zip(drawn, views, strict=True) for frame in painted(mask, view, "BINARY")
    ]
    planes = planes_of(again(seg("BINARY", frames)), *views)
    for mask, view in zip(drawn, views, strict=True):
        np.testing.assert_array_equal(planes[view.SOPInstanceUID], mask)
    label_map = seg("LABELMAP", [(v, None, m) for v, m in zip(views, drawn, strict=True)], syntax=RLELossless)
    planes = planes_of(again(label_map), *views)
    np.testing.assert_array_equal(planes[views[1].SOPInstanceUID], drawn[1])


def test_frames_that_name_no_image_are_taken_where_there_is_only_one():
    first, second = image(), image()
    mask = blob((12, 16))
    alone = seg("BINARY", painted(mask, first, "BINARY"), references="series")
    del alone.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence
    assert "a segment for each frame" in refused(alone, first)
    two = seg("LABELMAP", painted(mask, first, "LABELMAP"), references="series", sources=[first, second])
    assert "refers to 2 images" in refused(two, first, second)
    none = seg(
        "LABELMAP", painted(mask, first, "LABELMAP"), references="series", ReferencedSeriesSequence=None
    )
    assert "refers to 0 images" in refused(none, first)
    old = seg(
        "LABELMAP", painted(mask, first, "LABELMAP"), references="series", ReferencedSeriesSequence=None
    )
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = first.SOPInstanceUID
    old.SourceImageSequence = Sequence([reference])
    np.testing.assert_array_equal(planes_of(old, first)[first.SOPInstanceUID], mask)


def test_what_ohif_stores_is_read():
    source = image((37, 53))
    mask = blob((37, 53)) | blob((37, 53), value=1, at=(20, 30))
    stored = again(as_ohif(source, mask, ["benign", "malignant"]))
    assert "FrameContentSequence" not in stored.PerFrameFunctionalGroupsSequence[0]
    assert read_header(stored).sources == (source.SOPInstanceUID,)
    np.testing.assert_array_equal(planes_of(stored, source)[source.SOPInstanceUID], mask)


def test_without_functional_groups_a_label_map_is_read():
    source = image()
    stored = as_ohif(source, blob((12, 16)), ["benign", "malignant"])
    del stored.PerFrameFunctionalGroupsSequence, stored.SharedFunctionalGroupsSequence
    np.testing.assert_array_equal(planes_of(stored, source)[source.SOPInstanceUID], blob((12, 16)))


def test_the_only_segment_is_meant_by_the_only_number_that_is_painted():
    source = image()
    stored = as_ohif(source, blob((12, 16), value=3), ["malignant"])
    content = read_segmentation(stored, {source.SOPInstanceUID: source})
    assert [(s.number, s.label) for s in content.segments] == [(3, "malignant")]


def test_numbers_that_nothing_describes_become_segments_without_a_name():
    source = image()
    numbers = blob((12, 16), value=1) + blob((12, 16), value=7, at=(8, 9), size=(2, 2))
    content = read_segmentation(as_ohif(source, numbers, ["malignant"]), {source.SOPInstanceUID: source})
    assert [(s.number, s.label) for s in content.segments] == [(1, "malignant"), (7, "")]


def test_the_background_of_a_label_map_is_nothing_painted():
    source = image()
    numbers = np.full((12, 16), 9, np.uint8)
    numbers[3:5, 3:6] = 2
    stored = seg(
        "LABELMAP", [(source, None, numbers)], segments=[MALIGNANT, segment(9, "rest")], PixelPaddingValue=9
    )
    content = read_segmentation(stored, {source.SOPInstanceUID: source})
    assert [s.number for s in content.segments] == [2]


def test_segments_without_numbers_are_counted():
    source = image()
    stored = as_ohif(source, blob((12, 16)), ["benign", "malignant"])
    for item in stored.SegmentSequence:
        del item.SegmentNumber
    np.testing.assert_array_equal(planes_of(stored, source)[source.SOPInstanceUID], blob((12, 16)))


def test_an_empty_one_refers_to_its_images_and_paints_nothing():
    source = image()
    for stored in (
        seg("BINARY", [], sources=[source]),
        seg("BINARY", painted(np.zeros((12, 16)), source, "BINARY")),
        as_ohif(source, np.zeros((12, 16)), ["malignant"]),
    ):
        content = read_segmentation(again(stored), {source.SOPInstanceUID: source})
        assert content.segments == ()
        assert content.header.sources == (source.SOPInstanceUID,)


CONTRADICTIONS = {
    "another kind of object": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"},
    "no name": {"SOPInstanceUID": None},
    "a name that is a path": {"SOPInstanceUID": "../../etc/passwd"},
    "no study": {"StudyInstanceUID": None},
    "no rows": {"Rows": None},
    "no columns": {"Columns": 0},
    "colour": {"SamplesPerPixel": 3},
    "signed": {"PixelRepresentation": 1},
    "32 bits": {"BitsAllocated": 32},
    "no such type": {"SegmentationType": "SURFACE"},
    "frames than there are not": {"NumberOfFrames": 3},
    "fewer frames": {"NumberOfFrames": 1},
    "a negative number of frames": {"NumberOfFrames": -1},
    "no pixels": {"PixelData": None},
}


@pytest.mark.parametrize("tags", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_contradicts_itself_is_refused(tags):
    source = image()
    refused(seg("BINARY", painted(blob((12, 16)), source, "BINARY"), **tags), source)


def test_frames_of_segments_that_are_not_listed_are_refused():
    source = image()
    assert "another segment" in refused(seg("BINARY", [(source, 5, blob((12, 16)))]), source)
    assert "the same" in refused(seg("BINARY", [], sources=[source], segments=[BENIGN, BENIGN]), source)


def test_a_frame_of_two_images_or_of_a_loop_is_refused():
    source, other = image(), image()
    stored = seg("BINARY", painted(blob((12, 16)), source, "BINARY"))
    images = stored.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence
    images.append(Dataset())
    images[1].ReferencedSOPInstanceUID = other.SOPInstanceUID
    assert "one source image" in refused(stored, source, other)
    del images[1]
    images[0].ReferencedFrameNumber = 1
    planes_of(stored, source)
    images[0].ReferencedFrameNumber = 2
    assert "loop" in refused(stored, source)


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, JPEG2000])
def test_lossy_and_odd_transfer_syntaxes_are_refused(syntax):
    source = image()
    stored = seg("LABELMAP", painted(blob((12, 16)), source, "LABELMAP"))
    stored.file_meta.TransferSyntaxUID = syntax
    assert "transfer syntax" in refused(stored, source)


def grid(**stated):
    """Shared functional groups that say how a frame lies."""
    groups = Dataset()
    for macro, keyword in (
        ("PixelMeasuresSequence", "PixelSpacing"),
        ("PlaneOrientationSequence", "ImageOrientationPatient"),
        ("PlanePositionSequence", "ImagePositionPatient"),
    ):
        if keyword in stated:
            item = Dataset()
            setattr(item, keyword, stated[keyword])
            setattr(groups, macro, Sequence([item]))
    return groups


def test_another_size_is_refused():
    source = image((12, 16))
    stored = seg("BINARY", painted(blob((16, 12)), source, "BINARY"))
    assert "12 x 16" in refused(stored, source)


def test_another_grid_is_refused():
    mask = blob((12, 16))
    source = image(PixelSpacing=["0.1", "0.1"])
    frames = painted(mask, source, "BINARY")
    assert "size in mm" in refused(seg("BINARY", frames, groups=grid(PixelSpacing=["0.2", "0.2"])), source)
    oblong = image(PixelSpacing=["0.1", "0.2"])
    turned = seg("BINARY", painted(mask, oblong, "BINARY"), groups=grid(PixelSpacing=["0.2", "0.1"]))
    assert "size in mm" in refused(turned, oblong)
    # Not stated, or as viewers write what they do not know.
    planes_of(seg("BINARY", frames, groups=grid(PixelSpacing=["1", "1"])), source)


def test_any_of_the_spacings_of_an_image_will_do():
    mask = blob((12, 16))
    film = image(ImagerPixelSpacing=["0.1", "0.1"], EstimatedRadiographicMagnificationFactor="1.25")
    for spacing in (["0.1", "0.1"], ["0.08", "0.08"]):
        planes_of(seg("BINARY", painted(mask, film, "BINARY"), groups=grid(PixelSpacing=spacing)), film)
    region = Dataset()
    region.RegionSpatialFormat = region.RegionDataType = 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.025
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 15, 11
    scan = image(modality="US", SequenceOfUltrasoundRegions=Sequence([region]))
    frames = painted(mask, scan, "BINARY")
    planes_of(seg("BINARY", frames, groups=grid(PixelSpacing=["0.25", "0.25"])), scan)
    refused(seg("BINARY", frames, groups=grid(PixelSpacing=["0.3", "0.3"])), scan)


def test_a_frame_that_runs_the_other_way_is_turned_where_that_is_certain():
    mask = blob((12, 16))
    placed = {
        "PixelSpacing": ["0.5", "0.25"],
        "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
        "ImagePositionPatient": [10, 20, 30],
    }
    source = image(**placed)
    # Columns run along x, rows along -z: the last column is 15 x 0.25 further on, the last row 11 x 0.5 down.
    ways = {
        (False, False): ([1, 0, 0, 0, 0, -1], [10, 20, 30]),
        (False, True): ([-1, 0, 0, 0, 0, -1], [13.75, 20, 30]),
        (True, False): ([1, 0, 0, 0, 0, 1], [10, 20, 24.5]),
        (True, True): ([-1, 0, 0, 0, 0, 1], [13.75, 20, 24.5]),
    }
    for (rows, columns), (orientation, position) in ways.items():
        drawn = mask[:: -1 if rows else 1, :: -1 if columns else 1]
        groups = {"PixelSpacing": placed["PixelSpacing"], "ImageOrientationPatient": orientation}
        stored = seg(
            "BINARY",
            painted(drawn, source, "BINARY"),
            groups=grid(**groups, ImagePositionPatient=position),
        )
        np.testing.assert_array_equal(planes_of(stored, source)[source.SOPInstanceUID], mask)
        if rows or columns:
            for elsewhere in ({"ImagePositionPatient": [10, 20, 30]}, {}):
                stored = seg("BINARY", painted(drawn, source, "BINARY"), groups=grid(**groups, **elsewhere))
                assert "orientation" in refused(stored, source)


def test_an_orientation_at_an_angle_is_refused():
    source = image(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    turned = grid(ImageOrientationPatient=[0, 1, 0, -1, 0, 0])
    assert "orientation" in refused(
        seg("BINARY", painted(blob((12, 16)), source, "BINARY"), groups=turned), source
    )


BOMBS = {
    "a billion frames": {"NumberOfFrames": 10**9},
    "as many frames as are counted": {"NumberOfFrames": MAX_FRAMES},
    "65535 x 65535": {"Rows": 65535, "Columns": 65535},
    "all of it": {"Rows": 65535, "Columns": 2000, "NumberOfFrames": MAX_FRAMES},
    "16 bits": {"BitsAllocated": 16, "Rows": 12000, "Columns": 12000},
}


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP", "OHIF"])
@pytest.mark.parametrize("tags", BOMBS.values(), ids=BOMBS)
def test_a_bomb_goes_off_nowhere(tags, kind):
    source = image()
    if kind == "OHIF":
        stored = as_ohif(source, blob((12, 16)), ["benign", "malignant"], **tags)
    else:
        stored = seg(kind, painted(blob((12, 16)), source, kind), **tags)
    # The header's claims stand alone: functional groups would contradict them.
    del stored.PerFrameFunctionalGroupsSequence
    _refused_soon(stored, source)


def test_run_lengths_that_grow_are_cut_off():
    source = image((3000, 3000))
    stored = as_ohif(source, np.zeros((3000, 3000)), ["malignant"])
    # A segment of 2 MB that unrolls to 128 MB, in the place of 9.
    runs = np.array([1, 64, *[0] * 14], "<u4").tobytes() + bytes([129, 2]) * 1_000_000
    stored.PixelData = _items(runs)
    tracemalloc.start()
    mask = planes_of(stored, source)[source.SOPInstanceUID]
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    assert (mask == 2).all()


def test_deflated_frames_that_grow_are_cut_off():
    import zlib

    source = image((100, 100))
    stored = seg("LABELMAP", painted(blob((100, 100)), source, "LABELMAP"), syntax=DEFLATED_FRAMES)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    stored.PixelData = _items(packer.compress(bytes(300_000_000)) + packer.flush())
    tracemalloc.start()
    began = time.thread_time()
    assert not planes_of(stored, source)[source.SOPInstanceUID].any()
    assert time.thread_time() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def test_many_segments_are_refused():
    source = image()
    stored = seg("BINARY", [], sources=[source], segments=[segment(n, f"s{n}") for n in range(1, 1026)])
    assert "1024 segments" in refused(stored, source)


def _items(stream):
    from pydicom.encaps import encapsulate

    return encapsulate([stream])


def _refused_soon(stored, source):
    tracemalloc.start()
    began = time.thread_time()
    refused(stored, source)
    assert time.thread_time() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
