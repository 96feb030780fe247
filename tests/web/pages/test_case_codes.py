"""A code that looks like a name or a date of birth is warned about, in the page as on the server."""

from __future__ import annotations

import re

import pytest

from breastlabel.web.pages.case_codes import browser_patterns, code_warning


@pytest.mark.parametrize(
    "code",
    [
        "Anna Example",
        "EXAMPLE^ANNA",
        "Example, Anna",
        "Müller",
        "Иванова Анна",
        "O'Brien",
        "Anna_Example",
    ],
)
def test_a_name_is_noticed(code: str) -> None:
    warning = code_warning(code)
    assert warning is not None
    assert "name" in warning
    assert code not in warning


@pytest.mark.parametrize(
    "code", ["1964-05-17", "19640517", "17.05.1964", "5/17/64", "born 17.5.64", "C-19640517"]
)
def test_a_date_is_noticed(code: str) -> None:
    warning = code_warning(code)
    assert warning is not None
    assert "date" in warning


@pytest.mark.parametrize(
    "code", ["C-017", "A7", "study3 case12", "2026/0481", "P-2026-0481", "RX81", "", None, "7"]
)
def test_a_pseudonym_is_not(code: str | None) -> None:
    assert code_warning(code) is None


def test_the_page_looks_for_the_same() -> None:
    """JavaScript's expressions, but for its name of letters, are Python's."""
    for code in ("Anna Example", "1964-05-17", "17.05.1964", "Example", "C-017"):
        found = [
            warning
            for expression, warning in browser_patterns()
            if re.search(expression.replace(r"\p{L}", "[A-Za-z]"), code)
        ]
        assert (found[0] if found else None) == code_warning(code)
