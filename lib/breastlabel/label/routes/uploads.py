"""Files and parameters that come with a request."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import UploadFile

from breastlabel.imaging import image_stem
from breastlabel.label.errors import BadRequestError

__all__ = ["json_object", "received"]


def json_object(text: str | None, name: str = "params") -> dict[str, Any]:
    """A form field that holds a JSON object; empty counts as ``{}``.

    Raises:
        BadRequestError: it is something else.
    """
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = None
    if value is None and (text or "").strip() == "null":
        value = {}
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} must be a JSON object; got something else; send {{}} for none")
    return value


@contextlib.contextmanager
def received(upload: UploadFile, *, default_suffix: str = "") -> Iterator[Path]:
    """The uploaded file in a temporary folder that is removed afterwards.

    Of its name only the image suffix is used; clients send whole paths of their machines.
    """
    name = Path((upload.filename or "").replace("\\", "/")).name
    suffix = name[len(image_stem(name)) :] or default_suffix
    with tempfile.TemporaryDirectory(prefix="breastlabel-") as folder:
        path = Path(folder) / f"upload{suffix}"
        with path.open("wb") as file:
            shutil.copyfileobj(upload.file, file)
        yield path
