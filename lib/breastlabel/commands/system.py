"""``breastlabel doctor``: what is installed, what works here."""

from __future__ import annotations

import typer

from breastlabel.commands.console import print_json
from breastlabel.commands.options import Json

__all__ = ["doctor"]

_MARKS = {True: "ok", False: "MISSING", None: "-"}


def doctor(as_json: Json = False) -> None:
    """Say what is installed and what works on this machine.

    Exit code 1 where something that breastlabel needs is missing.

    Example: breastlabel doctor
    """
    from dataclasses import asdict

    from breastlabel.doctor import examine

    checks = examine()
    healthy = all(check.ok is not False for check in checks)
    if as_json:
        print_json({"ok": healthy, "checks": [asdict(check) for check in checks]})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            remedy = f"  -> {check.remedy}" if check.remedy else ""
            print(f"{_MARKS[check.ok]:8}{check.name:{width}}  {check.found}{remedy}")
    if not healthy:
        raise typer.Exit(1)
