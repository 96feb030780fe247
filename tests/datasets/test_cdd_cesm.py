"""CDD-CESM: the table and regions, the resized sample, and that a subtracted image is no mammogram."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import disc, save, scene, write_spreadsheet

from breastlabel.catalog import Catalog, label_path
from breastlabel.datasets import import_dataset
from breastlabel.datasets.cdd_cesm import SUBTRACTED
from breastlabel.datasets.sequences import breast_cases, sequence_of
from breastlabel.datasets.via_regions import paint_region, read_region
from breastlabel.errors import InvalidLabelError, StudiesError
from breastlabel.imaging import Laterality, LesionClass, Modality, ViewPosition, read_mask

COLUMNS = (
    "Image_name",
    "Patient_ID",
    "Side",
    "Type",
    "Age",
    "Breast density (ACR)",
    "BIRADS",
    "Findings",
    "View",
    "Tags",
    "Machine",
    "Pathology Classification/ Follow up",
)
ROWS = [
    ("P1_L_DM_MLO", 1, "L", "DM", 61, "C", "4$2", "Mass$Calcifications", "MLO", "", 1, "Malignant"),
    ("P1_L_DM_CC", 1, "L", "DM", 61, "C", "4", "Architectural distortion", "CC", "", 1, "Malignant"),
    ("P1_L_CM_MLO", 1, "L", "CESM", 61, "_", "4", "Non mass enhancement", "MLO", "", 1, "Malignant"),
    ("P1_R_DM_MLO ", 1, "R", "DM", 61, "C", "1", "_", "MLO", "", 1, "Normal"),
    ("P2_R_DM_CC", 2, "R", "DM", "_", "b", "2", "Mass", "CC", "", 2, "Benign"),
    ("P2_R_DM_MLO", 2, "R", "DM", "_", "b", "2", "Mass", "MLO", "", 2, "Benign"),
    ("P3_R_DM_MLO", 3, "R", "DM", 50, "A", "2", "Postoperative", "MLO", "", 2, "Normal"),
    ("P4_R_DM_MLO", 4, "R", "DM", 50, "A", "2", "", "MLO", "", 2, "unknown"),
    ("P5_R_DM_MLO", 5, "R", "DM", 50, "A", "2", "", "MLO", "", 2, "Benign"),
]
POLYGON = {"name": "polygon", "all_points_x": [5, 15, 15, 5], "all_points_y": [6, 6, 20, 20]}
REGIONS = [
    ("P1_L_DM_MLO.jpg", POLYGON),
    ("P1_L_DM_MLO.jpg", {"name": "circle", "cx": 30, "cy": 30, "r": 4}),
    ("P1_L_CM_MLO.jpg", {"name": "ellipse", "cx": 20, "cy": 20, "rx": 8, "ry": 3, "theta": 0}),
    ("P1_R_DM_MLO.jpg", {}),
    ("P2_R_DM_CC .jpg", {"name": "polyline", "all_points_x": [5, 15, 15], "all_points_y": [6, 6, 20]}),
    ("P2_R_DM_MLO.jpg", {"name": "point", "cx": 20, "cy": 20}),
    ("P3_R_DM_MLO.jpg", POLYGON),
]


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "CDD-CESM"
    for k, row in enumerate(ROWS[:-1]):
        folder = "Subtracted" if row[3] == "CESM" else "Low energy"
        save(root / f"{folder} images of CDD-CESM" / f"{row[0].strip()}.jpg", scene(k))
    save(root / "Low energy images of CDD-CESM" / "P9_R_DM_CC.jpg", scene(90))
    write_spreadsheet(
        root / "Radiology-manual-annotations.xlsx", {"mass_description": [("x",)], "all": [COLUMNS, *ROWS]}
    )
    lines = ["#filename,file_size,region_count,region_shape_attributes,region_attributes"]
    quoted = [(name, json.dumps(shape).replace('"', '""')) for name, shape in REGIONS]
    lines += [f'{name},1,1,"{shape}","{{}}"' for name, shape in quoted]
    (root / "Radiology_hand_drawn_segmentations_v2.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.fixture
def studies(tmp_path):
    return tmp_path / "studies"


@pytest.fixture
def imported(source, studies):
    summary = import_dataset("cdd-cesm", source, studies)
    with Catalog.open(studies) as catalog:
        return summary, {r.image_id.removeprefix("cdd-cesm-"): r for r in catalog.images()}


def mask(studies, name):
    return read_mask(label_path(studies, f"cdd-cesm-{name}"))


def test_side_view_and_patient_come_from_the_name_and_the_rest_from_the_table(imported):
    found = imported[1]["P1_L_DM_MLO"]

    assert (found.modality, found.laterality, found.view_position) == (
        Modality.MG,
        Laterality.L,
        ViewPosition.MLO,
    )
    assert (found.patient_key, found.study_key, found.label) == ("cdd-cesm:P1", "cdd-cesm:P1", "malignant")
    expected = {
        "age": 61.0,
        "density": "C",
        "birads": 4,
        "type": "calcification, mass",
        "machine": "1",
    }
    assert {k: found.metadata[k] for k in expected} == expected
    assert imported[1]["P2_R_DM_CC"].metadata["density"] == "B"
    assert "age" not in imported[1]["P2_R_DM_CC"].metadata


def test_regions_are_painted_with_the_class_of_the_image(imported, studies):
    painted = mask(studies, "P1_L_DM_MLO")

    assert set(np.unique(painted)) == {0, LesionClass.MALIGNANT}
    assert painted[6:21, 5:16].all()
    assert painted[30, 26:35].all()
    assert not painted[30, 36]
    assert mask(studies, "P2_R_DM_CC").max() == LesionClass.BENIGN
    assert not mask(studies, "P1_R_DM_MLO").any()


def test_an_image_whose_lesions_are_not_all_drawn_has_a_class_but_no_label_map(imported, studies):
    for name, label in (("P1_L_DM_CC", "malignant"), ("P2_R_DM_MLO", "benign"), ("P3_R_DM_MLO", "normal")):
        assert (imported[1][name].label, imported[1][name].reviewed) == (label, False)
        assert label_path(studies, f"cdd-cesm-{name}") is None


def test_a_subtracted_image_is_not_analysable_and_in_no_sequence(imported, studies):
    found = imported[1]

    assert found["P1_L_CM_MLO"].metadata["not_analysable"] == SUBTRACTED
    assert mask(studies, "P1_L_CM_MLO").any()
    with Catalog.open(studies) as catalog:
        sequence = sequence_of(catalog, "cdd-cesm-P1_L_DM_CC")
    assert [v.image_id for v in sequence.views] == ["cdd-cesm-P1_L_DM_CC", "cdd-cesm-P1_L_DM_MLO"]
    assert {left.image_id: left.reason for left in sequence.left_out} == {
        "cdd-cesm-P1_L_CM_MLO": f"not analysable: {SUBTRACTED}",
        "cdd-cesm-P1_R_DM_MLO": "the other breast",
    }
    assert "cdd-cesm-P1_L_CM_MLO" not in {i for case in breast_cases(found.values()) for i in case.sequence}


def test_what_cannot_be_used_is_skipped_with_the_reason(imported):
    assert dict(imported[0].skipped) == {
        "P4_R_DM_MLO": "its pathology is none of normal, benign, malignant",
        "P5_R_DM_MLO": "listed in the table, but its image is missing",
        "P9_R_DM_CC": "not in the table",
    }


def sample(root):
    for name, colour in (("P7_L_DM_CC", 0), ("flipped_P7_L_DM_CC", 0), ("flipped_P8_R_DM_MLO", 1)):
        save(root / "images" / f"{name}.jpg", scene(len(name) + colour))
        colours = np.zeros((40, 48, 3), np.uint8)
        colours[disc((12, 12)), colour] = 255
        colours[disc((12, 12), 7) & ~disc((12, 12)), 1] = 60
        save(root / "masks" / f"{name}.png", colours)
    save(root / "images" / "P10_L_DM_CC.jpg", scene(70))
    save(root / "images" / "other.jpg", scene(71))
    return root


def test_the_resized_sample_is_read_by_colour(tmp_path, studies):
    summary = import_dataset("cdd-cesm", sample(tmp_path / "cdd" / "flexunet").parent, studies)
    with Catalog.open(studies) as catalog:
        found = {r.image_id.removeprefix("cdd-cesm-"): r for r in catalog.images()}

    np.testing.assert_array_equal(mask(studies, "P7_L_DM_CC"), disc((12, 12)) * 2)
    np.testing.assert_array_equal(mask(studies, "flipped_P8_R_DM_MLO"), disc((12, 12)) * 1)
    assert (found["P7_L_DM_CC"].label, found["flipped_P8_R_DM_MLO"].label) == ("malignant", "benign")
    assert dict(summary.skipped) == {
        "P10_L_DM_CC.jpg": "its mask is missing",
        "other.jpg": "its name is none of CDD-CESM's",
    }


def test_a_copy_is_of_the_same_group_but_never_beside_its_original(tmp_path, studies):
    import_dataset("cdd-cesm", sample(tmp_path / "cdd"), studies)
    with Catalog.open(studies) as catalog:
        found = {r.image_id.removeprefix("cdd-cesm-"): r for r in catalog.images()}

    original, copy = found["P7_L_DM_CC"], found["flipped_P7_L_DM_CC"]
    assert (original.group, original.split) == (copy.group, copy.split)
    assert [len(case.sequence) for case in breast_cases(found.values())] == [1, 1, 1]


def test_a_mask_of_another_size_is_skipped(tmp_path, studies):
    root = sample(tmp_path / "cdd")
    save(root / "masks" / "P7_L_DM_CC.png", np.zeros((10, 12, 3), np.uint8))

    reasons = dict(import_dataset("cdd-cesm", root, studies).skipped)

    assert reasons["P7_L_DM_CC.jpg"].startswith("a mask of 40 x 48 (rows x cols, as the image) is required")


def test_a_folder_without_either_is_refused(tmp_path, studies):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudiesError, match="or folders images and masks, are required"):
        import_dataset("cdd-cesm", tmp_path / "empty", studies)


@pytest.mark.parametrize(
    "region",
    [
        {"name": "point", "cx": 1, "cy": 1},
        {"name": "polygon", "all_points_x": [1, 2]},
        {"name": "polygon", "all_points_x": [], "all_points_y": []},
        {"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 2]},
        {"name": "circle", "cx": "x", "cy": 1, "r": 2},
        {"name": "circle", "cx": 1e300, "cy": 1, "r": 2},
        {},
    ],
)
def test_a_region_that_cannot_be_drawn_is_refused(region):
    with pytest.raises(InvalidLabelError, match="required"):
        paint_region(np.zeros((8, 8), np.uint8), region)


def test_a_rectangle_is_filled():
    drawn = np.zeros((8, 8), np.uint8)
    paint_region(drawn, {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 1})
    assert [drawn.sum(), drawn[2:4, 1:5].sum()] == [8, 8]


@pytest.mark.parametrize("text", ["[1]", "{", "7"])
def test_a_region_that_is_no_json_object_is_refused(text):
    with pytest.raises(InvalidLabelError, match="in JSON"):
        read_region(text)


@pytest.mark.slow
def test_the_real_sample_has_the_images_its_readme_says(studies):
    data = Path(os.environ.get("BREASTLABEL_TEST_DATA", "nowhere")) / "cdd-cesm"
    if not data.is_dir():
        pytest.skip("set BREASTLABEL_TEST_DATA to the folder that holds cdd-cesm")
    summary = import_dataset("cdd-cesm", data, studies)
    with Catalog.open(studies) as catalog:
        found = catalog.images()
    assert (summary.n_read, summary.n_patients, summary.skipped) == (24, 23, [])
    assert summary.by_class == {"benign": 14, "malignant": 10}
    assert sum("not_analysable" not in r.metadata for r in found) == 16
