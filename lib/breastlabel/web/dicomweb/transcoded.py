"""A DICOM file in the transfer syntax that a client asks for."""

from __future__ import annotations

from pathlib import Path

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.imaging.dicom_writing import dicom_bytes
from breastlabel.web.dicomweb.accept import ANY
from breastlabel.web.dicomweb.frames import Frames

__all__ = ["EXPLICIT_LITTLE", "NATIVE", "in_syntax"]

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
#: What can be asked for of any instance.
NATIVE = (EXPLICIT_LITTLE, _IMPLICIT_LITTLE)
#: Bytes of pixels that are unpacked for one answer; a few kB of compressed frames may hold terabytes.
_MOST_UNPACKED = 2**30


def _syntax_of(file: Path) -> str:
    """The transfer syntax of a file."""
    from pydicom.filereader import read_file_meta_info

    return str(read_file_meta_info(file).TransferSyntaxUID)


def in_syntax(file: Path, wanted: str | None) -> tuple[str, bytes | Path] | None:
    """A file's content, and the transfer syntax in which it is.

    Args:
        wanted: a UID; ``*`` for the file as it is; None for Explicit VR Little Endian, which is what clients
            get that name none (PS3.18 8.7.3.5.2), or the file as it is where it cannot be decoded.

    Returns:
        None where it cannot be had in that syntax.
    """
    stored = _syntax_of(file)
    if wanted in (ANY, stored):
        return stored, file
    target = wanted or EXPLICIT_LITTLE
    if target == stored:
        return stored, file
    if target not in NATIVE:
        return None
    try:
        return target, _native(file, target)
    except InvalidImageError:
        return None if wanted else (stored, file)


def _native(file: Path, target: str) -> bytes:
    frames = Frames(file)
    dataset = read_dataset(file, pixels=True, lift=False)
    if frames.is_compressed and frames.count:
        size = frames.count * frames.rows * frames.columns * frames.samples * frames.bits // 8
        if size > _MOST_UNPACKED:
            raise InvalidImageError(
                f"at most {_MOST_UNPACKED // 10**6} MB of pixels are unpacked for an answer; this instance "
                "has more; ask for it as it is (transfer-syntax=*), or for its frames"
            )
        pixels = b"".join(frames.native(number) for number in range(1, frames.count + 1))
        dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
        dataset["PixelData"].VR = "OB" if frames.bits <= 8 else "OW"
        dataset["PixelData"].is_undefined_length = False
        dataset.PhotometricInterpretation = frames.photometric
        if frames.samples > 1:
            dataset.PlanarConfiguration = 0
    elif dataset.is_little_endian is False:
        # pydicom writes values in the order that it is told to, but leaves pixels as they are.
        pixels = b"".join(frames.native(number) for number in range(1, frames.count + 1))
        dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset.file_meta.TransferSyntaxUID = target
    dataset.is_little_endian, dataset.is_implicit_VR = True, target == _IMPLICIT_LITTLE
    try:
        return dicom_bytes(dataset)
    except Exception as error:
        # pydicom raises almost anything where a malformed element is to be written.
        raise InvalidImageError(
            "an instance that can be written anew is required; this one cannot"
        ) from error
