"""DICOM stills (ultrasound, mammograms, captures) -> BreastImage.

References are to DICOM PS3.3 unless another part is named.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.image import BreastImage, FloatArray
from breastlabel.imaging.stored import check_size, to_grey
from breastlabel.imaging.ultrasound_regions import UltrasoundRegions, ultrasound_regions
from breastlabel.imaging.vocabulary import Laterality, Modality, ViewPosition
from breastlabel.imaging.volumes import itk_geometry

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["FILM_MODALITIES", "HeaderKeys", "header_keys", "opaque_key", "read_dicom"]

FILM_MODALITIES = frozenset({"RG", "CR", "DX", "OT", "SC"})
"""Digitised films and captures, which are mammograms where a mammography task asks for them."""

_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_PROCESS_SALT = secrets.token_hex(16)


class HeaderKeys(NamedTuple):
    """What a DICOM header says of an image's place among others.

    Attributes:
        patient: opaque key of the patient; None where the header names none.
        study: opaque key of the study.
        modality: None where it is neither ultrasound nor mammography.
    """

    patient: str | None
    study: str | None
    modality: Modality | None


def read_dicom(path: Path, *, modality: Modality | None = None) -> BreastImage:
    """Read one DICOM image with one frame.

    MONOCHROME1 is inverted, once; rescale slope or modality LUT are applied, for ultrasound the VOI window
    or LUT too, because ultrasound pixels have no unit other than what is displayed. Patient ID and study
    UID leave as opaque keys only.

    Args:
        path: the file.
        modality: what the task analyses; None takes the file's own.

    Raises:
        InvalidImageError: not DICOM, truncated, encrypted, another modality, several frames, too large, or in
            a transfer syntax that cannot be decoded.
    """
    try:
        return _read_image(path, modality)
    except InvalidImageError:
        raise
    except Exception as error:
        # pydicom decodes elements when they are asked for, and malformed bytes raise almost anything.
        raise InvalidImageError(
            f"a readable DICOM file is required; {path.name} is truncated, malformed or not DICOM; "
            "send it again"
        ) from error


def header_keys(path: Path, *, salt: str | None = None) -> HeaderKeys:
    """Read whose image a DICOM file is, without its pixels.

    Args:
        salt: of `opaque_key`.

    Raises:
        InvalidImageError: the header cannot be read.
    """
    try:
        header = _read(path, pixels=False)
        stated = str(header.get("Modality") or "").strip().upper()
        return HeaderKeys(
            patient=opaque_key(header.get("PatientID"), header.get("IssuerOfPatientID"), salt=salt),
            study=opaque_key(header.get("StudyInstanceUID"), salt=salt),
            modality=_enum(Modality, stated),
        )
    except Exception as error:
        # As in `read_dicom`: malformed bytes raise almost anything.
        raise InvalidImageError(
            f"a readable DICOM header is required; that of {path.name} is not; send the file again"
        ) from error


def opaque_key(*identifiers: object, salt: str | None = None) -> str | None:
    """A short key that groups what belongs together without showing the identifier; None without one.

    Args:
        salt: at most 64 bytes, secret, without which record numbers could be found by trying them all. Keys
            that are compared must share it. None takes one that lasts as long as this process.
    """
    parts = [str(identifier).strip() for identifier in identifiers if identifier]
    if not any(parts):
        return None
    key = (_PROCESS_SALT if salt is None else salt).encode()
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8, key=key).hexdigest()


def _read_image(path: Path, modality: Modality | None) -> BreastImage:
    header = _read(path, pixels=False)
    found = _modality(header, modality, path.name)
    _check_still(header, path.name)
    dataset = _read(path, pixels=True)
    if "PixelData" not in dataset:
        raise InvalidImageError(
            f"pixel data are required; {path.name} has none that can be read (truncated, or not an image); "
            "send it again from its source"
        )
    pixels = _pixels(dataset, path, displayed=found is Modality.US)
    regions = ultrasound_regions(dataset) if found is Modality.US else UltrasoundRegions()
    metadata: dict[str, object] = {}
    if found is Modality.US:
        metadata = {"dual_panel": regions.dual_panel, "doppler": regions.doppler}
    keyword: dict[str, Any] = {}
    geometry = itk_geometry(path)
    if geometry is not None:
        keyword["geometry"] = geometry
    return BreastImage(
        pixels=pixels,
        modality=found,
        spacing=regions.spacing or _spacing(dataset),
        laterality=_enum(Laterality, dataset.get("ImageLaterality") or dataset.get("Laterality")),
        view_position=_enum(ViewPosition, dataset.get("ViewPosition")),
        patient_key=opaque_key(dataset.get("PatientID"), dataset.get("IssuerOfPatientID")),
        study_key=opaque_key(dataset.get("StudyInstanceUID")),
        acquisition_date=_date(
            dataset.get("AcquisitionDate") or dataset.get("ContentDate") or dataset.get("StudyDate")
        ),
        age=_age(dataset.get("PatientAge")),
        implant={"YES": True, "NO": False}.get(str(dataset.get("BreastImplantPresent", ""))),
        manufacturer=_text(dataset.get("Manufacturer")),
        machine_id=_text(dataset.get("ManufacturerModelName")),
        metadata=metadata,
        **keyword,
    )


def _read(path: Path, *, pixels: bool) -> Dataset:
    import pydicom
    from pydicom import config

    # pydicom's warnings quote the values they object to, and a value may be the patient's name.
    config.settings.reading_validation_mode = config.IGNORE
    dataset = pydicom.dcmread(path, stop_before_pixels=not pixels)
    _ = dataset.file_meta.TransferSyntaxUID
    return dataset


def _modality(header: Dataset, wanted: Modality | None, name: str) -> Modality:
    stated = str(header.get("Modality") or "").strip().upper()
    if "EncryptedAttributesSequence" in header and "Rows" not in header:
        raise InvalidImageError(f"an unencrypted image is required; {name} is encrypted; export it decrypted")
    known: Modality | None = _enum(Modality, stated)
    if known is not None and wanted in (None, known):
        return known
    if wanted is Modality.MG and stated in FILM_MODALITIES:
        return Modality.MG
    required = wanted.value if wanted else "US or MG"
    remedy = "choose the task for its modality"
    if wanted is None and stated in FILM_MODALITIES:
        remedy = "choose a mammography task, which reads films and captures"
    raise InvalidImageError(
        f"DICOM modality {required} is required; {name} is {stated or 'without one'}; {remedy}"
    )


def _check_still(header: Dataset, name: str) -> None:
    try:
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        frames = int(header.get("NumberOfFrames") or 1)
    except (TypeError, ValueError) as error:
        raise InvalidImageError(
            f"Rows, Columns and NumberOfFrames must be numbers; those of {name} are not; send it again"
        ) from error
    if frames > 1:
        raise InvalidImageError(
            f"a still image is required; {name} has {frames} frames; save the frame to analyse as a still"
        )
    check_size((rows, columns), name)


def _pixels(dataset: Dataset, path: Path, *, displayed: bool) -> FloatArray:
    from pydicom.pixel_data_handlers.util import apply_color_lut, apply_modality_lut, convert_color_space

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        stored = dataset.pixel_array
        photometric = str(dataset.PhotometricInterpretation)
        if photometric == "PALETTE COLOR":
            return to_grey(apply_color_lut(stored, dataset))
        if photometric.startswith("YBR_FULL"):
            return to_grey(convert_color_space(stored, photometric, "RGB"))
        if stored.ndim == 3:
            return to_grey(stored)
        values = np.asarray(apply_modality_lut(stored, dataset), np.float32)
        low, high = _range(dataset)
        if displayed:
            values, (low, high) = _apply_voi(stored, values, dataset, (low, high))
    except InvalidImageError:
        raise
    except MemoryError as error:
        raise InvalidImageError(f"{path.name} does not fit into memory; export it smaller") from error
    except Exception as error:
        # Decoders raise whatever their C code or pydicom's optional handlers come up with.
        if syntax == _JPEG_EXTENDED:
            return _decode_with_itk(path)
        raise InvalidImageError(
            f"pixel data that can be decoded are required; those of {path.name} ({syntax.name}) are damaged "
            "or in an unknown transfer syntax; export it uncompressed (Explicit VR Little Endian)"
        ) from error
    if photometric == "MONOCHROME1" or str(dataset.get("PresentationLUTShape", "")) == "INVERSE":
        values = low + high - values
    return np.ascontiguousarray(values, np.float32)


def _range(dataset: Dataset) -> tuple[float, float]:
    """The ends of the scale after the modality LUT or rescale, about which MONOCHROME1 is mirrored."""
    sequence = dataset.get("ModalityLUTSequence")
    if sequence:
        return 0.0, float(2 ** int(sequence[0].LUTDescriptor[2]) - 1)
    bits = int(dataset.BitsStored)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)
    slope, intercept = (
        float(dataset.get("RescaleSlope", 1) or 1),
        float(dataset.get("RescaleIntercept", 0) or 0),
    )
    return low * slope + intercept, high * slope + intercept


def _apply_voi(
    stored: npt.NDArray[Any], values: FloatArray, dataset: Dataset, ends: tuple[float, float]
) -> tuple[FloatArray, tuple[float, float]]:
    """Values as displayed (C.11.2), and the ends of their scale."""
    from pydicom.pixel_data_handlers.util import apply_modality_lut, apply_voi_lut

    sequence = dataset.get("VOILUTSequence")
    if not sequence and dataset.get("WindowWidth") is None:
        return values, ends
    shown = np.asarray(apply_voi_lut(apply_modality_lut(stored, dataset), dataset), np.float32)
    if sequence:
        return shown, (0.0, float(2 ** int(sequence[0].LUTDescriptor[2]) - 1))
    return shown, ends


def _decode_with_itk(path: Path) -> FloatArray:
    """12-bit JPEG, for which no decoder of pydicom's may be installed; ITK inverts MONOCHROME1 itself."""
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(path))
        return to_grey(np.asarray(SimpleITK.GetArrayFromImage(image))[0])
    except RuntimeError as error:
        raise InvalidImageError(
            f"pixel data that can be decoded are required; those of {path.name} (JPEG Extended) are damaged; "
            "export it uncompressed (Explicit VR Little Endian)"
        ) from error


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    """(rows, cols) in mm: calibrated (10.7.1.1) if given, else at the detector over the magnification."""
    calibrated = dataset.get("PixelSpacing")
    values = calibrated or dataset.get("ImagerPixelSpacing") or dataset.get("NominalScannedPixelSpacing")
    try:
        factor = 1.0 if calibrated else float(dataset.get("EstimatedRadiographicMagnificationFactor") or 1)
        rows, columns = (float(value) / factor for value in values)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (rows, columns) if rows > 0 and columns > 0 else None


def _enum(kind: Any, value: object) -> Any:
    """The member of that value; None for values outside the vocabulary, which are common in practice."""
    try:
        return kind(str(value or "").strip().upper())
    except ValueError:
        return None


def _text(value: object) -> str | None:
    return str(value).strip() or None if value else None


def _date(value: object) -> date | None:
    try:
        return datetime.strptime(str(value or "").strip(), "%Y%m%d").date()
    except ValueError:
        return None


def _age(value: object) -> float | None:
    """DICOM's Age String (PS3.5 6.2), such as 045Y, in years."""
    match = re.fullmatch(r"(\d{3})([DWMY])", str(value or "").strip())
    if match is None:
        return None
    return int(match[1]) * {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}[match[2]]
