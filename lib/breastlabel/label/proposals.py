"""What a model proposed to a reader, kept so that it can be compared with what the reader makes of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breastlabel.catalog import Catalog, LabelVersion
from breastlabel.datasets import class_of_mask
from breastlabel.errors import BreastLabelError
from breastlabel.imaging import LesionClass, image_stem, read_mask

__all__ = ["keep_proposal", "painted"]

logger = logging.getLogger(__name__)

_ORIGINAL = "original"


def keep_proposal(
    catalog: Catalog,
    image_id: str,
    file: Path,
    *,
    model: str,
    params: Mapping[str, Any],
    label: str | None = None,
) -> LabelVersion | None:
    """Keep a mask that a model answered as the image's newest proposal.

    The reader's next label of the image is then known to start from it. Viewers that ask again and again do
    not fill the disk: a proposal that is the newest one already, and that no reading answered yet, is not
    kept twice. A failure is logged and does not keep the answer from the reader.

    Args:
        file: the answered label map, in the image's geometry.
        params: what the answer said, with ``checkpoint_version``.
        label: the class that is painted, where it is known; else the file is read again.

    Returns:
        The version; None where nothing was kept.
    """
    try:
        data = file.read_bytes()
        version = params.get("checkpoint_version")
        if _is_open_already(catalog, image_id, data, version):
            return None
        return catalog.labels.save(
            image_id,
            data,
            suffix=file.name[len(image_stem(file)) :],
            tag=_ORIGINAL,
            label=label or class_of_mask(read_mask(file)).label,
            model=model,
            model_version=None if version is None else str(version),
            info={"model": model, "params": dict(params)},
        )
    except (BreastLabelError, OSError) as error:
        logger.warning("a proposal could not be kept: %s", type(error).__name__)
        return None


def painted(params: Mapping[str, Any]) -> str | None:
    """The class that a task's answer says is painted in its mask; None where it does not say."""
    findings = params.get("findings")
    if findings is None:
        return None
    # A breast may be malignant of which this view shows nothing.
    return str(params["predicted_class"]) if findings else LesionClass.NORMAL.label


def _is_open_already(catalog: Catalog, image_id: str, data: bytes, version: Any) -> bool:
    newest = catalog.labels.current(image_id, _ORIGINAL)
    if newest is None or newest.model_version != version:
        return False
    if newest.sha256 != hashlib.sha256(data).hexdigest():
        return False
    final = catalog.labels.current(image_id)
    return final is None or final.version < newest.version
