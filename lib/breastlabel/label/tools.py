"""Programs that come with the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["put_tools_on_path"]


def put_tools_on_path() -> None:
    """The environment's programs are found also where it was not activated.

    MONAI Label looks for dcmqi's ``itkimage2segimage`` on PATH and downloads it where it is not there.
    """
    tools = str(Path(sys.prefix) / "bin")
    if tools not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(part for part in (tools, os.environ.get("PATH", "")) if part)
