"""A dataset as the DICOM JSON model, its large values by reference (PS3.18 F)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breastlabel.errors import NotFoundError
from breastlabel.imaging.dicom_header import read_dataset
from breastlabel.web.dicomweb.frames import COLOUR_AS_STORED, Frames

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset
    from pydicom.dataelem import DataElement

__all__ = ["bulk_value", "metadata_of"]

#: Larger values come by reference. Look-up tables of 16 bits stay: viewers expect them here.
_INLINE_BYTES = 1 << 18
#: Of private elements, which no viewer understands.
_INLINE_PRIVATE_BYTES = 1 << 10
_DEFER_BYTES = 1 << 20
_PIXELS = ("7FE00010", "7FE00008", "7FE00009")
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_TEXT_LIMIT = 1 << 20


def metadata_of(file: Path, url: str) -> dict[str, Any]:
    """A file's elements.

    What is compressed in colour is described as its frames are served: in RGB, pixel by pixel. What cannot be
    decoded is left out.

    Args:
        url: where the instance is retrieved, to which references are relative.
    """
    frames = Frames(file)
    dataset = frames.header
    found = _json(dataset, f"{url}/bulkdata")
    if frames.count:
        kind = "OB" if frames.is_compressed or frames.bits <= 8 else "OW"
        found["7FE00010"] = {"vr": kind, "BulkDataURI": f"{url}/bulkdata/7FE00010"}
    if frames.is_compressed and frames.samples > 1 and frames.syntax != COLOUR_AS_STORED:
        found["00280004"] = {"vr": "CS", "Value": [frames.photometric]}
        found["00280006"] = {"vr": "US", "Value": [0]}
    return dict(sorted(found.items()))


def bulk_value(file: Path, path: str) -> bytes:
    """The value that a reference names.

    Args:
        path: as `metadata_of` writes them: a tag, or item numbers and tags in turns down to it.

    Raises:
        NotFoundError: there is no such value.
    """
    dataset = read_dataset(file, pixels=True, lift=False, defer=_DEFER_BYTES)
    try:
        *above, last = path.split("/")
        for tag, number in zip(above[::2], above[1::2], strict=True):
            dataset = dataset[int(tag, 16)].value[int(number)]
        value = dataset[int(last, 16)].value
    except Exception as error:
        raise NotFoundError("a value that the metadata refer to is required; there is none here") from error
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise NotFoundError("a binary value is required; this attribute has another; ask for the metadata")


def _json(dataset: Dataset, url: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for tag in dataset.keys():  # noqa: SIM118, a Dataset iterates over its elements
        name = f"{int(tag):08X}"
        if name in _PIXELS or tag.group == 2:
            continue
        try:
            found[name] = _element(dataset[tag], f"{url}/{name}")
        except Exception:
            # Malformed bytes raise almost anything, here of one element only.
            continue
    return found


def _element(element: DataElement, url: str) -> dict[str, Any]:
    if element.VR == "SQ":
        items = [_json(item, f"{url}/{number}") for number, item in enumerate(element.value)]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    limit = _INLINE_PRIVATE_BYTES if element.tag.is_private else _INLINE_BYTES
    if element.VR in _BINARY and isinstance(element.value, bytes) and len(element.value) > limit:
        return {"vr": element.VR, "BulkDataURI": url}
    if isinstance(element.value, str) and len(element.value) > _TEXT_LIMIT:
        return {"vr": element.VR, "BulkDataURI": url}
    return _without_nul(element.to_json_dict(None, 1 << 62))


def _without_nul(found: dict[str, Any]) -> dict[str, Any]:
    values = found.get("Value")
    if isinstance(values, list):
        # An empty value among several is null (F.2.5).
        found["Value"] = [(v.replace("\0", "").strip() or None) if isinstance(v, str) else v for v in values]
        if found["Value"] == [None]:
            del found["Value"]
    return found
