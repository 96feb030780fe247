"""Two thousand damaged DICOM files: an image or one clear error each, soon, and nothing of the patient."""

from __future__ import annotations

import resource
import struct
import time
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, JPEGExtended12Bit
from tests.imaging.mammograms import (
    LOSSLESS,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_UID,
    code,
    film,
    mammogram,
    view,
)

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import BreastImage, Modality, dicom_header, read_image
from breastlabel.imaging.dicom import header_facts

FILES = 2000
SECONDS_A_FILE = 5.0
MEGABYTES_IN_ALL = 1500

_SECRETS = (PATIENT_ID, PATIENT_NAME, STUDY_UID, "4711", "JANE", "SECRET")
_WILD_NUMBERS = (0, 1, 2, 3, 7, 9, 13, 17, 31, 255, 4096, 32767, 65535)
_SIZES = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "SamplesPerPixel",
    "PixelRepresentation",
    "PlanarConfiguration",
)
_TEXTS = ("CS", "LO", "DS", "IS", "UI", "DA", "AS")
_WILD_TEXT = (
    "",
    "0",
    "-1",
    "1e400",
    "NaN",
    "\\\\\\",
    "MONOCHROME1",
    "PALETTE COLOR",
    "YBR_FULL",
    "RGB",
    "YES",
    "é" * 40,
)


def originals() -> list[Dataset]:
    """One film in each transfer syntax, with the sequences and look-up tables that are read."""
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [256, 0, 12], [16 * i for i in range(256)]
    lut["LUTDescriptor"].VR = lut["LUTData"].VR = "US"
    found = []
    for index, syntax in enumerate((*LOSSLESS, JPEG2000, JPEGExtended12Bit)):
        dataset = mammogram(
            film(blocks=syntax == JPEGExtended12Bit),
            syntax=syntax,
            PhotometricInterpretation=f"MONOCHROME{index % 2 + 1}",
            ImageType=["ORIGINAL", "PRIMARY"],
            ImageLaterality="L",
            PatientAge="061Y",
            AcquisitionDate="20240229",
            ImagerPixelSpacing=[0.1, 0.1],
            WindowCenter=[2048, 1000],
            WindowWidth=[4096, 500],
            RescaleSlope=1,
            RescaleIntercept=0,
            NumberOfFrames=1,
            ViewCodeSequence=view("SRT", "R-10226", code("SRT", "R-102D5")),
            AnatomicRegionSequence=Sequence([code("SCT", "80248007")]),
        )
        if index % 3 == 0:
            dataset.VOILUTSequence = Sequence([lut])
        found.append(dataset)
    return found


def file_of(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, write_like_original=False)
    return stream.getvalue()


def flipped(random: Random, whole: bytes) -> bytes:
    """A few bytes changed, mostly of the header."""
    data = bytearray(whole)
    end = len(data) if random.random() < 0.3 else min(len(data), 1200)
    for _ in range(random.choice((1, 1, 2, 5, 20))):
        data[random.randrange(128, end)] = random.randrange(256)
    return bytes(data)


def truncated(random: Random, whole: bytes) -> bytes:
    return whole[: random.randrange(len(whole))]


def spliced(random: Random, whole: bytes) -> bytes:
    """A piece taken out, put in twice, or replaced by noise."""
    start = random.randrange(132, len(whole))
    end = min(len(whole), start + random.choice((1, 2, 8, 40, 300)))
    middle = random.choice((b"", whole[start:end] * 2, random.randbytes(end - start)))
    return whole[:start] + middle + whole[end:]


def with_another_length(random: Random, whole: bytes) -> bytes:
    """The length of one element of an explicit VR file changed."""
    places = [i for i in range(132, min(len(whole), 1600) - 8, 2) if whole[i + 4 : i + 6].isalpha()]
    if not places:
        return flipped(random, whole)
    place = random.choice(places)
    if whole[place + 4 : place + 6] in (b"SQ", b"OB", b"OW", b"UN"):
        length = struct.pack("<I", random.choice((0, 1, 7, 2**16, 2**31 - 1, 2**32 - 2, 2**32 - 1)))
        return whole[: place + 8] + length + whole[place + 12 :]
    length = struct.pack("<H", random.choice((0, 1, 3, 255, 40_000, 65_535)))
    return whole[: place + 6] + length + whole[place + 8 :]


_BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (
    flipped,
    flipped,
    truncated,
    spliced,
    with_another_length,
)


