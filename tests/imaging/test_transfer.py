"""Stored values out of every transfer syntax that can be written here."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGExtended12Bit, JPEGLSLossless, RLELossless
from tests.imaging.mammograms import LOSSLESS, film, jpeg2000, jpeg_12_bit, mammogram, write_mammogram

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Modality, read_image
from breastlabel.imaging.transfer import stored_pixels


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_lossless_syntaxes_give_the_pixels_back(
    tmp_path: Path, syntax: str, bits: int, photometric: str
) -> None:
    pixels = film(bits=bits).astype(np.uint8 if bits == 8 else np.uint16)
    path = write_mammogram(
        tmp_path / "a.dcm", pixels, syntax=syntax, bits=bits, PhotometricInterpretation=photometric
    )
    expected = pixels if photometric == "MONOCHROME2" else 2**bits - 1 - pixels.astype(int)
    np.testing.assert_array_equal(read_image(path).pixels, expected)


@pytest.mark.parametrize("syntax", [s for s in LOSSLESS if s != JPEGLSLossless], ids=lambda s: s.name)
def test_signed_values_come_back(tmp_path: Path, syntax: str) -> None:
    pixels = (film().astype(int) - 2048).astype(np.int16)
    np.testing.assert_array_equal(
        read_image(write_mammogram(tmp_path / "a.dcm", pixels, syntax=syntax)).pixels, pixels
    )


def test_lossy_jpeg_2000_is_near(tmp_path: Path) -> None:
    path = write_mammogram(tmp_path / "a.dcm", film(), syntax=JPEG2000)
    np.testing.assert_allclose(read_image(path).pixels, film(), atol=40)


def test_jpeg_2000_does_not_go_through_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Dataset, "pixel_array")
    dataset = mammogram(film(), syntax=JPEG2000Lossless)
    np.testing.assert_array_equal(stored_pixels(dataset), film())


@pytest.mark.parametrize("last", [63, 0])
def test_twelve_bit_jpeg_is_read_with_or_without_the_usual_defect(tmp_path: Path, last: int) -> None:
    pixels = film(blocks=True)
    dataset = mammogram(pixels, syntax=JPEGExtended12Bit)
    dataset.PixelData = encapsulate([jpeg_12_bit(pixels, last_coefficient=last)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(tmp_path / "a.dcm", write_like_original=False)
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").pixels, pixels)


@pytest.mark.parametrize("syntax", [JPEGExtended12Bit, JPEGLSLossless])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_without_the_plugin_itk_decodes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, photometric: str
) -> None:
    path = write_mammogram(
        tmp_path / "a.dcm",
        film(blocks=True),
        syntax=syntax,
        PhotometricInterpretation=photometric,
        RescaleSlope=2,
        RescaleIntercept=-7,
    )
    expected = read_image(path).pixels
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "libjpeg" else found(name))
    np.testing.assert_array_equal(read_image(path).pixels, expected)


def test_a_stream_in_several_fragments_is_one(tmp_path: Path) -> None:
    stream = jpeg2000(film(), 12)
    dataset = mammogram(film(), syntax=JPEG2000Lossless)
    dataset.PixelData = encapsulate([stream], fragments_per_frame=3)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(tmp_path / "a.dcm", write_like_original=False)
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").pixels, film())


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless, JPEGExtended12Bit])
def test_another_size_than_the_header_says_is_refused(tmp_path: Path, syntax: str) -> None:
    for tag, value in {"Rows": 8192, "Columns": 8192}.items():
        dataset = mammogram(film(blocks=True), syntax=syntax)
        setattr(dataset, tag, value)
        dataset.save_as(tmp_path / "a.dcm", write_like_original=False)
        with pytest.raises(
            InvalidImageError, match=r"those of a\.dcm \(.+\) are damaged .* export it uncompr"
        ):
            read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_a_file_cut_in_half_is_refused(tmp_path: Path, syntax: str, capfd: Any) -> None:
    path = write_mammogram(tmp_path / "a.dcm", syntax=syntax)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidImageError, match=r"a\.dcm") as caught:
        read_image(path, modality=Modality.MG)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("damage", [b"\xff\x4f\xff\x51", b"\xff\x52", b"\xff\x93"])
def test_damaged_jpeg_2000_is_refused_many_times_over(damage: bytes) -> None:
    """OpenCV corrupts the heap at a header that OpenJPEG refuses; the third time kills the process."""
    stream = jpeg2000(film(), 12)
    place = stream.index(damage)
    broken = stream[:place] + b"\0\0" + stream[place + 2 :]
    for _ in range(20):
        dataset = mammogram(film(), syntax=JPEG2000Lossless)
        dataset.PixelData = encapsulate([broken])
        with pytest.raises(Exception, match=r".+"):
            stored_pixels(dataset)


def test_values_are_in_the_machines_byte_order() -> None:
    for syntax in LOSSLESS:
        dataset = mammogram(film(), syntax=syntax)
        assert stored_pixels(dataset).dtype == np.dtype(np.uint16)
    assert isinstance(dataset, pydicom.Dataset)
