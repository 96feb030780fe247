"""Spreadsheets as Excel writes them, made here by hand."""

import zipfile

import pytest

from breastlabel.datasets.spreadsheet import read_spreadsheet
from breastlabel.errors import StudiesError

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def write(path, sheets, *, texts=()):
    """An .xlsx with the given sheets: name -> rows of the sheet's XML."""
    with zipfile.ZipFile(path, "w") as archive:
        names = "".join(
            f'<sheet name="{name}" sheetId="{k}" r:id="rId{k}"/>' for k, name in enumerate(sheets, start=1)
        )
        archive.writestr(
            "xl/workbook.xml", f'<workbook {MAIN} xmlns:r="{OFFICE}"><sheets>{names}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="rId{k}" Target="worksheets/sheet{k}.xml"/>' for k in range(1, len(sheets) + 1)
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{links}</Relationships>")
        shared = "".join(f"<si><t>{text}</t></si>" for text in texts)
        archive.writestr("xl/sharedStrings.xml", f"<sst {MAIN}>{shared}</sst>")
        for k, rows in enumerate(sheets.values(), start=1):
            archive.writestr(
                f"xl/worksheets/sheet{k}.xml",
                f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>",
            )
    return path


HEADER = '<row><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>1</v></c></row>'


def test_a_sheet_is_read_by_its_first_row(tmp_path):
    rows = (
        f"{HEADER}"
        '<row><c r="A2" t="inlineStr"><is><r><t>P1_</t></r><r><t>L </t></r></is></c>'
        '<c r="C2"><v>61</v></c></row>'
        '<row><c r="C3"/></row><row><c r="B4"><v>5</v></c><c r="C4" t="str"><v>old</v></c></row>'
    )
    path = write(tmp_path / "t.xlsx", {"other": "<row/>", "All": rows}, texts=["Image_name", " Age"])

    found = list(read_spreadsheet(path, ("image_name", "age"), sheet="all"))

    assert found == [{"image_name": "P1_L", "age": "61"}, {"image_name": "", "age": "old"}]


def test_the_first_sheet_is_read_where_there_is_none_of_that_name(tmp_path):
    path = write(tmp_path / "t.xlsx", {"x": HEADER + '<row><c r="A2"><v>7</v></c></row>'}, texts=["a", "b"])

    assert list(read_spreadsheet(path, ("a",), sheet="all")) == [{"a": "7", "b": ""}]


def test_missing_columns_are_named(tmp_path):
    path = write(tmp_path / "t.xlsx", {"x": HEADER}, texts=["a", "b"])

    with pytest.raises(StudiesError, match=r"t\.xlsx must have the columns a, age; it lacks age"):
        list(read_spreadsheet(path, ("a", "age")))


@pytest.mark.parametrize("content", [b"", b"PK nothing", b"a,b\n1,2\n"])
def test_a_file_that_is_no_spreadsheet_is_refused(tmp_path, content):
    path = tmp_path / "t.xlsx"
    path.write_bytes(content)

    with pytest.raises(StudiesError, match=r"a readable spreadsheet t\.xlsx"):
        list(read_spreadsheet(path, ()))


def test_a_spreadsheet_with_a_damaged_sheet_is_refused(tmp_path):
    path = write(tmp_path / "t.xlsx", {"x": '<row><c t="s"><v>9</v></c></row>'})

    with pytest.raises(StudiesError, match="a readable spreadsheet"):
        list(read_spreadsheet(path, ()))
