"""The report of one reading as a page to file: it opens anywhere, offline, and prints."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from breastlabel.findings.result import NOTICE
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.web.pages.reading_pictures import Picture
from breastlabel.web.pages.rendering import rendered

__all__ = ["write_reading_report"]

_SHOWN = ("original", "enhanced", "regions", "outline")


def write_reading_report(
    path: Path,
    result: Mapping[str, Any],
    pictures: Sequence[Picture],
    *,
    fingerprint: str,
    written: date,
) -> None:
    """Write it.

    Args:
        result: as the page has it.
        fingerprint: tells the image's file from others, in the place of its name.
    """
    form, params = result["form"], result["params"]
    facts = {
        "Patient code": form["code"] or "not given",
        "Age": "unknown" if form["age"] is None else f"{form['age']:g} years",
        **{name.capitalize(): form[name] or "unknown" for name in ("side", "view", "density")},
        "Size": " × ".join(str(n) for n in params["image"]["shape"]) + " pixels",
        "Checksum of the file": fingerprint,
        "Report of": written.isoformat(),
        "Model": f"{result['model']} {params['checkpoint_version']}",
    }
    html = rendered(
        "report",
        notice=NOTICE,
        facts=facts,
        result=result,
        params=params,
        invasive=(params.get("breast") or {}).get("invasive_probability"),
        pictures=[
            (p, "data:image/png;base64," + base64.b64encode(p.png).decode())
            for p in pictures
            if p.name in _SHOWN
        ],
    )
    write_bytes_atomically(path, html.encode())
