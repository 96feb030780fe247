"""Which release of OHIF is served, and where its unpacked files lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import breastlabel

__all__ = [
    "FOLDER_VARIABLE",
    "INTEGRITY",
    "PACKAGE",
    "PUBLIC_PATH",
    "VERSION",
    "cache_folder",
    "viewer_folder",
]

PACKAGE: Final = "@ohif/app"
VERSION: Final = "3.13.2"
#: Of the package's archive, as its registry states it (Subresource Integrity).
INTEGRITY: Final = (
    "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
)
#: The path under which the server offers the viewer. The built files name it, so it is fixed when they are
#: unpacked.
PUBLIC_PATH: Final = "/ohif/"
#: How the files were changed when they were unpacked; counted up with that, so that they are made anew.
LAYOUT: Final = 1
FOLDER_VARIABLE: Final = "BREASTLABEL_OHIF"


def cache_folder() -> Path:
    """The folder that ``BREASTLABEL_OHIF`` names, or ``.ohif`` at the root of the checkout."""
    named = os.environ.get(FOLDER_VARIABLE, "").strip()
    return Path(named).expanduser() if named else Path(breastlabel.__file__).parents[2] / ".ohif"


def viewer_folder(cache: Path | None = None) -> Path:
    """Where this release's unpacked files lie, or will lie."""
    return (cache or cache_folder()) / f"{VERSION}-{LAYOUT}"
