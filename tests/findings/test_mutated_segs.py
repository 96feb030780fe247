"""Hundreds of damaged segmentations: a label map or one clear error each, and nothing of the patient."""

from __future__ import annotations

import struct
import time
import tracemalloc
import warnings
from io import BytesIO
from random import Random

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from tests.findings.seg_writer import as_ohif, image, painted, seg, to_bytes
from tests.imaging.mammograms import PATIENT_ID, PATIENT_NAME, STUDY_UID

from breastlabel.errors import InvalidLabelError
from breastlabel.findings.dicom_seg_reading import label_planes, read_header, read_segmentation
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.web.seg_file import parse_segmentation

MUTATIONS = 800
SECONDS_EACH = 5.0
MEGABYTES = 100

SOURCE = image((48, 56), PixelSpacing=["0.1", "0.1"])
OTHER = image((48, 56))
HEADERS = {source.SOPInstanceUID: source for source in (SOURCE, OTHER)}
_SECRETS = (PATIENT_ID, PATIENT_NAME, STUDY_UID, "4711", "JANE")
_WILD = (0, 1, 2, 3, 7, 8, 13, 16, 31, 255, 4096, 32767, 65535)
_NUMBERS = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "SamplesPerPixel",
    "PixelRepresentation",
    "NumberOfFrames",
    "MaximumFractionalValue",
)
_WILD_TEXT = ("", "0", "-1", "1e400", "NaN", "\\\\\\", "BINARY", "FRACTIONAL", "LABELMAP", "é" * 40, "../..")
_SEQUENCES = (
    "SegmentSequence",
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
    "ReferencedSeriesSequence",
)


def originals():
    mask = np.zeros((48, 56), np.uint8)
    mask[5:20, 7:30], mask[25:40, 20:50] = 1, 2
    frames = [*painted(mask, SOURCE, "BINARY"), *painted(mask[::-1], OTHER, "BINARY")]
    yield seg("BINARY", frames)
    yield seg("BINARY", frames, syntax=DeflatedExplicitVRLittleEndian)
    yield seg("FRACTIONAL", painted(mask, SOURCE, "FRACTIONAL"), syntax=RLELossless)
    yield seg("LABELMAP", painted(mask, SOURCE, "LABELMAP", bits=16), bits=16)
    yield seg("LABELMAP", painted(mask, SOURCE, "LABELMAP"), syntax=JPEG2000Lossless)
    yield as_ohif(SOURCE, mask, ["benign", "malignant"])


def bytes_flipped(data: bytes, random: Random) -> bytes:
    mutated = bytearray(data)
    for _ in range(random.randint(1, 12)):
        mutated[random.randrange(132, len(data))] = random.randrange(256)
    return bytes(mutated)


