"""What MONAI Label's clients are told of a label and of an image that has one."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from breastlabel.catalog import LabelVersion
from breastlabel.catalog.listing import ListedImage
from breastlabel.findings import LABEL_NAMES
from breastlabel.imaging import image_stem

__all__ = ["label_info", "label_name", "listed_object", "version_json"]


def label_name(version: LabelVersion) -> str:
    """The name under which a label map is sent: its image's id, and a suffix that tells its kind."""
    return version.image_id + _suffix(version.file)


def label_info(version: LabelVersion) -> dict[str, Any]:
    """What is known of a label, in the stock platform's words where it has any (``ts``, ``label_info``)."""
    return {
        **version.info,
        **version_json(version),
        "label_info": [{"name": name, "idx": value} for name, value in LABEL_NAMES.items()],
        "ts": int(version.created_at.timestamp()),
        "name": label_name(version),
    }


def version_json(version: LabelVersion) -> dict[str, Any]:
    """One reading in an image's history."""
    return {
        "version": version.version,
        "tag": version.tag,
        "state": version.state,
        "label": version.label,
        "author": version.author,
        "client_id": version.client_id,
        "created_at": version.created_at.isoformat(),
        "model": version.model,
        "model_version": version.model_version,
        "seconds_spent": version.seconds_spent,
        "agreement": version.agreement,
        "sha256": version.sha256,
    }


def listed_object(image: ListedImage) -> dict[str, Any]:
    """An entry of ``GET /datastore/?output=all``, in the shape of the stock platform's index file."""
    return {
        "image": {"ext": _suffix(image.file), "info": {**image.info, "name": PurePosixPath(image.file).name}},
        "labels": {
            tag: {"ext": _suffix(version.file), "info": label_info(version)}
            for tag, version in image.labels.items()
        },
    }


def _suffix(file: str) -> str:
    name = PurePosixPath(file).name
    return name[len(image_stem(name)) :]
