"""Frames, as viewers ask for them: plain values in little endian, or the stored stream."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from tests.imaging.mammograms import LOSSLESS, film, mammogram, write_mammogram

from .conftest import ANY_FRAME, Site, parts

EXPLICIT = f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
COLOUR = np.random.default_rng(2).integers(0, 256, (3, 8, 10, 3), np.uint8)
COLOUR[:, :4] = (200, 40, 20)


def write_cine(site: Site, frames: np.ndarray[Any, Any], *, syntax: str = ExplicitVRLittleEndian) -> None:
    """Colour frames (frames, rows, columns, 3) of ultrasound."""
    dataset = mammogram(film(*frames.shape[1:3]).astype(np.uint8), bits=8)
    dataset.Modality, dataset.SOPClassUID = "US", "1.2.840.10008.5.1.4.1.1.3.1"
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.NumberOfFrames = len(frames)
    if syntax == JPEGBaseline8Bit:
        dataset.PhotometricInterpretation = "YBR_FULL_422"
        dataset.PixelData = encapsulate([jpeg(frame) for frame in frames])
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.PixelData = frames.tobytes()
        if syntax == RLELossless:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset.compress(RLELossless)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(site.folder / "cine.dcm", write_like_original=False)


def jpeg(frame: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_every_syntax_gives_the_values(site: Site, syntax: str, bits: int) -> None:
    pixels = film(bits=bits).astype(np.uint8 if bits == 8 else np.uint16)
    write_mammogram(site.folder / "film.dcm", pixels, syntax=syntax, bits=bits)
    (part,) = parts(site.get(site.path("film") + "/frames/1", ANY_FRAME))
    assert part.headers["Content-Type"] == EXPLICIT
    values = np.frombuffer(part.content, "u1" if bits == 8 else "<u2").reshape(pixels.shape)
    np.testing.assert_array_equal(values, pixels)


@pytest.mark.parametrize(
    ("syntax", "media"),
    [(JPEG2000Lossless, "image/jp2"), (JPEGLSLossless, "image/jls"), (RLELossless, "image/dicom-rle")],
    ids=lambda s: getattr(s, "name", s),
)
def test_the_stored_stream_comes_to_those_who_ask_for_it(site: Site, syntax: str, media: str) -> None:
    dataset = mammogram(film(), syntax=syntax)
    dataset.save_as(site.folder / "film.dcm", write_like_original=False)
    for accept in (
        f'multipart/related; type="{media}"',
        f'multipart/related; type="application/octet-stream"; transfer-syntax={syntax}',
        f'multipart/related; type="image/gif", multipart/related; type="{media}"; transfer-syntax={syntax}',
    ):
        (part,) = parts(site.get(site.path("film") + "/frames/1", accept))
        assert part.headers["Content-Type"] == f"{media}; transfer-syntax={syntax}"
        assert part.content in dataset.PixelData
    assert site.get(site.path("film") + "/frames/1", media).headers["content-type"].startswith(media)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=lambda s: s.name)
def test_frames_of_a_colour_loop(site: Site, syntax: str) -> None:
    write_cine(site, COLOUR, syntax=syntax)
    path = site.path("cine")
    (part,) = parts(site.get(f"{path}/frames/2", ANY_FRAME))
    np.testing.assert_array_equal(np.frombuffer(part.content, "u1").reshape(COLOUR[1].shape), COLOUR[1])
    several = parts(site.get(f"{path}/frames/3,1", ANY_FRAME))
    np.testing.assert_array_equal(np.frombuffer(several[0].content, "u1").reshape(COLOUR[2].shape), COLOUR[2])
    assert several[1].headers["Content-Location"].endswith("/frames/1")
    (found,) = site.get(f"{path}/metadata").json()
    assert (found["00280004"]["Value"], found["00280006"]["Value"]) == (["RGB"], [0])
    assert site.get(f"{path}/frames/1", "application/octet-stream").content == COLOUR[0].tobytes()
    assert site.get(f"{path}/frames/1,2", "application/octet-stream").status_code == 406


def test_a_colour_jpeg_comes_as_stored_where_any_syntax_will_do(site: Site) -> None:
    """Its colours are subsampled, and the metadata say so."""
    write_cine(site, COLOUR, syntax=JPEGBaseline8Bit)
    path = site.path("cine")
    (part,) = parts(site.get(f"{path}/frames/2", ANY_FRAME))
    assert part.headers["Content-Type"] == f"image/jpeg; transfer-syntax={JPEGBaseline8Bit}"
    assert part.content.startswith(jpeg(COLOUR[1]))
    (found,) = site.get(f"{path}/metadata").json()
    assert found["00280004"]["Value"] == ["YBR_FULL_422"]
    (plain,) = parts(site.get(f"{path}/frames/2", 'multipart/related; type="application/octet-stream"'))
    values = np.frombuffer(plain.content, "u1").reshape(COLOUR[1].shape).astype(int)
    np.testing.assert_allclose(values[:3, :, 0], 200, atol=12)
    np.testing.assert_allclose(values[:3, :, 2], 20, atol=12)


def test_bits_are_packed_frame_by_frame(site: Site) -> None:
    """Of 15 pixels, so that the second frame begins within a byte."""
    frames = np.random.default_rng(1).integers(0, 2, (3, 3, 5), np.uint8)
    dataset = mammogram(film(3, 5).astype(np.uint8), bits=8)
    dataset.Modality, dataset.SOPClassUID = "SEG", "1.2.840.10008.5.1.4.1.1.66.4"
    dataset.NumberOfFrames, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 3, 1, 1, 0
    data = np.packbits(frames.ravel(), bitorder="little").tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB"
    stored = site.archive.store(dataset, origin="stow").instance
    from .conftest import path_of

    found = parts(site.get(f"{path_of(stored)}/frames/1,2,3", ANY_FRAME))
    for part, frame in zip(found, frames, strict=True):
        assert part.content == np.packbits(frame.ravel(), bitorder="little").tobytes()


@pytest.mark.parametrize("frames", ["0", "2", "1,2", "999999999"])
def test_frames_that_are_not_there_are_404(site: Site, frames: str) -> None:
    write_mammogram(site.folder / "film.dcm")
    assert site.get(f"{site.path('film')}/frames/{frames}").status_code == 404


@pytest.mark.parametrize("frames", ["x", "-1", "1,,2", "1" * 12, "1;2"])
def test_frames_that_are_no_numbers_are_400(site: Site, frames: str) -> None:
    write_mammogram(site.folder / "film.dcm")
    assert site.get(f"{site.path('film')}/frames/{frames}").status_code == 400


def test_a_report_has_no_frames(site: Site) -> None:
    dataset = Dataset()
    source = mammogram(film())
    dataset.file_meta = source.file_meta
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        setattr(dataset, keyword, source[keyword].value)
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.5"
    dataset.Modality = "SR"
    stored = site.archive.store(dataset, origin="stow").instance
    from .conftest import path_of

    assert site.get(f"{path_of(stored)}/frames/1", ANY_FRAME).status_code == 404
    assert site.get(f"{path_of(stored)}/rendered").status_code == 404
    (found,) = site.get(f"{path_of(stored)}/metadata").json()
    assert "7FE00010" not in found


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_a_file_cut_short_is_422(site: Site, syntax: str) -> None:
    file = write_mammogram(site.folder / "film.dcm", film(60, 70), syntax=syntax)
    site.path("film")
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * 0.7)])
    answer = site.get(site.path("film") + "/frames/1", ANY_FRAME)
    # A deflated stream that ends early may lack its header's end, and is then no instance at all.
    assert answer.status_code in (404, 422)


def test_an_enormous_image_is_refused_before_it_is_decoded(site: Site) -> None:
    dataset = mammogram(film(), syntax=RLELossless)
    dataset.Rows = dataset.Columns = 60_000
    dataset.save_as(site.folder / "film.dcm", write_like_original=False)
    assert site.get(site.path("film") + "/frames/1", ANY_FRAME).status_code == 422
