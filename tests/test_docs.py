"""The documents point at what exists, and name what the code asks the environment for."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "docs" / "reference" / "environment.md"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for top in ("docs", "lib", "deploy", "apps") for page in (ROOT / top).rglob("*.md")),
    ]
)
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|<(?:img|a)\s[^>]*?(?:src|href)=\"([^\"]+)\"")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_VARIABLE = re.compile(r"BREASTLABEL_[A-Z0-9]+(?:_[A-Z0-9]+)*\b_?")


def _prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def _links(page: Path) -> list[str]:
    found = [first or second for first, second in _LINK.findall(_prose(page))]
    return [unquote(link) for link in found if not _ELSEWHERE.match(link)]


def _anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+\s+(.+?)\s*#*$", _prose(page), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), f"{link}: no such heading"


def test_every_page_of_the_documents_is_linked_from_another() -> None:
    linked = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in _links(page)}
    assert [str(page) for page in (ROOT / "docs").rglob("*.md") if page.resolve() not in linked] == []


def test_every_environment_variable_is_in_the_reference_or_on_the_page_it_points_to() -> None:
    used = {
        name
        for source in (ROOT / "lib").rglob("*.py")
        for name in _VARIABLE.findall(source.read_text(encoding="utf-8"))
        if not name.endswith("_")
    }
    reference = ENVIRONMENT.read_text(encoding="utf-8")
    pages = [(ENVIRONMENT.parent / link.partition("#")[0]).resolve() for link in _links(ENVIRONMENT)]
    known = "\n".join([reference, *(page.read_text(encoding="utf-8") for page in pages)])
    assert used
    assert sorted(name for name in used if not re.search(rf"\b{name}\b", known)) == []


def test_every_variable_of_the_reference_is_one_that_the_code_asks_for() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "lib").rglob("*.py"))
    documented = {
        name for name in _VARIABLE.findall(ENVIRONMENT.read_text(encoding="utf-8")) if not name.endswith("_")
    }
    assert sorted(name for name in documented if name not in sources) == []
