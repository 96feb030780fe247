"""A segmentation as bytes, before anything is known of it."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.imaging.dicom_header import read_dataset

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["parse_segmentation", "part10"]

#: Items of sequences. A segmentation of thousands of frames has fewer; each costs some microseconds to read.
MAX_ITEMS = 200_000
#: What a deflated one may grow to: more than the largest that is taken has of pixels.
MAX_INFLATED = 300_000_000
_ITEM = b"\xfe\xff\x00\xe0"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_CHUNK = 1 << 20


def parse_segmentation(data: bytes) -> Dataset:
    """The elements of a DICOM file with its meta information; nothing is decoded.

    Raises:
        InvalidLabelError: no DICOM file, damaged, or inflating beyond any segmentation.
    """
    if data[128:132] != b"DICM" or data.count(_ITEM) > MAX_ITEMS:
        raise InvalidLabelError("a DICOM file is required; got something else; send what the viewer stored")
    if _DEFLATED in data[132:1024]:
        _check_inflated(data)
    try:
        with tempfile.TemporaryDirectory(prefix="breastlabel-") as folder:
            file = Path(folder) / "segmentation.dcm"
            file.write_bytes(data)
            return read_dataset(file, pixels=True, lift=False)
    except OSError as error:
        if isinstance(error, EOFError) or error.errno is None:
            raise _damaged() from error
        raise
    except InvalidImageError as error:
        raise InvalidLabelError(str(error)) from error
    except Exception as error:
        # pydicom raises almost anything over malformed bytes.
        raise _damaged() from error


def _check_inflated(data: bytes) -> None:
    """pydicom inflates a whole file at once; a small one may hold terabytes of zeros."""
    # Preamble, "DICM", and the group's length element itself, PS3.10 7.1.
    left = data[144 + int.from_bytes(data[140:144], "little") :]
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        while left and not inflater.eof and total <= MAX_INFLATED:
            total += len(inflater.decompress(left, _CHUNK))
            left = inflater.unconsumed_tail
    except zlib.error as error:
        raise _damaged() from error
    if total > MAX_INFLATED:
        raise InvalidLabelError(
            f"a deflated file of at most {MAX_INFLATED // 1_000_000} MB of content is required; this one "
            "holds more; store it uncompressed"
        )


def part10(dataset: Dataset) -> bytes:
    """A dataset as a DICOM file.

    Raises:
        InvalidLabelError: it holds what cannot be written.
    """
    from io import BytesIO

    from pydicom import dcmwrite

    stream = BytesIO()
    try:
        dcmwrite(stream, dataset, write_like_original=False)
    except Exception as error:
        # As above, where a malformed element is to be written.
        raise _damaged() from error
    return stream.getvalue()


def _damaged() -> InvalidLabelError:
    return InvalidLabelError(
        "a whole DICOM file is required; this one is truncated or malformed; store it again from the viewer"
    )
