"""A label map that a client sends, as a new version in the catalog."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breastlabel.catalog import Catalog, LabelVersion
from breastlabel.catalog.label_version import ORIGINAL, is_tag
from breastlabel.datasets import class_of_mask
from breastlabel.imaging import Geometry, LabelArray
from breastlabel.imaging.files import image_space
from breastlabel.imaging.volumes import nifti_bytes
from breastlabel.label.caller import caller
from breastlabel.label.errors import BadRequestError
from breastlabel.label.infer import plain
from breastlabel.label.options import Options
from breastlabel.label.segments import read_segments

__all__ = ["free_notes", "packed_nifti", "save_label_map"]

# What the server itself says of an image or label; a client cannot set it.
_OWN_KEYS = ("name", "path", "ts", "checksum", "id")
# What a version has fields of its own for.
_FIELDS = ("author", "client_id", "model", "model_version", "seconds_spent", "label_info")
_WEEK = 7 * 24 * 3600.0


def save_label_map(
    catalog: Catalog, image_id: str, image_file: Path, file: Path, tag: str, info: Mapping[str, Any]
) -> LabelVersion:
    """Check a label map against its image and save it; it is on the disk when this returns.

    Where ``info`` names no author or client, `caller` does.

    Args:
        image_file: the image's own file.
        file: a label map of the image's size.
        tag: ``final``; ``draft`` for one that is not finished; ``original`` for a model's proposal.
        info: ``label_info`` names its segments; ``client_id``, ``author``, ``model``, ``model_version`` and
            ``seconds_spent`` go into the version's own fields, the rest is kept.

    Raises:
        BadRequestError: the tag is no plain word, or a field is of the wrong type.
        InvalidLabelError: another size, unknown segments or unnamed values; nothing is stored.
    """
    if not is_tag(tag):
        raise BadRequestError("a label's tag must be a plain word such as final; got another; leave it out")
    shape, geometry = image_space(image_file)
    mask = read_segments(file, shape=shape, label_info=info.get("label_info"))
    options = Options(info)
    return catalog.labels.save(
        image_id,
        packed_nifti(mask, geometry),
        tag=tag,
        label=class_of_mask(mask).label,
        author=caller().author(info),
        # A proposal is no reading: it says nothing of how long a reader had the image.
        client_id=None if tag == ORIGINAL else caller().client_id(info),
        model=options.name("model"),
        model_version=_model_version(info),
        seconds_spent=options.number("seconds_spent", low=0, high=_WEEK),
        info={k: v for k, v in free_notes(info).items() if k not in _FIELDS},
    )


def free_notes(info: Mapping[str, Any]) -> dict[str, Any]:
    """What a client may note on an image or label: all but what the server says of it."""
    return {k: v for k, v in plain(info).items() if k not in _OWN_KEYS}


def packed_nifti(mask: LabelArray, geometry: Geometry) -> bytes:
    """A label map as ``.nii.gz``, in the space of its image."""
    # At level 1 a label map is a little larger than at 9, and packed ten times as fast.
    return gzip.compress(nifti_bytes(mask, geometry, compress=False), compresslevel=1, mtime=0)


def _model_version(info: Mapping[str, Any]) -> str | None:
    """As a client says it, or as inference said it to the client."""
    params = info.get("params")
    said = Options(params if isinstance(params, Mapping) else {}).name("checkpoint_version")
    return Options(info).name("model_version") or Options(info).name("checkpoint_version") or said
