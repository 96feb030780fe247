"""DICOM stills (ultrasound, mammograms, captures) -> BreastImage.

References are to DICOM PS3.3 unless another part is named.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.dicom_geometry import dicom_geometry
from breastlabel.imaging.dicom_grey import grey_pixels
from breastlabel.imaging.dicom_header import (
    FILM_MODALITIES,
    HeaderFacts,
    HeaderKeys,
    facts_of,
    header_facts,
    header_keys,
    opaque_key,
    read_dataset,
    stated_modality,
)
from breastlabel.imaging.dicom_spacing import pixel_spacing
from breastlabel.imaging.dicom_values import member, number
from breastlabel.imaging.image import BreastImage, FloatArray, Geometry
from breastlabel.imaging.mammogram_header import is_tomosynthesis
from breastlabel.imaging.stored import check_size, to_grey
from breastlabel.imaging.transfer import stored_pixels
from breastlabel.imaging.ultrasound_regions import UltrasoundRegions, ultrasound_regions
from breastlabel.imaging.vocabulary import Modality

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "FILM_MODALITIES",
    "HeaderFacts",
    "HeaderKeys",
    "dicom_space",
    "header_facts",
    "header_keys",
    "opaque_key",
    "read_dicom",
]

# Those that a site may send by mistake; anything else in the attribute is not repeated in a message.
_NAMED_MODALITIES = FILM_MODALITIES | frozenset(
    {
        "CT",
        "MR",
        "PT",
        "NM",
        "XA",
        "RF",
        "IO",
        "PX",
        "US",
        "MG",
        "ES",
        "XC",
        "SM",
        "SR",
        "PR",
        "SEG",
        "KO",
        "DOC",
    }
)


def read_dicom(path: Path, *, modality: Modality | None = None) -> BreastImage:
    """Read one DICOM image with one frame.

    The pixels are on the scale on which a reader sees the image: after rescale or modality LUT, then after
    the VOI LUT or, without one, the first window. Raw mammograms (FOR PROCESSING) are the exception: they
    come as the detector's values after rescale, no curve being guessed, and ``metadata`` says so under
    "presentation_intent". MONOCHROME1 is inverted, once. See `grey_pixels` and, for the size of a pixel,
    `pixel_spacing`. Patient ID and study UID leave as opaque keys only.

    Args:
        path: the file.
        modality: what the task analyses; None takes the file's own.

    Raises:
        InvalidImageError: not DICOM, truncated, encrypted, another modality, tomosynthesis, several frames,
            too large, or in a transfer syntax that cannot be decoded.
    """
    try:
        return _read_image(path, modality)
    except InvalidImageError:
        raise
    except MemoryError as error:
        raise InvalidImageError(f"{path.name} does not fit into memory; export it smaller") from error
    except Exception as error:
        # pydicom decodes elements when they are asked for, and malformed bytes raise almost anything.
        raise InvalidImageError(
            f"a readable DICOM file is required; {path.name} is truncated, malformed or not DICOM; "
            "send it again"
        ) from error


def dicom_space(path: Path) -> tuple[tuple[int, int], Geometry]:
    """(rows, cols) and space of a still of any modality, without its pixels.

    Raises:
        InvalidImageError: the header cannot be read, or has no or absurd Rows and Columns.
    """
    try:
        header = read_dataset(path, pixels=False)
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        check_size((rows, columns), path.name)
        return (rows, columns), dicom_geometry(header)
    except InvalidImageError:
        raise
    except Exception as error:
        # As in `read_dicom`: malformed bytes raise almost anything.
        raise InvalidImageError(
            f"a readable DICOM header is required; that of {path.name} is not; send the file again"
        ) from error


def _read_image(path: Path, modality: Modality | None) -> BreastImage:
    header = read_dataset(path, pixels=False)
    found = _modality(header, modality, path.name)
    _check_still(header, found, path.name)
    dataset = read_dataset(path, pixels=True)
    if "PixelData" not in dataset:
        raise InvalidImageError(
            f"pixel data are required; {path.name} has none that can be read (truncated, or not an image); "
            "send it again from its source"
        )
    facts = facts_of(dataset)
    raw = found is Modality.MG and facts.presentation_intent == "FOR PROCESSING"
    pixels, voi = _pixels(dataset, path.name, displayed=not raw)
    regions = ultrasound_regions(dataset) if found is Modality.US else UltrasoundRegions()
    if found is Modality.US:
        metadata: dict[str, object] = {"dual_panel": regions.dual_panel, "doppler": regions.doppler}
    else:
        metadata = facts.metadata() | ({"voi": voi} if voi else {})
    return BreastImage(
        pixels=pixels,
        modality=found,
        spacing=regions.spacing or pixel_spacing(dataset),
        geometry=dicom_geometry(header),
        laterality=facts.laterality,
        view_position=facts.view_position,
        patient_key=facts.keys.patient,
        study_key=facts.keys.study,
        acquisition_date=facts.acquired,
        age=facts.age,
        density=facts.density,
        implant=facts.implant,
        manufacturer=facts.manufacturer,
        machine_id=facts.machine,
        metadata=metadata,
    )


def _modality(header: Dataset, wanted: Modality | None, name: str) -> Modality:
    stated = stated_modality(header)
    if "EncryptedAttributesSequence" in header and "Rows" not in header:
        raise InvalidImageError(f"an unencrypted image is required; {name} is encrypted; export it decrypted")
    known: Modality | None = member(Modality, stated)
    if known is not None and wanted in (None, known):
        return known
    if wanted is Modality.MG and stated in FILM_MODALITIES:
        return Modality.MG
    required = wanted.value if wanted else "US or MG"
    remedy = "choose the task for its modality"
    if wanted is None and stated in FILM_MODALITIES:
        remedy = "choose a mammography task, which reads films and captures"
    shown = stated if stated in _NAMED_MODALITIES else "of another" if stated else "without one"
    raise InvalidImageError(f"DICOM modality {required} is required; {name} is {shown}; {remedy}")


def _check_still(header: Dataset, modality: Modality, name: str) -> None:
    try:
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        frames = int(header.get("NumberOfFrames") or 1)
    except (TypeError, ValueError) as error:
        raise InvalidImageError(
            f"Rows, Columns and NumberOfFrames must be numbers; those of {name} are not; send it again"
        ) from error
    if modality is Modality.MG and (frames > 1 or is_tomosynthesis(header)):
        count = f" of {frames} frames" if frames > 1 else ""
        what = "a tomosynthesis object" if is_tomosynthesis(header) else "an object"
        raise InvalidImageError(
            f"a 2D mammogram is required; {name} is {what}{count}; give the 2D or the synthetic 2D view of "
            "that breast"
        )
    if frames > 1:
        raise InvalidImageError(
            f"a still image is required; {name} has {frames} frames; save the frame to analyse as a still"
        )
    check_size((rows, columns), name)
    allocated, stored, samples = (
        number(header, keyword) for keyword in ("BitsAllocated", "BitsStored", "SamplesPerPixel")
    )
    top = number(header, "HighBit")
    if (
        allocated not in (1, 8, 16, 32)
        or samples not in (1, 3)
        or stored is None
        or not 1 <= stored <= allocated
        or top is None
        or not stored - 1 <= top < allocated
    ):
        raise InvalidImageError(
            f"1 or 3 samples of up to 32 bits a pixel are required; the header of {name} describes others; "
            "export it again"
        )


def _pixels(dataset: Dataset, name: str, *, displayed: bool) -> tuple[FloatArray, str | None]:
    """The grey image, and what became of the window or VOI LUT."""
    from pydicom.pixel_data_handlers.util import apply_color_lut, convert_color_space

    try:
        stored = stored_pixels(dataset)
        photometric = str(dataset.PhotometricInterpretation)
        if photometric == "PALETTE COLOR":
            return to_grey(apply_color_lut(stored, dataset)), None
        if photometric.startswith("YBR_FULL"):
            return to_grey(convert_color_space(stored, photometric, "RGB")), None
        if stored.ndim == 3:
            return to_grey(stored), None
        return grey_pixels(stored, dataset, displayed=displayed)
    except (InvalidImageError, MemoryError):
        raise
    except Exception as error:
        # Decoders raise whatever their C code or pydicom's optional handlers come up with.
        raise InvalidImageError(
            f"pixel data that can be decoded are required; those of {name} ({_syntax_name(dataset)}) are "
            "damaged or in an unknown transfer syntax; export it uncompressed (Explicit VR Little Endian)"
        ) from error


def _syntax_name(dataset: Dataset) -> str:
    syntax = dataset.file_meta.TransferSyntaxUID
    return str(syntax.name) if syntax.is_transfer_syntax and not syntax.is_private else "not one of DICOM's"
