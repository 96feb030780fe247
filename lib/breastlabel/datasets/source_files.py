"""Finding a dataset's tables and images below the folder that a user gave."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from breastlabel.datasets.source import read_table
from breastlabel.datasets.spreadsheet import read_spreadsheet
from breastlabel.errors import StudiesError
from breastlabel.imaging import IMAGE_SUFFIXES, image_stem

__all__ = ["by_stem", "find_table", "image_files", "number_of", "rows_by", "table_rows"]

#: Tables by preference: a spreadsheet that was saved as text was often saved so because it could not be read.
_TABLE_SUFFIXES = (".csv", ".xlsx")
_DICOM_SUFFIXES = (".dcm", ".dicom")


def image_files(source: Path) -> list[Path]:
    """All image files below a folder, sorted; without those that begin with a dot, which systems leave."""
    return sorted(
        file
        for file in source.rglob("*")
        if file.name.lower().endswith(IMAGE_SUFFIXES) and not file.name.startswith(".") and file.is_file()
    )


def by_stem(files: Iterable[Path]) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Files by their names without suffix; and those left out because another has the same.

    DICOM comes before converted copies, then the first in the given order.
    """
    found: dict[str, Path] = {}
    ordered = sorted(files, key=lambda file: file.suffix.lower() not in _DICOM_SUFFIXES)
    others = [file for file in ordered if found.setdefault(image_stem(file), file) != file]
    return found, [(file.name, "another file has the same name") for file in others]


def find_table(source: Path, pattern: str, *, dataset: str, table: str) -> Path:
    """A dataset's table, at any depth.

    Args:
        pattern: regular expression for its name without suffix, whatever its case; where several fit, the
            last by name is the newest, and .csv comes before .xlsx.
        dataset, table: what to call both in messages.

    Raises:
        StudiesError: no such folder, or no such table in it.
    """
    if not source.is_dir():
        raise StudiesError(
            f"a folder with {dataset} is required; there is none at '{source}'; check the path"
        )
    found = [
        file
        for file in sorted(source.rglob("*"))
        if file.suffix.lower() in _TABLE_SUFFIXES
        and re.fullmatch(pattern, file.stem, re.IGNORECASE)
        and file.is_file()
    ]
    if not found:
        raise StudiesError(
            f"{dataset}'s table {table} is required; found none in '{source}'; give the folder that holds it "
            "and the images"
        )
    newest = max(file.stem.lower() for file in found)
    return min(
        (file for file in found if file.stem.lower() == newest),
        key=lambda file: _TABLE_SUFFIXES.index(file.suffix.lower()),
    )


def table_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Rows of a table in .csv, with comma or semicolon, or .xlsx, by lower-case column name.

    Raises:
        StudiesError: it cannot be read, or lacks one of ``columns``.
    """
    if path.suffix.lower() == ".xlsx":
        return read_spreadsheet(path, columns)
    return read_table(path, columns, delimiter=_delimiter(path))


def rows_by(
    column: str, rows: Iterable[Mapping[str, str]]
) -> tuple[dict[str, Mapping[str, str]], list[tuple[str, str]]]:
    """Rows by the value of a column that names an image; and the images left out because lines disagree.

    Lines that are repeated count once, and those without a name not at all.
    """
    found: dict[str, Mapping[str, str]] = {}
    differing: dict[str, str] = {}
    for row in rows:
        name = row[column]
        if name and found.setdefault(name, row) != row:
            differing[name] = "its table has two lines for it that differ"
    return {name: row for name, row in found.items() if name not in differing}, list(differing.items())


def number_of(text: str) -> float | None:
    """A number that is not negative, such as an age; None for anything else, as tables leave cells empty."""
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) else None


def _delimiter(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline(10_000)
    except (OSError, UnicodeDecodeError):
        # `read_table` says what is wrong with it.
        return ","
    return ";" if header.count(";") > header.count(",") else ","
