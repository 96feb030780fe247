"""What was sent to the archive: whether it is a whole DICOM instance, and the same as another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.errors import BreastLabelError, InvalidImageError
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.imaging.dicom_values import is_uid
from breastlabel.web.dicomweb.whole import is_whole

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "DUPLICATE",
    "NOT_THE_CLASS",
    "NOT_UNDERSTOOD",
    "OUT_OF_RESOURCES",
    "SYNTAX_NOT_SUPPORTED",
    "RefusedError",
    "checked_header",
    "is_same",
]

# Failure Reasons (0008,1197): PS3.18 Table I.2-2 and PS3.7 Annex C.
OUT_OF_RESOURCES = 0xA700
NOT_THE_CLASS = 0xA900
NOT_UNDERSTOOD = 0xC000
SYNTAX_NOT_SUPPORTED = 0xC122
DUPLICATE = 0x0111

#: Values up to this size are looked at; of larger ones only where they end.
_DEFER_BYTES = 1 << 20
_OTHER_PIXELS = ("FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL")


class RefusedError(BreastLabelError, ValueError):
    """An instance that the archive does not keep.

    Attributes:
        code: DICOM's Failure Reason.
        sop_class_uid, sop_instance_uid: of the instance, where it says so; None otherwise.
    """

    def __init__(self, code: int, message: str, header: Dataset | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.sop_class_uid = _uid(header, "SOPClassUID")
        self.sop_instance_uid = _uid(header, "SOPInstanceUID")


def checked_header(file: Path, *, study: str | None = None) -> Dataset:
    """The elements of a whole instance that can be kept; large ones are not read.

    Args:
        study: the UID of the study to which it must belong; None for any.

    Raises:
        RefusedError: no DICOM, truncated, encrypted, without valid UIDs, of another study, or in a transfer
            syntax that nobody knows.
    """
    try:
        header = read_dataset(file, pixels=True, lift=False, defer=_DEFER_BYTES)
        whole = is_whole(file, str(header.file_meta.TransferSyntaxUID))
    except InvalidImageError as error:
        raise RefusedError(NOT_UNDERSTOOD, str(error)) from error
    except OSError as error:
        if isinstance(error, EOFError) or error.errno is None:
            raise _damaged() from error
        raise
    except Exception as error:
        # pydicom raises almost anything over malformed bytes.
        raise _damaged() from error
    if not whole:
        raise _damaged(header)
    if "EncryptedAttributesSequence" in header and "Modality" not in header:
        raise RefusedError(
            NOT_UNDERSTOOD,
            "an unencrypted instance is required; this one is encrypted; send it decrypted",
            header,
        )
    _check_uids(header)
    _check_syntax(header)
    if not _has_its_pixels(header):
        raise _damaged(header)
    if study is not None and header.StudyInstanceUID != study:
        raise RefusedError(
            NOT_THE_CLASS,
            "an instance of the study in the URL is required; this one is of another; send it to its own",
            header,
        )
    return header


def is_same(first: Path, second: Path) -> bool:
    """Whether two files hold the same instance in the same transfer syntax, however it is written."""
    one, other = (read_dataset(path, pixels=True, lift=False) for path in (first, second))
    if one.file_meta.TransferSyntaxUID != other.file_meta.TransferSyntaxUID:
        return False
    try:
        return bool(one == other)
    except Exception:
        # Values that cannot be decoded; then their bytes have to be the same.
        return first.read_bytes() == second.read_bytes()


def _has_its_pixels(header: Dataset) -> bool:
    """Whether an image has as many pixels as it says; one cut off before them is whole otherwise."""
    try:
        rows, columns, bits = (int(header.get(k) or 0) for k in ("Rows", "Columns", "BitsAllocated"))
        frames, samples = (int(header.get(k) or 1) for k in ("NumberOfFrames", "SamplesPerPixel"))
    except (TypeError, ValueError):
        return False
    if not (rows and columns and bits):
        return True
    if not any(keyword in header for keyword in ("PixelData", *_OTHER_PIXELS)):
        return False
    if "PixelData" not in header or header.file_meta.TransferSyntaxUID.is_compressed:
        return True
    half = header.get("PhotometricInterpretation") == "YBR_FULL_422"
    wanted = rows * columns * frames * (2 if half else samples) * bits
    raw = header.get_item("PixelData")
    length = getattr(raw, "length", None)
    size = len(header.PixelData) if length is None else int(length)
    return size * 8 >= wanted


def _check_uids(header: Dataset) -> None:
    for keyword, name in (
        ("SOPClassUID", "a SOP class"),
        ("SOPInstanceUID", "a SOP instance UID"),
        ("StudyInstanceUID", "a study instance UID"),
        ("SeriesInstanceUID", "a series instance UID"),
    ):
        if _uid(header, keyword) is None:
            code = NOT_THE_CLASS if keyword == "SOPClassUID" else NOT_UNDERSTOOD
            raise RefusedError(
                code,
                f"{name} of digits and dots, 64 at most, is required; the instance has none; give it one",
                header,
            )


def _check_syntax(header: Dataset) -> None:
    syntax = header.file_meta.TransferSyntaxUID
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise RefusedError(
            SYNTAX_NOT_SUPPORTED,
            "a transfer syntax of the DICOM standard is required; this one is another; send it uncompressed",
            header,
        )


def _damaged(header: Dataset | None = None) -> RefusedError:
    return RefusedError(
        NOT_UNDERSTOOD,
        "a whole DICOM instance is required; this one is truncated, malformed or no DICOM; send it again",
        header,
    )


def _uid(header: Dataset | None, keyword: str) -> str | None:
    try:
        value = str(header[keyword].value) if header is not None else ""
    except Exception:
        return None
    return value if is_uid(value) else None
