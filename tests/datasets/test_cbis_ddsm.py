"""CBIS-DDSM: films by name or UID, masks told from crops, several abnormalities, the official test set."""

import os
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import disc, save, scene, write_dicom

from breastlabel.catalog import Catalog, label_path
from breastlabel.datasets import import_dataset
from breastlabel.datasets.sequences import breast_cases
from breastlabel.errors import StudiesError
from breastlabel.imaging import Laterality, Modality, ViewPosition, read_mask

MASS = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,"
    "mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
)
CALC = (
    "patient_id,breast density,left or right breast,image view,abnormality id,abnormality type,calc type,"
    "calc distribution,assessment,pathology,subtlety,image file path,cropped image file path,"
    "ROI mask file path"
)


def row(name, number, pathology, *, density=3, kind="mass", uids=None):
    """A line as the authors write it: the last cell is quoted and ends in a line break."""
    patient, side, view = re.search(r"_(P_\d+)_(LEFT|RIGHT)_(CC|MLO)", name).groups()
    folders = (name, f"{name}_{number}")
    film, roi = (f"{f}/9.9/{u}" for f, u in zip(folders, uids or map(uid, folders), strict=True))
    return (
        f"{patient},{density},{side},{view},{number},{kind},OVAL,SPICULATED,4,{pathology},5,"
        f'{film}/000000.dcm,{roi}/000000.dcm,"{roi}/000001.dcm\n"'
    )


def uid(folder):
    """Of the series; no two have the same."""
    return f"1.{zlib.crc32(folder.encode())}"


def film(root, name, seed):
    return write_dicom(root / name / "9.9" / uid(name) / "1-1.dcm", scene(seed), patient=name, modality="MG")


def roi(root, name, mask, *, swapped=False):
    """Mask and crop in one folder, in either order."""
    folder = root / name / "9.9" / uid(name)
    files = ("1-1.dcm", "1-2.dcm") if swapped else ("1-2.dcm", "1-1.dcm")
    write_dicom(folder / files[0], mask.astype(np.uint8) * 255, patient=name, modality="MG")
    write_dicom(folder / files[1], scene(len(name), (12, 12)), patient=name, modality="MG")


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "CBIS-DDSM"
    near, far = disc((12, 12)), disc((28, 36))

    both = "Mass-Training_P_00001_LEFT_CC"
    film(root, both, 1)
    roi(root, f"{both}_1", near)
    roi(root, f"{both}_2", far, swapped=True)

    larger = "Mass-Training_P_00001_LEFT_MLO"
    film(root, larger, 2)
    roi(root, f"{larger}_1", near.repeat(2, axis=0).repeat(2, axis=1))

    twice = ("Mass-Training_P_00002_RIGHT_CC", "Calc-Test_P_00002_RIGHT_CC")
    for name, mask in zip(twice, (near, far), strict=True):
        film(root, name, 3)
        roi(root, f"{name}_1", mask)
    sibling = "Mass-Training_P_00002_RIGHT_MLO"
    film(root, sibling, 4)
    roi(root, f"{sibling}_1", near)

    strange = "Calc-Test_P_00353_LEFT_CC"
    film(root, strange, 5)
    roi(root, f"{strange}_1", near[:-2])

    bare = "Calc-Test_P_00004_LEFT_CC"
    film(root, bare, 6)

    kaggle = "Mass-Test_P_00005_LEFT_CC"
    save(root / "jpeg" / "7.1" / "1-240.jpg", scene(7))
    save(root / "jpeg" / "7.2" / "1-159.jpg", scene(8, (12, 12)))
    save(root / "jpeg" / "7.2" / "2-124.jpg", near.astype(np.uint8) * 255)

    flat = "Mass-Training_P_00007_RIGHT_MLO"
    save(root / "P_00007" / f"{flat}_FULL.png", scene(9))
    save(root / "P_00007" / f"{flat}_MASK.png", far)

    film(root, "Mass-Training_P_00009_RIGHT_MLO", 10)
    tables = {
        "mass_case_description_train_set.csv": [
            MASS,
            row(both, 1, "BENIGN"),
            row(both, 2, "MALIGNANT"),
            row(larger, 1, "BENIGN_WITHOUT_CALLBACK"),
            row(twice[0], 1, "BENIGN"),
            row(sibling, 1, "BENIGN"),
            row(flat, 1, "MALIGNANT"),
            row("Mass-Training_P_00008_LEFT_CC", 1, "BENIGN"),
        ],
        "mass_case_description_test_set.csv": [MASS, row(kaggle, 1, "MALIGNANT", uids=("7.1", "7.2"))],
        "calc_case_description_test_set.csv": [
            CALC,
            row(twice[1], 1, "MALIGNANT", kind="calcification"),
            row(strange, 1, "BENIGN", kind="calcification", density=0),
            row(bare, 1, "BENIGN", kind="calcification"),
        ],
    }
    for name, lines in tables.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def studies(tmp_path):
    return tmp_path / "studies"


@pytest.fixture
def imported(source, studies):
    summary = import_dataset("cbis-ddsm", source, studies)
    with Catalog.open(studies) as catalog:
        return summary, {r.image_id.removeprefix("cbis-ddsm-"): r for r in catalog.images()}


def mask(studies, name):
    return read_mask(label_path(studies, f"cbis-ddsm-{name}"))


