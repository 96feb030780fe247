"""What a compressed stream says of itself."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from tests.imaging.mammograms import film, jpeg2000, jpeg_12_bit, jpeg_ls

from breastlabel.imaging.transfer_codestream import (
    StreamHeader,
    boxed_jpeg2000,
    repaired_jpeg,
    stream_header,
)


def jpeg(pixels: np.ndarray, **keywords: object) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", **keywords)
    return stream.getvalue()


def test_headers_of_all_kinds() -> None:
    assert stream_header(jpeg2000(film(), 12)) == StreamHeader(40, 32, 1, 12, True)
    assert stream_header(jpeg_ls(film())) == StreamHeader(40, 32, 1, 16, True)
    assert stream_header(jpeg_12_bit(film(blocks=True))) == StreamHeader(40, 32, 1, 12, True)
    colour = np.zeros((5, 7, 3), np.uint8)
    assert stream_header(jpeg(colour)) == StreamHeader(5, 7, 3, 8, False)
    assert stream_header(jpeg(colour, progressive=True)) == StreamHeader(5, 7, 3, 8, False)


def test_signed_jpeg_2000_is_not_plain() -> None:
    header = stream_header(jpeg2000((film().astype(int) - 2048).astype(np.int16), 12))
    assert header == StreamHeader(40, 32, 1, 12, False)


@pytest.mark.parametrize(
    "stream", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0\0\3", b"\xff\x4f\xff\x51\0", b"GIF89a"]
)
def test_what_cannot_be_read_has_no_header(stream: bytes) -> None:
    assert stream_header(stream) is None
    assert repaired_jpeg(stream) == stream


def test_only_a_sequential_scan_is_repaired() -> None:
    sound, defective = (jpeg_12_bit(film(blocks=True), last_coefficient=last) for last in (63, 0))
    assert repaired_jpeg(defective) == sound
    assert repaired_jpeg(sound) is sound
    progressive = jpeg(np.arange(256, dtype=np.uint8).reshape(16, 16), progressive=True)
    assert repaired_jpeg(progressive) is progressive


def test_a_boxed_codestream_is_a_grey_jp2_file() -> None:
    stream = jpeg2000(film(bits=8).astype(np.uint8), 8)
    header = stream_header(stream)
    assert header is not None
    with Image.open(BytesIO(boxed_jpeg2000(stream, header))) as image:
        assert (image.format, image.mode, image.size) == ("JPEG2000", "L", (32, 40))
        np.testing.assert_array_equal(np.asarray(image), film(bits=8))
