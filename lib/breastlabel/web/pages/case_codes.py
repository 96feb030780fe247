"""Whether what is typed as a patient's code looks like a name or a date of birth.

The same expressions warn in the page while somebody types, so they are written for Python and for a browser:
``§`` stands for a letter of any script, which the two call by different names.
"""

from __future__ import annotations

import re

__all__ = ["browser_patterns", "code_warning"]

_REMEDY = "use a free pseudonym, such as C-017"
_DATE = f"This looks like a date, perhaps of birth; {_REMEDY}."
_NAME = f"This looks like a name; {_REMEDY}."

_PATTERNS = (
    (r"(^|\D)(19|20)\d\d[.\/ \-]?(0[1-9]|1[0-2])[.\/ \-]?(0[1-9]|[12]\d|3[01])(\D|$)", _DATE),
    (r"(^|\D)(0?[1-9]|[12]\d|3[01])[.\/ \-](0?[1-9]|[12]\d|3[01])[.\/ \-](19|20)?\d\d(\D|$)", _DATE),
    (r"§§[\s,;^_.]+§§", _NAME),
    (r"^\s*§(§|['’\-]){2,}\s*$", _NAME),
)


def code_warning(code: str | None) -> str | None:
    """A sentence for the user; None where nothing strikes. It only warns: a code may be any text."""
    for expression, warning in _PATTERNS:
        if code and re.search(expression.replace("§", r"[^\W\d_]"), code):
            return warning
    return None


def browser_patterns() -> list[list[str]]:
    """[expression, warning] as JavaScript's ``new RegExp(expression, "u")`` takes them."""
    return [[expression.replace("§", r"\p{L}"), warning] for expression, warning in _PATTERNS]
