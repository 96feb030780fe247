"""VinDr-Mammo: BI-RADS as the class, boxes that are kept but not painted, and the official test set."""

import pytest
from dataset_trees import SHAPE, save, scene, write_dicom

from breastlabel.catalog import Catalog, label_path
from breastlabel.datasets import import_dataset
from breastlabel.datasets.sequences import breast_cases
from breastlabel.errors import StudiesError
from breastlabel.imaging import Laterality, Modality, ViewPosition, read_mask

BREASTS = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split"
)
FINDINGS = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,"
    "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"
)
IMAGES = [
    ("s1", "a1", "L", "CC", "BI-RADS 5", "DENSITY C", "training"),
    ("s1", "a2", "L", "MLO", "BI-RADS 5", "DENSITY C", "training"),
    ("s1", "a3", "R", "CC", "BI-RADS 1", "DENSITY C", "training"),
    ("s2", "b1", "L", "CC", "BI-RADS 4 ", "density b", "test"),
    ("s2", "b2", "R", "CC", "BI-RADS 2", "DENSITY E", "test"),
    ("s3", "c1", "R", "CC", "BI-RADS 1", "DENSITY A", "training"),
    ("s3", "c2", "L", "CC", "BI-RADS 1", "DENSITY A", "training"),
    ("s4", "d1", "L", "CC", "BI-RADS 0", "DENSITY A", "training"),
    ("s5", "e1", "L", "CC", "BI-RADS 3", "DENSITY A", "training"),
    ("s6", "f1", "L", "CC", "BI-RADS 3", "DENSITY A", "training"),
    ("s6", "f1", "L", "CC", "BI-RADS 4", "DENSITY A", "training"),
]
LESIONS = [
    ("a1", "\"['Mass', 'Skin Retraction']\"", "BI-RADS 5", 5.2, 3.1, 20.7, 18.0),
    ("a1", "['Suspicious Calcification']", "BI-RADS 4", -3.0, 30.0, 60.0, 45.0),
    ("a3", "['No Finding']", "", "", "", "", ""),
    ("b1", '"[""Global Asymmetry""]"', "BI-RADS 3", 1, 1, 9, 9),
    ("c1", "['Skin Thickening']", "BI-RADS 3", 1, 2, 9, 9),
    ("c2", "__import__('os').getcwd()", "BI-RADS 3", 1, 1, 9, 9),
    ("d1", "['Mass']", "BI-RADS 3", 9, 1, 1, 9),
    ("d1", "['Mass']", "BI-RADS 3", 100, 1, 110, 9),
    ("d1", "['Mass']", "BI-RADS 3", "", 1, "nan", 9),
    ("zz", "['Mass']", "BI-RADS 3", 1, 1, 9, 9),
]


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "vindr-mammo" / "1.0.0"
    root.mkdir(parents=True)
    size = f"{SHAPE[0]},{SHAPE[1]}"
    lines = [f"{s},r{i},{i},{side},{v},{size},{b},{d},{split}" for s, i, side, v, b, d, split in IMAGES]
    (root / "breast-level_annotations.csv").write_text("\n".join([BREASTS, *lines]))
    lines = [
        f"s,r,{i},L,CC,{size},BI-RADS 1,DENSITY A,{names},{b},{','.join(map(str, box))},training"
        for i, names, b, *box in LESIONS
    ]
    (root / "finding_annotations.csv").write_text("\n".join([FINDINGS, *lines]))
    (root / "metadata.csv").write_text(
        "Series Instance UID,SOP Instance UID,Patient\N{RIGHT SINGLE QUOTATION MARK}s Age,Manufacturer,"
        "Manufacturer's Model Name\nra1,a1,053Y,SIEMENS,Mammomat Inspiration\nra2,a2,,,\n"
    )
    for seed, (study, image, side, view, *_) in enumerate(IMAGES[:-1]):
        # The authors replaced UIDs by hexadecimal text and removed patient, dates and codes.
        header = {"StudyInstanceUID": f"{study:0>32}", "ImageLaterality": side, "ViewPosition": view}
        if image != "e1":
            file = root / "images" / study / f"{image}.dicom"
            write_dicom(file, scene(seed), patient="", modality="MG", **header)
    save(root / "images" / "s9" / "x1.png", scene(90))
    return tmp_path


@pytest.fixture
def studies(tmp_path):
    return tmp_path / "studies"