def test_side_view_and_description_come_from_the_table(imported):
    found = imported[1]["P_00001_LEFT_CC"]

    assert (found.modality, found.laterality, found.view_position) == (
        Modality.MG,
        Laterality.L,
        ViewPosition.CC,
    )
    assert (found.patient_key, found.study_key) == ("cbis-ddsm:P_00001", "cbis-ddsm:P_00001")
    assert {k: found.metadata[k] for k in ("density", "birads", "type", "partition")} == {
        "density": "C",
        "birads": 4,
        "type": "mass",
        "partition": "train",
    }
    assert found.metadata["lesions"][1] == {
        "abnormality id": "2",
        "abnormality type": "mass",
        "pathology": "MALIGNANT",
        "assessment": "4",
        "subtlety": "5",
        "mass shape": "OVAL",
        "mass margins": "SPICULATED",
    }


def test_abnormalities_keep_their_class_whichever_file_is_the_mask(imported, studies):
    expected = disc((12, 12)) * 1 + disc((28, 36)) * 2

    np.testing.assert_array_equal(mask(studies, "P_00001_LEFT_CC"), expected)
    assert imported[1]["P_00001_LEFT_CC"].label == "malignant"


def test_a_mask_of_another_scan_in_the_same_shape_is_brought_to_the_film(imported, studies):
    np.testing.assert_array_equal(mask(studies, "P_00001_LEFT_MLO"), disc((12, 12)) * 1)


def test_a_mask_of_another_shape_is_refused(imported):
    assert dict(imported[0].skipped)["1-1.dcm"] == (
        "a mask in the film's shape, 40 x 48 (rows x cols), is required; found 38 x 48"
    )


def test_a_film_of_both_tables_is_one_image_with_the_union(imported, studies):
    expected = disc((12, 12)) * 1 + disc((28, 36)) * 2

    np.testing.assert_array_equal(mask(studies, "P_00002_RIGHT_CC"), expected)
    assert imported[1]["P_00002_RIGHT_CC"].metadata["type"] == "calcification, mass"


def test_the_official_test_set_is_the_test_split_and_takes_its_patients_along(imported):
    found = imported[1]

    assert {name for name, r in found.items() if r.split == "test"} == {
        "P_00002_RIGHT_CC",
        "P_00002_RIGHT_MLO",
        "P_00004_LEFT_CC",
        "P_00005_LEFT_CC",
    }
    assert found["P_00002_RIGHT_CC"].metadata["partition"] == "test"
    assert found["P_00002_RIGHT_MLO"].metadata["partition"] == "train"


def test_a_film_without_its_mask_has_a_class_but_no_label_map(imported, studies):
    found = imported[1]["P_00004_LEFT_CC"]

    assert (found.label, found.reviewed) == ("benign", False)
    assert label_path(studies, "cbis-ddsm-P_00004_LEFT_CC") is None


@pytest.mark.parametrize(("name", "centre"), [("P_00005_LEFT_CC", (12, 12)), ("P_00007_RIGHT_MLO", (28, 36))])
def test_copies_in_other_formats_are_read(imported, studies, name, centre):
    painted = mask(studies, name)

    # JPEG moves the edge of a mask by a pixel here and there.
    assert np.count_nonzero(painted != disc(centre) * 2) <= 12
    assert imported[1][name].label == "malignant"


def test_what_is_not_there_or_not_listed_is_told(imported):
    skipped = dict(imported[0].skipped)

    assert skipped["P_00009_RIGHT_MLO"] == "not listed in the tables"
    assert skipped["tables"] == "the images of 1 of 9 listed films are missing"


def test_both_views_of_a_breast_are_one_case(imported):
    cases = {case.key: case.sequence for case in breast_cases(imported[1].values())}

    assert cases["cbis-ddsm-P_00001_LEFT_CC"] == ("cbis-ddsm-P_00001_LEFT_CC", "cbis-ddsm-P_00001_LEFT_MLO")


def test_one_mask_for_abnormalities_of_two_classes_is_not_used(tmp_path, studies):
    name = "Mass-Training_P_00007_RIGHT_MLO"
    save(tmp_path / "in" / f"{name}_FULL.png", scene(9))
    save(tmp_path / "in" / f"{name}_MASK.png", disc((12, 12)))
    lines = [MASS, row(name, 1, "BENIGN"), row(name, 2, "MALIGNANT")]
    (tmp_path / "in" / "mass_case_description_train_set.csv").write_text("\n".join(lines))

    import_dataset("cbis-ddsm", tmp_path / "in", studies)

    with Catalog.open(studies) as catalog:
        [found] = catalog.images()
    assert (found.label, found.reviewed) == ("malignant", False)


def test_a_folder_without_the_tables_is_refused(tmp_path, studies):
    with pytest.raises(StudiesError, match="tables, such as mass_case_description_train_set"):
        import_dataset("cbis-ddsm", tmp_path, studies)


@pytest.mark.slow
def test_the_real_tables_and_sample_are_read(studies):
    data = Path(os.environ.get("BREASTLABEL_TEST_DATA", "nowhere")) / "cbis-ddsm"
    if not data.is_dir():
        pytest.skip("set BREASTLABEL_TEST_DATA to the folder that holds cbis-ddsm")
    summary = import_dataset("cbis-ddsm", data, studies)
    assert summary.by_class == {"malignant": 2}
    assert summary.skipped == [("tables", "the images of 3030 of 3032 listed films are missing")]
    with Catalog.open(studies) as catalog:
        [case] = breast_cases(catalog.images())
    assert case.newest == ("cbis-ddsm-P_00001_LEFT_CC", "cbis-ddsm-P_00001_LEFT_MLO")
