"""INbreast: BI-RADS as the class, outlines and points as the label map, patients by file name."""

import plistlib
from datetime import date

import numpy as np
import pytest
from dataset_trees import save, scene, write_dicom, write_spreadsheet

from breastlabel.catalog import Catalog, label_path
from breastlabel.datasets import import_dataset
from breastlabel.datasets.sequences import breast_cases, sequence_of
from breastlabel.errors import StudiesError
from breastlabel.imaging import Laterality, Modality, ViewPosition, read_mask

COLUMNS = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
# File, patient, side and view by the name, and the line of the table.
IMAGES = [
    ("20586908", "aaa1", "R_CC", "R;CC;200902;20586908;2;1"),
    ("20586960", "aaa1", "R_ML", "R;MLO;200902;20586960;2;1"),
    ("20586934", "aaa1", "L_CC", "L;CC;200902;20586934;2;5"),
    ("20586986", "aaa1", "L_ML", "L;MLO;200902;20586986;2;4a"),
    ("50993670", "aaa1", "L_CC", "L;CC;200802;50993670;3;2"),
    ("53582540", "bbb2", "R_ML", f"R;MLO;201001;53582540;{' ' * 40};1"),
    ("50994300", "bbb2", "R_FB", "R;FB;200901;50994300;4;3"),
    ("22678622", "ccc3", "R_CC", "R;CC;201001;22678622;4;6"),
    ("22678646", "ccc3", "L_CC", "L;CC;201001;22678646;4;3"),
    ("22678670", "ddd4", "L_CC", "R;CC;201001;22678670;4;3"),
    ("22678694", "ddd4", "R_CC", "R;CC;201001;22678694;4;x"),
    ("22614074", "eee5", "R_CC", "R;CC;201001;22614074;4;0"),
    ("22614097", "eee5", "L_CC", None),
    ("22614127", "eee5", None, "L;MLO;201001;22614127;2;5"),
]
SQUARE = [(5, 6), (15, 6), (15, 20), (5, 20)]
OUTLINES = {
    "20586934": [("Mass", SQUARE), ("Calcification", [(40, 30)]), ("Calcification", [(10, 12)])],
    "20586986": [("Calcification", [(20, 20)]), ("Unnamed", [(30, 9)])],
    "50993670": [("Calcifications", SQUARE), ("Cluster", [(30, 20), (40, 20), (40, 30)])],
    "50994300": [("Assymetry", SQUARE), ("Pectoral Muscle", [(30, 0), (47, 0), (47, 20)])],
    "22678622": [("Espiculated Region", SQUARE), ("Calcifications", [(30, 20), (40, 20), (40, 30)])],
    "53582540": [("Pectoral Muscle", [(30, 0), (47, 0), (47, 20)])],
}


