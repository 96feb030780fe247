"""Tables in Excel's format (ECMA-376, .xlsx), as far as datasets need them: text and numbers of one sheet."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from breastlabel.errors import StudiesError

__all__ = ["read_spreadsheet"]

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
#: No table of a dataset comes near it; a small file may unpack to terabytes.
_MAX_BYTES = 100_000_000
#: What zipfile and the parser raise over damaged, encrypted and foreign files.
_UNREADABLE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    ElementTree.ParseError,
    LookupError,
    ValueError,
)


def read_spreadsheet(
    path: Path, columns: Sequence[str], *, sheet: str | None = None
) -> Iterator[dict[str, str]]:
    """Rows of a sheet whose first row names the columns, by lower-case name, without surrounding blanks.

    Numbers come as the text that the file holds; empty cells as empty text. Rows without any text are
    passed over.

    Args:
        columns: lower-case names that must be there.
        sheet: by name, whatever its case; the first one where there is none of that name, or for None.

    Raises:
        StudiesError: the file is missing, is no such table, or lacks one of ``columns``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            texts = _shared_texts(archive)
            rows = list(_rows(_part(archive, _sheet_name(archive, sheet)), texts))
    except _UNREADABLE as error:
        raise StudiesError(
            f"a readable spreadsheet {path.name} (.xlsx) is required ({type(error).__name__}); "
            "save it again, or save its first sheet as .csv"
        ) from error
    names = {column: text.lower() for column, text in rows[0].items()} if rows else {}
    missing = [name for name in columns if name not in names.values()]
    if missing:
        raise StudiesError(
            f"{path.name} must have the columns {', '.join(columns)}; it lacks {', '.join(missing)}; "
            "check the file"
        )
    for row in rows[1:]:
        if any(row.values()):
            yield {name: row.get(column, "") for column, name in names.items() if name}


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > _MAX_BYTES:
        raise ValueError("too large")
    return ElementTree.fromstring(archive.read(name))


def _shared_texts(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_text(item) for item in _part(archive, "xl/sharedStrings.xml").iter(f"{_MAIN}si")]


def _text(item: ElementTree.Element) -> str:
    """The text of a cell that may be in several runs of different looks."""
    return "".join(run.text or "" for run in item.iter(f"{_MAIN}t"))


def _sheet_name(archive: zipfile.ZipFile, wanted: str | None) -> str:
    sheets = list(_part(archive, "xl/workbook.xml").iter(f"{_MAIN}sheet"))
    chosen = next((s for s in sheets if wanted and s.get("name", "").lower() == wanted.lower()), sheets[0])
    relations = _part(archive, "xl/_rels/workbook.xml.rels")
    target = next((r.get("Target", "") for r in relations if r.get("Id") == chosen.get(_RELATION)), "")
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _rows(sheet: ElementTree.Element, texts: Sequence[str]) -> Iterator[dict[str, str]]:
    """Each row as column letters -> text."""
    for row in sheet.iter(f"{_MAIN}row"):
        cells = {}
        for place, cell in enumerate(row.iter(f"{_MAIN}c")):
            letters = re.match(r"[A-Z]+", cell.get("r", ""))
            cells[letters[0] if letters else str(place)] = _value(cell, texts).strip()
        yield cells


def _value(cell: ElementTree.Element, texts: Sequence[str]) -> str:
    if cell.get("t") == "inlineStr":
        return _text(cell)
    value = cell.findtext(f"{_MAIN}v") or ""
    return texts[int(value)] if cell.get("t") == "s" and value else value
