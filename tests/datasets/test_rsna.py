"""RSNA's screening set: the class by cancer and biopsy, and when an image counts as seen to be normal."""

import pytest
from dataset_trees import save, scene, write_dicom

from breastlabel.catalog import Catalog, label_path
from breastlabel.datasets import import_dataset
from breastlabel.datasets.sequences import breast_cases
from breastlabel.errors import StudiesError
from breastlabel.imaging import Laterality, Modality, ViewPosition, read_mask

COLUMNS = (
    "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,machine_id,"
    "difficult_negative_case"
)
LINES = [
    "2,10006,462822612,L,CC,61.0,0,0,0,,0,,29,False",
    "2,10006,1459541791,L,MLO,61.0,0,0,0,,0,,29,False",
    "1,10011,220375232,R,CC,55.0,1,1,1,0.0,0,C,21,False",
    "1,10011,541722628,L,CC,55.0,0,0,0,1.0,0,c,21,True",
    "1,10025,1365269360,L,MLO,,0,1,0,0.0,1,B,49,True",
    "1,10025,562340703,R,AT,,0,0,0,2.0,1,B,49,False",
    "1,10038,1,R,CC,40.0,,,0,0.0,0,A,49,False",
    "1,10040,2,R,CC,40.0,0,0,0,1.0,0,A,49,False",
    "1,10041,3,R,CC,40.0,0,0,0,1.0,0,A,49,False",
    "1,10041,3,R,CC,40.0,1,1,0,1.0,0,A,49,False",
    "1,10042,4,R,CC,40.0,0,0,0,1.0,0,A,49,False",
    "1,10042,4,R,CC,40.0,0,0,0,1.0,0,A,49,False",
]


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "rsna-breast-cancer-detection"
    root.mkdir()
    (root / "train.csv").write_text("\n".join([COLUMNS, *LINES]) + "\n")
    for seed, line in enumerate(LINES):
        patient, image = line.split(",")[1:3]
        if image != "2":
            file = root / "train_images" / patient / f"{image}.dcm"
            header = {"ContentDate": "20221118", "StudyInstanceUID": f"1.2.{patient}"}
            write_dicom(file, scene(seed), patient=patient, modality="MG", **header)
    save(root / "png" / "462822612.png", scene(50))
    save(root / "train_images" / "10099" / "5.png", scene(51))
    save(root / "test_images" / "10008" / "736471439.png", scene(52))
    return tmp_path


@pytest.fixture
def studies(tmp_path):
    return tmp_path / "studies"


@pytest.fixture
def imported(source, studies):
    summary = import_dataset("rsna", source, studies)
    with Catalog.open(studies) as catalog:
        return summary, {r.image_id.removeprefix("rsna-"): r for r in catalog.images()}


def test_the_table_tells_side_view_and_the_rest(imported):
    found = imported[1]["220375232"]

    assert (found.modality, found.laterality, found.view_position) == (
        Modality.MG,
        Laterality.R,
        ViewPosition.CC,
    )
    expected = {
        "age": 55.0,
        "density": "C",
        "birads": 0,
        "implant": False,
        "invasive": True,
        "difficult_negative_case": False,
        "machine": "21",
        "site": "1",
    }
    assert {k: found.metadata[k] for k in expected} == expected
    assert imported[1]["541722628"].metadata["density"] == "C"
    assert imported[1]["1365269360"].metadata.keys().isdisjoint({"age", "invasive"})


@pytest.mark.parametrize(
    ("image", "label", "reviewed"),
    [
        ("220375232", "malignant", False),
        ("1365269360", "benign", False),
        ("541722628", "normal", True),
        ("562340703", "normal", False),
        ("462822612", "normal", False),
    ],
)
def test_the_class_is_told_by_cancer_and_biopsy(imported, studies, image, label, reviewed):
    found = imported[1][image]

    assert (found.label, found.reviewed) == (label, reviewed)
    path = label_path(studies, f"rsna-{image}")
    assert (path is not None) == reviewed
    if reviewed:
        assert not read_mask(path).any()


def test_a_view_that_is_no_view_position_is_kept_by_name(imported):
    found = imported[1]["562340703"]

    assert (found.view_position, found.metadata["view"]) == (None, "AT")


def test_the_images_of_a_woman_are_one_exam_without_its_de_identifications_date(imported):
    found = imported[1]
    cases = {case.key: case.sequence for case in breast_cases(found.values())}

    assert cases["rsna-462822612"] == ("rsna-462822612", "rsna-1459541791")
    assert found["462822612"].metadata["acquired"] is None
    assert "10006" not in found["462822612"].patient_key


def test_what_cannot_be_used_is_skipped_with_the_reason(imported):
    assert dict(imported[0].skipped) == {
        "3": "its table has two lines for it that differ",
        "1.dcm": "cancer and biopsy must be 0 or 1; the table says neither",
        "462822612.png": "another file has the same name",
        "5.png": "not listed in train.csv",
        "train.csv": "1 listed images are missing",
        "test_images": "1 images of the test set have no class",
    }
    assert "4" in imported[1]


def test_a_folder_without_the_table_is_refused(tmp_path, studies):
    with pytest.raises(StudiesError, match=r"RSNA's screening set's table train.csv is required"):
        import_dataset("rsna", tmp_path, studies)


def test_a_table_of_another_set_is_refused(tmp_path, studies):
    (tmp_path / "train.csv").write_text("id,label\n1,2\n")

    with pytest.raises(StudiesError, match="it lacks patient_id, image_id"):
        import_dataset("rsna", tmp_path, studies)