def write_outlines(file, regions):
    rois = [{"Name": n, "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points]} for n, points in regions]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(plistlib.dumps({"Images": [{"ImageIndex": 0, "ROIs": rois}]}))
    return file


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "INbreast Release 1.0"
    lines = [COLUMNS]
    for seed, (file, patient, named, line) in enumerate(IMAGES):
        if named:
            name = f"{file}_{patient}_MG_{named}_ANON.dcm"
            write_dicom(root / "AllDICOMs" / name, scene(seed), patient="", modality="MG")
        if line:
            lines.append(f"removed;removed;{line}")
    (root / "INbreast.csv").write_text("\n".join(lines) + "\n")
    for file, regions in OUTLINES.items():
        write_outlines(root / "AllXML" / f"{file}.xml", regions)
    write_outlines(root / "PectoralMuscle" / "20586908.xml", [("x", SQUARE)])
    (root / "AllXML" / "22678646.xml").write_text("<plist>not really")
    (root / "AllDICOMs" / "._20586908_aaa1_MG_R_CC_ANON.dcm").write_bytes(b"x")
    save(root / "thumbnail.png", scene(99))
    save(root / "png" / "20586908_aaa1_MG_R_CC_ANON.png", scene(98))
    return tmp_path


@pytest.fixture
def studies(tmp_path):
    return tmp_path / "studies"


def imported_from(source, studies):
    summary = import_dataset("inbreast", source, studies)
    with Catalog.open(studies) as catalog:
        return summary, {r.image_id.removeprefix("inbreast-"): r for r in catalog.images()}


@pytest.fixture
def imported(source, studies):
    return imported_from(source, studies)


def mask(studies, name):
    return read_mask(label_path(studies, f"inbreast-{name}"))


def test_side_view_date_and_density_come_from_the_table(imported):
    found = imported[1]["20586986"]

    assert (found.modality, found.laterality, found.view_position) == (
        Modality.MG,
        Laterality.L,
        ViewPosition.MLO,
    )
    expected = {
        "density": "B",
        "birads": 4,
        "birads_category": "4a",
        "type": "calcification",
        "acquired": date(2009, 2, 1).isoformat(),
    }
    assert {k: found.metadata[k] for k in expected} == expected
    assert imported[1]["50994300"].view_position is ViewPosition.FB
    assert "density" not in imported[1]["53582540"].metadata
    assert imported[1]["50994300"].metadata["type"] == "asymmetry"
    assert imported[1]["22678622"].metadata["type"] == "calcification, mass"


def test_the_class_is_told_by_birads(imported):
    labels = {name: record.label for name, record in imported[1].items()}

    assert labels == {
        "20586908": "normal",
        "20586960": "normal",
        "20586934": "malignant",
        "20586986": "malignant",
        "50993670": "benign",
        "53582540": "normal",
        "50994300": "benign",
        "22678622": "malignant",
        "22678646": "benign",
        "22614074": None,
    }


def test_outlines_are_filled_with_the_class_and_the_pectoral_muscle_is_not(imported, studies):
    painted = mask(studies, "50994300")

    expected = np.zeros_like(painted)
    expected[6:21, 5:16] = 1
    np.testing.assert_array_equal(painted, expected)
    malignant = mask(studies, "22678622")
    assert set(np.unique(malignant)) == {0, 2}
    # An outline around several calcifications is a cluster, whatever else the image shows.
    assert malignant[6:21, 5:16].all()
    assert malignant[20, 30:41].all()


def test_single_calcifications_beside_a_malignant_lesion_are_benign_discs(imported, studies):
    painted = mask(studies, "20586934")

    assert (painted[6:21, 5:16] == 2).all()
    assert (painted[30, 36:45] == 1).all()
    assert (painted[26:35, 40] == 1).all()
    assert np.count_nonzero(painted == 1) == np.count_nonzero(painted[25:36, 35:46] == 1)


def test_single_calcifications_alone_have_the_class_of_the_image(imported, studies):
    painted = mask(studies, "20586986")

    assert set(np.unique(painted)) == {0, 2}
    assert painted[20, 20] == painted[9, 30] == 2


def test_a_normal_image_has_an_empty_label_map_and_an_image_without_outlines_none(imported, studies):
    assert not mask(studies, "20586908").any()
    assert not mask(studies, "53582540").any()
    for name in ("22678646", "22614074"):
        assert not imported[1][name].reviewed
        assert label_path(studies, f"inbreast-{name}") is None


def test_an_older_examination_of_the_same_woman_is_a_prior(imported, studies):
    with Catalog.open(studies) as catalog:
        sequence = sequence_of(catalog, "inbreast-20586934")

    assert [v.image_id for v in sequence.views] == [
        "inbreast-50993670",
        "inbreast-20586934",
        "inbreast-20586986",
    ]
    cases = {case.key: case.newest for case in breast_cases(imported[1].values())}
    assert cases["inbreast-20586908"] == ("inbreast-20586908", "inbreast-20586960")
    assert "aaa1" not in imported[1]["20586934"].patient_key


def test_what_cannot_be_used_is_skipped_with_the_reason(imported):
    skipped = dict(imported[0].skipped)

    assert skipped.pop("22678646.xml").startswith("no label map: regions in XML, as OsiriX writes them")
    assert skipped == {
        "20586908": "another file is of the same image",
        "22678670": "its name and the table name two sides",
        "22678694": "its Bi-Rads is none of 0 to 6",
        "22614097": "not listed in the table",
        "22614127": "listed in the table, but its image is missing",
        "thumbnail.png": "its name is none of INbreast's",
    }


def test_an_image_of_another_size_than_its_outlines_is_skipped(source, studies):
    file = next(source.rglob("20586934.xml"))
    write_outlines(file, [("Mass", [(5, 6), (480, 6), (480, 400)])])

    summary, found = imported_from(source, studies)

    assert "20586934" not in found
    assert dict(summary.skipped)["20586934_aaa1_MG_L_CC_ANON.dcm"].startswith("an image in its full size")


def test_outlines_on_a_normal_image_leave_it_without_a_label_map(source, studies):
    write_outlines(source / "INbreast Release 1.0" / "AllXML" / "20586960.xml", [("Mass", SQUARE)])

    found = imported_from(source, studies)[1]["20586960"]

    assert (found.label, found.reviewed) == ("normal", False)


def test_the_table_may_be_a_spreadsheet_with_numbers_as_it_stores_them(source, studies):
    table = next(source.rglob("INbreast.csv"))
    row = ("removed", "", "R", "CC", "200902.0", "20586908.0", "2.0", "1")
    write_spreadsheet(table.with_suffix(".xlsx"), {"Sheet1": [COLUMNS.split(";"), row]})
    table.unlink()

    found = imported_from(source, studies)[1]

    assert list(found) == ["20586908"]
    assert found["20586908"].metadata["density"] == "B"
    assert found["20586908"].metadata["acquired"] == "2009-02-01"


def test_a_folder_without_the_table_is_refused(tmp_path, studies):
    (tmp_path / "INbreast.xls").write_bytes(b"x")
    with pytest.raises(StudiesError, match=r"INbreast.xls saved as \.csv or \.xlsx"):
        import_dataset("inbreast", tmp_path, studies)