def cut_off(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def piece_removed(data: bytes, random: Random) -> bytes:
    at = random.randrange(132, len(data))
    return data[:at] + data[at + random.randint(1, 200) :]


def piece_doubled(data: bytes, random: Random) -> bytes:
    at, size = random.randrange(132, len(data)), random.randint(1, 300)
    return data[: at + size] + data[at : at + size] + data[at + size :]


def lengths_blown_up(data: bytes, random: Random) -> bytes:
    mutated = bytearray(data)
    at = random.randrange(132, len(data) - 4)
    mutated[at : at + 4] = struct.pack("<I", random.choice((0, 1, 2**16, 2**31, 2**32 - 1, 2**32 - 2)))
    return bytes(mutated)


def value_changed(data: bytes, random: Random) -> bytes:
    dataset = dcmread(BytesIO(data))
    keyword = random.choice(_NUMBERS)
    if keyword == "NumberOfFrames":
        dataset.NumberOfFrames = random.choice((*_WILD, 10**6, -1))
    else:
        setattr(dataset, keyword, random.choice(_WILD))
    return to_bytes(dataset)


def text_changed(data: bytes, random: Random) -> bytes:
    dataset = dcmread(BytesIO(data))
    texts = [
        e for e in dataset.iterall() if e.VR in ("CS", "LO", "UI", "DS", "IS", "DA", "TM") and e.tag.group > 2
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        element = random.choice(texts)
        value = random.choice(_WILD_TEXT)
        element._value = value if element.VR not in ("DS", "IS") else None
    return to_bytes(dataset)


def sequence_changed(data: bytes, random: Random) -> bytes:
    dataset = dcmread(BytesIO(data))
    keyword = random.choice(_SEQUENCES)
    items = list(dataset.get(keyword) or [])
    way = random.randrange(5)
    if way == 0:
        delattr(dataset, keyword)
    elif way == 1:
        setattr(dataset, keyword, Sequence(items[:-1]))
    elif way == 2:
        setattr(dataset, keyword, Sequence([*items, *items]))
    elif way == 3:
        setattr(dataset, keyword, Sequence([Dataset() for _ in items]))
    else:
        nested = Dataset()
        for _ in range(60):
            outer = Dataset()
            outer.SegmentSequence = Sequence([nested])
            nested = outer
        setattr(dataset, keyword, Sequence([nested, *items]))
    return to_bytes(dataset)


_WAYS = (
    bytes_flipped,
    cut_off,
    piece_removed,
    piece_doubled,
    lengths_blown_up,
    value_changed,
    text_changed,
    sequence_changed,
)


def taken(data: bytes) -> bool:
    """Whether a file gives label maps; False where it is refused."""
    try:
        dataset = parse_segmentation(data)
        header = read_header(dataset)
        if any(source not in HEADERS for source in header.sources):
            return False
        content = read_segmentation(dataset, HEADERS, header=header)
        planes = label_planes(dataset, content, HEADERS, {1: LesionClass.BENIGN, 2: LesionClass.MALIGNANT})
    except InvalidLabelError as error:
        message = str(error)
        assert "\n" not in message
        assert not any(secret in message for secret in _SECRETS)
        return False
    assert all(plane.shape == (48, 56) and plane.max(initial=0) <= 2 for plane in planes.values())
    return True


@pytest.mark.slow
def test_damaged_segmentations_are_read_or_refused():
    random = Random(20261121)
    files = [to_bytes(dataset) for dataset in originals()]
    assert all(taken(data) for data in files)
    kept = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(MUTATIONS):
            way, data = _WAYS[i % len(_WAYS)], files[(i // len(_WAYS)) % len(files)]
            mutated = way(data, random)
            began = time.thread_time()
            kept += taken(mutated)
            assert time.thread_time() - began < SECONDS_EACH, (way.__name__, i)
    # Damage to what nobody reads changes nothing; to the rest, much.
    assert 0 < kept < MUTATIONS


def test_a_file_that_is_cut_off_anywhere_gives_no_label_map():
    for dataset in originals():
        data = to_bytes(dataset)
        for size in {*range(0, len(data) - 2, 97), len(data) - 2, len(data) - 9}:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert not taken(data[:size]) or _ends_in_padding(dataset, size, len(data))


def _ends_in_padding(dataset, size, whole):
    """Of a deflated stream, and of bits that fill no byte, the last bytes may say nothing."""
    return whole - size <= 9 and dataset.file_meta.TransferSyntaxUID in (
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
    )


def test_a_deflated_bomb_and_one_of_items_are_refused_soon():
    deflated = seg(
        "LABELMAP", painted(np.zeros((48, 56)), SOURCE, "LABELMAP"), syntax=DeflatedExplicitVRLittleEndian
    )
    deflated.add_new(0x00091010, "OB", bytes(600_000_000))
    data = to_bytes(deflated)
    del deflated
    assert len(data) < 1_000_000
    tracemalloc.start()
    began = time.thread_time()
    assert not taken(data)
    assert time.thread_time() - began < 3
    assert tracemalloc.get_traced_memory()[1] < MEGABYTES * 1e6
    tracemalloc.stop()
    items = to_bytes(seg("BINARY", [], sources=[SOURCE])) + b"\xfe\xff\x00\xe0\0\0\0\0" * 300_000
    assert not taken(items)
