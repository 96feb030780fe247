"""Finding tables and images below a folder."""

import pytest
from dataset_trees import save, scene, write_spreadsheet

from breastlabel.datasets.source_files import by_stem, find_table, image_files, number_of, rows_by, table_rows
from breastlabel.errors import StudiesError


def find(source):
    return find_table(source, r"labels.*", dataset="the set", table="labels.csv")


def test_a_table_is_found_at_any_depth_and_in_any_case(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "LABELS.CSV").write_text("x")

    assert find(tmp_path).name == "LABELS.CSV"


def test_the_newest_table_is_taken_and_text_before_a_spreadsheet(tmp_path):
    for name in ("labels.csv", "labels_revision.csv", "labels_revision.xlsx"):
        (tmp_path / name).write_text("x")

    assert find(tmp_path).name == "labels_revision.csv"


def test_a_missing_folder_and_a_missing_table_are_told(tmp_path):
    with pytest.raises(StudiesError, match="a folder with the set is required; there is none"):
        find(tmp_path / "nowhere")
    with pytest.raises(StudiesError, match=r"the set's table labels.csv is required; found none"):
        find(tmp_path)


def test_commas_semicolons_and_spreadsheets_give_the_same_rows(tmp_path):
    (tmp_path / "a.csv").write_text("File,Age \n x ,5\n")
    (tmp_path / "b.csv").write_text("File;Age \n x ;5\n", encoding="utf-8-sig")
    write_spreadsheet(tmp_path / "c.xlsx", {"sheet": [("File", "Age "), (" x ", 5)]})

    for name in ("a.csv", "b.csv", "c.xlsx"):
        assert list(table_rows(tmp_path / name, ("file",))) == [{"file": "x", "age": "5"}]


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x80")

    with pytest.raises(StudiesError, match="a readable table"):
        list(table_rows(tmp_path / "a.csv", ("file",)))


def test_a_table_with_a_quote_that_never_ends_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text('file,age\n"x' + "9" * 200_000)

    with pytest.raises(StudiesError, match="check that every quote in it is closed"):
        list(table_rows(tmp_path / "a.csv", ("file",)))


def test_lines_that_disagree_leave_the_image_out_and_repeated_ones_count_once():
    rows = [{"id": "a", "x": "1"}, {"id": "a", "x": "1"}, {"id": "b", "x": "1"}, {"id": "b", "x": "2"}]

    found, left_out = rows_by("id", [*rows, {"id": "", "x": "3"}])

    assert found == {"a": rows[0]}
    assert left_out == [("b", "its table has two lines for it that differ")]


def test_dicom_comes_before_copies_and_hidden_files_are_passed_over(tmp_path):
    copy = save(tmp_path / "a" / "1.png", scene(1))
    original = tmp_path / "z" / "1.dcm"
    original.parent.mkdir()
    original.write_bytes(b"")
    (tmp_path / "z" / "._2.dcm").write_bytes(b"")

    assert by_stem(image_files(tmp_path)) == (
        {"1": original},
        [(copy.name, "another file has the same name")],
    )


@pytest.mark.parametrize(
    ("text", "number"), [("45", 45), ("45.5", 45.5), ("", None), ("-1", None), ("nan", None)]
)
def test_only_plain_numbers_count(text, number):
    assert number_of(text) == number
