"""What a checkpoint says of itself, without its weights; read where torch is not needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from breastlabel.errors import CheckpointError
from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["FORMAT", "read_spec", "set_alias"]

# The version of the layout of model.json. A reader refuses what is newer than itself.
FORMAT = 1
_FILES = ("model.safetensors", "model.json")


def read_spec(folder: Path) -> dict[str, Any]:
    """``model.json`` of a checkpoint, without its weights.

    Raises:
        CheckpointError: it is missing, not JSON, or of a newer format.
    """
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"a checkpoint folder must hold {' and '.join(_FILES)}; '{folder.name}' lacks "
            f"{', '.join(missing)}; train one with 'breastlabel train' or name another with --checkpoint"
        )
    try:
        spec = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        version = int(spec["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"model.json must be this program's JSON; '{folder.name}' has something else ({error}); "
            "restore it from its source"
        ) from error
    if version > FORMAT:
        raise CheckpointError(
            f"checkpoint format {FORMAT} or older is required; '{folder.name}' has {version}; "
            "update breastlabel"
        )
    return dict(spec)


def set_alias(path: Path, version: str) -> None:
    """Point an alias file at a version, atomically: a reader sees the old one or the new one."""
    write_bytes_atomically(path, (json.dumps({"version": version}) + "\n").encode())
