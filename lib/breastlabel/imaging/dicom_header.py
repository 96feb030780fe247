"""What a DICOM file says of itself, without its pixels."""

from __future__ import annotations

import hashlib
import secrets
import warnings
import zlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.dicom_values import age, day, lift_functional_groups, member, text
from breastlabel.imaging.mammogram_header import MammogramHeader, read_mammogram
from breastlabel.imaging.vocabulary import Density, Laterality, Modality, ViewPosition

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "FILM_MODALITIES",
    "HeaderFacts",
    "HeaderKeys",
    "facts_of",
    "header_facts",
    "header_keys",
    "opaque_key",
    "read_dataset",
    "stated_modality",
]

FILM_MODALITIES = frozenset({"RG", "CR", "DX", "OT", "SC"})
"""Digitised films and captures, which are mammograms where a mammography task asks for them."""

_PROCESS_SALT = secrets.token_hex(16)
_DEFLATED = "1.2.840.10008.1.2.1.99"
# What a deflated file may grow to: an image of the largest size in 16-bit colour is smaller.
_MAX_INFLATED = 1_000_000_000
_CHUNK = 1 << 20
# pydicom warns of a damaged file with its path, which may hold a name; our own error says what is wrong.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")


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


@dataclass(frozen=True)
class HeaderFacts:
    """What a DICOM header says of an image, as far as it is used here; names and numbers stay behind.

    Attributes:
        keys: whose image it is.
        is_film: the modality is one of `FILM_MODALITIES`, which a mammography task takes for a mammogram.
        is_segmentation: it is no image, but says what is where on one.
        acquired: when the image was taken; else its content's date, else the study's.
        age: in years.
        manufacturer, machine: of the device, as stated.
        presentation_intent: "FOR PRESENTATION" or "FOR PROCESSING"; None where the object has none.
        mammogram: side, view and the like; empty for ultrasound.
    """

    keys: HeaderKeys
    is_film: bool = False
    is_segmentation: bool = False
    acquired: date | None = None
    age: float | None = None
    manufacturer: str | None = None
    machine: str | None = None
    presentation_intent: str | None = None
    mammogram: MammogramHeader = field(default_factory=MammogramHeader)

    @property
    def laterality(self) -> Laterality | None:
        """None where not stated, or contradictory."""
        return self.mammogram.laterality

    @property
    def view_position(self) -> ViewPosition | None:
        """None where not stated, or contradictory."""
        return self.mammogram.view_position

    @property
    def density(self) -> Density | None:
        """Where a coded one is stated."""
        return self.mammogram.density

    @property
    def implant(self) -> bool | None:
        """None where not stated."""
        return self.mammogram.implant

    @property
    def not_analysable(self) -> str | None:
        """Why no model may judge the image."""
        return self.mammogram.not_analysable

    def metadata(self) -> dict[str, object]:
        """What `BreastImage.metadata` and a record of the catalog keep of it, plain JSON values."""
        known: dict[str, object] = {
            "presentation_intent": self.presentation_intent,
            "view_modifiers": list(self.mammogram.view_modifiers),
            "partial_view": self.mammogram.partial_view,
            "not_analysable": self.mammogram.not_analysable,
            "notes": list(self.mammogram.notes),
        }
        return {name: value for name, value in known.items() if value}


def header_facts(path: Path, *, salt: str | None = None) -> HeaderFacts:
    """Read what a DICOM file says of itself, without its pixels.

    Args:
        salt: of `opaque_key`.

    Raises:
        InvalidImageError: the header cannot be read.
    """
    try:
        return facts_of(read_dataset(path, pixels=False), salt=salt)
    except InvalidImageError:
        raise
    except Exception as error:
        # pydicom decodes elements when they are asked for, and malformed bytes raise almost anything.
        raise InvalidImageError(
            f"a readable DICOM header is required; that of {path.name} is not; send the file again"
        ) from error


def header_keys(path: Path, *, salt: str | None = None) -> HeaderKeys:
    """Read whose image a DICOM file is; otherwise as `header_facts`."""
    return header_facts(path, salt=salt).keys


def facts_of(header: Dataset, *, salt: str | None = None) -> HeaderFacts:
    """`header_facts` of a header that was read already."""
    stated = stated_modality(header)
    modality: Modality | None = member(Modality, stated)
    return HeaderFacts(
        keys=HeaderKeys(
            patient=opaque_key(text(header, "PatientID"), text(header, "IssuerOfPatientID"), salt=salt),
            study=opaque_key(text(header, "StudyInstanceUID"), salt=salt),
            modality=modality,
        ),
        is_film=stated in FILM_MODALITIES,
        is_segmentation=stated == "SEG",
        acquired=day(header, "AcquisitionDate", "AcquisitionDateTime", "ContentDate", "StudyDate"),
        age=age(header),
        manufacturer=text(header, "Manufacturer"),
        machine=text(header, "ManufacturerModelName"),
        presentation_intent=_intent(header),
        mammogram=MammogramHeader() if modality is Modality.US else read_mammogram(header),
    )


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


def stated_modality(header: Dataset) -> str:
    """Modality (0008,0060) as it is written, in capitals; empty where there is none."""
    return (text(header, "Modality") or "").upper()


def read_dataset(path: Path, *, pixels: bool, lift: bool = True, defer: int | None = None) -> Dataset:
    """The elements of a file, those of an enhanced object's frame at the top level too.

    Args:
        lift: False leaves an enhanced object as it is.
        defer: values of more bytes are read only when they are asked for.

    Raises:
        InvalidImageError: a deflated file is larger inside than any image.
        Exception: whatever pydicom raises over malformed bytes.
    """
    import pydicom
    from pydicom import config

    # pydicom's warnings quote the values they object to, and a value may be the patient's name.
    config.settings.reading_validation_mode = config.IGNORE
    meta = pydicom.filereader.read_file_meta_info(path)
    if str(meta.TransferSyntaxUID) == _DEFLATED:
        _check_inflated(path, meta)
        defer = None
    dataset = pydicom.dcmread(path, stop_before_pixels=not pixels, defer_size=defer)
    if lift:
        lift_functional_groups(dataset)
    return dataset


def _check_inflated(path: Path, meta: Dataset) -> None:
    """pydicom inflates a whole file at once; a small one may hold terabytes of zeros."""
    with path.open("rb") as file:
        # Preamble, "DICM", and the group's length element itself, PS3.10 7.1.
        file.seek(128 + 4 + 12 + int(meta.FileMetaInformationGroupLength))
        inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while total <= _MAX_INFLATED and not inflater.eof:
            data = inflater.unconsumed_tail or file.read(_CHUNK)
            if not data:
                return
            total += len(inflater.decompress(data, _CHUNK))
    if total > _MAX_INFLATED:
        raise InvalidImageError(
            f"a deflated file of at most {_MAX_INFLATED // 1_000_000} MB of content is required; {path.name} "
            "holds more; export it uncompressed (Explicit VR Little Endian)"
        )


def _intent(header: Dataset) -> str | None:
    """Presentation Intent Type (0008,0068), else what the SOP class implies."""
    stated = (text(header, "PresentationIntentType") or "").upper()
    if stated in ("FOR PRESENTATION", "FOR PROCESSING"):
        return stated
    implied = {
        "1.2.840.10008.5.1.4.1.1.1.2": "FOR PRESENTATION",
        "1.2.840.10008.5.1.4.1.1.1.2.1": "FOR PROCESSING",
    }
    return implied.get(text(header, "SOPClassUID") or "")