def imported_from(source, studies):
    summary = import_dataset("vindr-mammo", source, studies)
    with Catalog.open(studies) as catalog:
        return summary, {r.image_id.removeprefix("vindr-mammo-"): r for r in catalog.images()}


@pytest.fixture
def imported(source, studies):
    return imported_from(source, studies)


def test_side_view_density_and_device_come_from_the_tables(imported):
    found = imported[1]["a1"]

    assert (found.modality, found.laterality, found.view_position) == (
        Modality.MG,
        Laterality.L,
        ViewPosition.CC,
    )
    expected = {
        "age": 53.0,
        "density": "C",
        "birads": 5,
        "type": "calcification, mass",
        "manufacturer": "SIEMENS",
        "machine": "Mammomat Inspiration",
    }
    assert {k: found.metadata[k] for k in expected} == expected
    assert imported[1]["b1"].metadata["density"] == "B"
    assert "density" not in imported[1]["b2"].metadata


def test_boxes_are_kept_within_the_image_but_not_painted(imported, studies):
    found = imported[1]["a1"]

    assert found.metadata["boxes"] == [[3, 5, 18, 21], [30, 0, 40, 48]]
    assert found.metadata["lesions"] == [
        {"findings": ["Mass", "Skin Retraction"], "birads": 5},
        {"findings": ["Suspicious Calcification"], "birads": 4},
    ]
    assert not found.reviewed
    assert label_path(studies, "vindr-mammo-a1") is None
    assert imported[1]["b1"].metadata["type"] == "asymmetry"


@pytest.mark.parametrize(
    ("image", "label"),
    [("a3", "normal"), ("b2", "benign"), ("b1", "benign"), ("a1", "malignant"), ("d1", None)],
)
def test_the_class_is_told_by_birads(imported, image, label):
    assert imported[1][image].label == label


def test_only_a_normal_image_without_a_box_gets_an_empty_label_map(imported, studies):
    reviewed = {name for name, record in imported[1].items() if record.reviewed}

    # c1 has a box; of c2 a line is damaged, so that it may have one.
    assert reviewed == {"a3"}
    assert not read_mask(label_path(studies, "vindr-mammo-a3")).any()


def test_the_official_test_set_is_kept(imported):
    assert {name: r.split for name, r in imported[1].items() if r.split == "test"} == {
        "b1": "test",
        "b2": "test",
    }
    assert imported[1]["b1"].metadata["partition"] == "test"


def test_the_views_of_a_breast_are_one_case_and_each_exam_is_of_a_woman_of_its_own(imported):
    cases = {case.key: case.sequence for case in breast_cases(imported[1].values())}

    assert cases["vindr-mammo-a1"] == ("vindr-mammo-a1", "vindr-mammo-a2")
    assert imported[0].n_patients == 4


def test_what_cannot_be_used_is_skipped_with_the_reason(imported):
    skipped = imported[0].skipped

    line = "a line of finding_annotations.csv cannot be used"
    assert sorted(skipped) == sorted(
        [
            ("breast-level_annotations.csv", "1 of 9 listed images are missing"),
            ("f1", "its table has two lines for it that differ"),
            ("c2", f"{line}: finding_categories is no list of names"),
            ("d1", f"{line}: its box has no area"),
            ("d1", f"{line}: its box lies outside the image"),
            ("d1", f"{line}: its box lacks a number"),
            ("x1.png", "not listed in breast-level_annotations.csv"),
        ]
    )


def test_without_the_table_of_findings_no_image_is_called_seen_to_be_normal(source, studies):
    next(source.rglob("finding_annotations.csv")).unlink()

    summary, found = imported_from(source, studies)

    assert dict(summary.skipped)["finding_annotations.csv"].startswith("missing, so nothing is known")
    assert not any(record.reviewed for record in found.values())


def test_a_table_of_headers_that_cannot_be_used_is_told(source, studies):
    next(source.rglob("metadata.csv")).write_text("a,b\n1,2\n")

    summary, found = imported_from(source, studies)

    assert "it lacks sop instance uid" in dict(summary.skipped)["metadata.csv"]
    assert "age" not in found["a1"].metadata


def test_a_folder_without_the_table_is_refused(tmp_path, studies):
    with pytest.raises(StudiesError, match=r"VinDr-Mammo's table breast-level_annotations.csv is required"):
        import_dataset("vindr-mammo", tmp_path, studies)