def rearranged(random: Random, original: bytes) -> bytes:
    """Elements removed, added, given wild values, or nested far too deep."""
    dataset = pydicom.dcmread(BytesIO(original))
    for _ in range(random.choice((1, 2, 4))):
        kind = random.randrange(5)
        if kind == 0:
            del dataset[random.choice(list(dataset.keys()))]
        elif kind == 1:
            setattr(dataset, random.choice(_SIZES), random.choice(_WILD_NUMBERS))
        elif kind == 2:
            dataset.NumberOfFrames = random.choice(("0", "-1", "3", "100000", "2147483647"))
        elif kind == 3:
            element = random.choice(
                [e for e in dataset if e.VR in ("CS", "LO", "DS", "IS", "UI", "DA", "AS")]
            )
            element._value = random.choice(_WILD_TEXT)
        else:
            inner = Dataset()
            for _ in range(random.choice((1, 5, 30))):
                outer = Dataset()
                outer.AnatomicRegionSequence = Sequence([inner])
                inner = outer
            dataset.AnatomicRegionSequence = Sequence([inner])
    return file_of(dataset)


def damaged(random: Random, files: list[bytes]) -> bytes:
    index = random.randrange(len(files))
    if random.random() < 0.25:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return rearranged(random, files[index])
            except Exception:
                pass  # what pydicom does not write is damaged byte by byte
    return random.choice(_BYTES)(random, files[index])


def attempt(read: Callable[..., Any], path: Path, **keywords: Any) -> tuple[Any, str]:
    """What reading gives, and the message where it gives none; any other error fails the test."""
    try:
        return read(path, **keywords), ""
    except InvalidImageError as error:
        return None, str(error)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_damaged_files_give_an_image_or_one_clear_error(tmp_path: Path) -> None:
    random = Random(4)
    files = [file_of(dataset) for dataset in originals()]
    path = tmp_path / "damaged.dcm"
    outcomes = {"image": 0, "refused": 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for number in range(FILES):
            path.write_bytes(damaged(random, files))
            started = time.process_time()
            image, refusal = attempt(read_image, path, modality=Modality.MG if number % 2 else None)
            facts, other = attempt(header_facts, path)
            seen = f"{image!r} {refusal} {facts!r} {other}"
            assert not any(secret in seen for secret in _SECRETS), number
            if image is None:
                outcomes["refused"] += 1
                assert "damaged.dcm" in refusal
                assert "\n" not in refusal
            else:
                outcomes["image"] += 1
                assert isinstance(image, BreastImage)
                assert np.isfinite(image.pixels).all()
            assert time.process_time() - started < SECONDS_A_FILE, number
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES_IN_ALL
    assert min(outcomes.values()) > FILES // 10, outcomes
    assert not any(secret in str(warning.message) for warning in warned for secret in _SECRETS)


def nested(depth: int) -> bytes:
    """An explicit VR file whose sequences are never closed; the standard sets no bound to their depth."""
    dataset = mammogram(film(), syntax=ExplicitVRLittleEndian)
    whole = file_of(dataset)
    start = whole.index(struct.pack("<HH", 0x0008, 0x0060))
    opened = struct.pack("<HH2sHI", 0x0008, 0x2218, b"SQ", 0, 2**32 - 1) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 2**32 - 1
    )
    return whole[:start] + opened * depth + whole[start:]


@pytest.mark.parametrize("depth", [1, 100, 20_000])
def test_sequences_that_never_end_are_refused(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "nested.dcm"
    path.write_bytes(nested(depth))
    with pytest.raises(InvalidImageError, match=r"nested\.dcm"):
        read_image(path)


def test_a_deflated_file_does_not_unpack_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zlib

    from pydicom.uid import DeflatedExplicitVRLittleEndian

    whole = file_of(mammogram(film(), syntax=DeflatedExplicitVRLittleEndian))
    meta = pydicom.dcmread(BytesIO(whole)).file_meta
    start = 128 + 4 + 12 + meta.FileMetaInformationGroupLength
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(2**24)
    bomb = b"".join(deflater.compress(zeros) for _ in range(10)) + deflater.flush()
    path = tmp_path / "bomb.dcm"
    path.write_bytes(whole[:start] + bomb)
    monkeypatch.setattr(dicom_header, "_MAX_INFLATED", 10**8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidImageError, match=r"at most 100 MB .* is required; bomb\.dcm holds more"):
        read_image(path)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 100


def test_one_seed_gives_one_set_of_files() -> None:
    files = [file_of(dataset) for dataset in originals()]
    first, second = ([damaged(r, files) for _ in range(50)] for r in (Random(4), Random(4)))
    assert first == second
