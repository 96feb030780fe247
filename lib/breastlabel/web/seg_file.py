"""A segmentation as bytes, before anything is known of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.errors import InvalidImageError, InvalidLabelError
from breastlabel.imaging.dicom_header import read_dataset

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["parse_segmentation", "part10"]

#: Items of sequences. A segmentation of thousands of frames has fewer; each costs some microseconds to read.
MAX_ITEMS = 200_000
_ITEM = b"\xfe\xff\x00\xe0"


def parse_segmentation(data: bytes) -> Dataset:
    """The elements of a DICOM file with its meta information; nothing is decoded.

    Raises:
        InvalidLabelError: no DICOM file, damaged, or inflating beyond any segmentation.
    """
    if data[128:132] != b"DICM" or data.count(_ITEM) > MAX_ITEMS:
        raise InvalidLabelError("a DICOM file is required; got something else; send what the viewer stored")
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
