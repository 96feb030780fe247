"""CMMD: side and view from the header, the class by breast, and what the table does not say stays unknown."""

import pytest
from dataset_trees import scene, write_dicom, write_spreadsheet
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from breastlabel.catalog import Catalog, label_path
from breastlabel.datasets import import_dataset
from breastlabel.datasets.sequences import breast_cases
from breastlabel.errors import StudiesError
from breastlabel.imaging import Laterality, Modality, ViewPosition

COLUMNS = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
ROWS = [
    ("D1-0001", "R", 44, 2, "calcification", "Benign", ""),
    ("D1-0002", "L ", 40, 4, "mass", "Malignant ", ""),
    ("D1-0002", "R", 40, 4, "mass", "Benign", ""),
    ("d2-0003", "L", 52, 4, "both", "malignant", "Luminal A"),
    ("D2-0004", "L", "", 2, "mass", "see note", ""),
    ("D2-0005", "L", 61, 2, "mass", "Benign", "HER2-enriched"),
    ("D2-0006", "R", 61, 2, "mass", "Benign", ""),
    ("D2-0006", "R", 61, 2, "mass", "Malignant", ""),
]
FILMS = {
    "D1-0001": ("R CC", "R MLO"),
    "D1-0002": ("L CC", "L MLO", "R CC", "R MLO"),
    "D2-0003": ("L CC", "R CC"),
    "D2-0004": ("L CC",),
    "D2-0006": ("R CC",),
    "D2-0099": ("L CC",),
}
CODES = {"CC": "R-10242", "MLO": "R-10226"}


def film(file, seed, patient, side, view, **header):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = CODES[view], "SNM3", "view"
    header = {"ImageLaterality": side, "StudyDate": "20100718", "StudyInstanceUID": f"1.2.{seed}"} | header
    header |= {"ViewCodeSequence": Sequence([code]), "Manufacturer": "GE MEDICAL SYSTEMS"}
    return write_dicom(file, scene(seed), patient=patient, modality="MG", **header)


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "manifest-1616439774456"
    for p, (patient, films) in enumerate(FILMS.items()):
        for k, (side, view) in enumerate(map(str.split, films), start=1):
            folder = root / "CMMD" / patient / "07-18-2010-NA-NA-49155" / "1.000000-NA-92065"
            film(folder / f"1-{k}.dcm", 100 * p + k, patient, side, view, ImagerPixelSpacing=[0.094, 0.094])
    film(root / "other" / "1-1.dcm", 900, "D9", "L", "CC")
    write_spreadsheet(root / "CMMD_clinicaldata_revision.xlsx", {"Sheet1": [COLUMNS, *ROWS]})
    return tmp_path


@pytest.fixture
def studies(tmp_path):
    return tmp_path / "studies"


def imported_from(source, studies):
    summary = import_dataset("cmmd", source, studies)
    with Catalog.open(studies) as catalog:
        return summary, {r.image_id.removeprefix("cmmd-"): r for r in catalog.images()}


@pytest.fixture
def imported(source, studies):
    return imported_from(source, studies)


def test_side_and_view_come_from_the_header_and_the_rest_from_the_table(imported):
    found = imported[1]["D2-0003-1-1"]

    assert (found.modality, found.laterality, found.view_position) == (
        Modality.MG,
        Laterality.L,
        ViewPosition.CC,
    )
    assert found.spacing_rows == pytest.approx(0.094)
    expected = {
        "age": 52.0,
        "type": "calcification, mass",
        "subtype": "Luminal A",
        "manufacturer": "GE MEDICAL SYSTEMS",
    }
    assert {k: found.metadata[k] for k in expected} == expected


def test_each_breast_has_its_own_class_and_no_image_a_label_map(imported, studies):
    found = imported[1]

    labels = {name: found[name].label for name in found if name.startswith("D1-0002")}
    assert labels == {
        "D1-0002-1-1": "malignant",
        "D1-0002-1-2": "malignant",
        "D1-0002-1-3": "benign",
        "D1-0002-1-4": "benign",
    }
    assert not any(record.reviewed for record in found.values())
    assert label_path(studies, "cmmd-D1-0002-1-1") is None


def test_a_breast_that_the_table_does_not_list_has_no_class(imported):
    found = imported[1]["D2-0003-1-2"]

    assert (found.laterality, found.label) == (Laterality.R, None)


def test_of_two_lines_for_a_breast_the_worse_counts(imported):
    assert imported[1]["D2-0006-1-1"].label == "malignant"


def test_the_views_of_a_breast_are_one_case_and_a_woman_is_in_one_split(imported):
    found = imported[1]
    cases = {case.key: case.sequence for case in breast_cases(found.values())}

    assert cases["cmmd-D1-0002-1-3"] == ("cmmd-D1-0002-1-3", "cmmd-D1-0002-1-4")
    assert len({r.split for name, r in found.items() if name.startswith("D1-0002")}) == 1


def test_neither_the_archives_dates_nor_a_patient_id_is_kept(imported):
    found = imported[1]["D1-0001-1-1"]

    assert found.metadata["acquired"] is None
    assert "D1-0001" not in (found.patient_key, found.study_key)


def test_what_cannot_be_used_is_skipped_with_the_reason(imported):
    assert dict(imported[0].skipped) == {
        "1-1.dcm": "no folder of a patient, such as D1-0001, holds it",
        "D2-0004/1-1.dcm": "its class is none of Benign, Malignant",
        "D2-0099/1-1.dcm": "its patient is not listed in the table",
        "CMMD_clinicaldata_revision.xlsx": "the images of 1 of 7 listed breasts are missing",
    }


def test_two_series_with_the_same_file_names_are_told_apart(source, studies):
    folder = next(source.rglob("D1-0001")) / "07-18-2010-NA-NA-49155" / "2.000000-NA-1"
    film(folder / "1-1.dcm", 950, "D1-0001", "R", "CC")

    found = imported_from(source, studies)[1]

    assert {"D1-0001-1-1", "D1-0001-1-1-2"} <= set(found)


def test_an_image_whose_header_names_no_side_has_no_class(source, studies):
    film(next(source.rglob("D1-0001")) / "s" / "1-9.dcm", 951, "D1-0001", "", "CC")

    assert imported_from(source, studies)[1]["D1-0001-1-9"].label is None


def test_the_table_may_be_text_in_lower_case(source, studies):
    table = next(source.rglob("*.xlsx"))
    table.with_name("cmmd_clinicaldata_revision.csv").write_text(
        "ID1,LeftRight,classification\nD1-0001,R,Benign\n"
    )
    table.unlink()

    summary, found = imported_from(source, studies)

    assert {name: r.label for name, r in found.items()} == {"D1-0001-1-1": "benign", "D1-0001-1-2": "benign"}
    assert summary.n_patients == 1


def test_a_table_without_breasts_and_a_folder_without_a_table_are_refused(source, studies, tmp_path):
    next(source.rglob("*.xlsx")).unlink()
    (source / "CMMD_clinicaldata.csv").write_text("ID1,LeftRight,classification\nnobody,R,Benign\n")
    with pytest.raises(StudiesError, match="lines with ID1 such as D1-0001"):
        import_dataset("cmmd", source, studies)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudiesError, match=r"CMMD's table CMMD_clinicaldata_revision.xlsx"):
        import_dataset("cmmd", tmp_path / "empty", studies)
