"""mini-MIAS: sides by number, circles from the bottom, and what has a class but no circle."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import save, scene

from breastlabel.catalog import Catalog, label_path
from breastlabel.datasets import import_dataset
from breastlabel.datasets.sequences import breast_cases
from breastlabel.errors import StudiesError
from breastlabel.imaging import Laterality, Modality, ViewPosition, read_mask

INFO = """\
The list is arranged in pairs of films.
mdb001 G CIRC B 20 30 4
mdb002 G NORM
mdb003 D MISC M 10 10 3
mdb003 D MISC B 30 10 3
mdb004 F CALC M *NOTE 3*
mdb005 F CALC B 8 8 2
mdb005 F CALC B *NOTE 3*
mdb006 F CIRC B
mdb007 F CIRC B 900 900 2
mdb008 F CIRC X 9 9 2
mdb009 F NORM
"""


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 10):
        suffix = "pgm" if number % 2 else "png"
        save(folder / f"mdb{number:03}.{suffix}", scene(number, (40, 48)))
    (folder / "Info.txt").write_text(INFO, encoding="latin-1")
    return folder


@pytest.fixture
def imported(source, tmp_path):
    studies = tmp_path / "studies"
    summary = import_dataset("mini-mias", source, studies)
    with Catalog.open(studies) as catalog:
        return studies, summary, {r.image_id.removeprefix("mini-mias-"): r for r in catalog.images()}


def mask(studies, name):
    return read_mask(label_path(studies, f"mini-mias-{name}"))


def test_odd_numbers_are_right_breasts_and_even_ones_the_left_of_the_same_woman(imported):
    _, _, found = imported

    assert (found["mdb001"].laterality, found["mdb002"].laterality) == (Laterality.R, Laterality.L)
    assert found["mdb001"].patient_key == found["mdb002"].patient_key != found["mdb003"].patient_key
    assert {(r.modality, r.view_position, r.spacing) for r in found.values()} == {
        (Modality.MG, ViewPosition.MLO, (0.2, 0.2))
    }


def test_circles_are_counted_from_the_bottom(imported):
    studies, _, found = imported
    rows, cols = np.mgrid[:40, :48]

    # The lowest row of 40 is y = 0, so that y = 30 is row 9.
    np.testing.assert_array_equal(mask(studies, "mdb001"), (rows - 9) ** 2 + (cols - 20) ** 2 <= 16)
    assert not mask(studies, "mdb002").any()
    assert found["mdb001"].metadata["outline"] == "circle"
    assert (found["mdb001"].label, found["mdb002"].label) == ("benign", "normal")


def test_several_lesions_of_an_image_keep_their_own_class_and_the_worst_names_it(imported):
    studies, _, found = imported
    labels = mask(studies, "mdb003")

    assert (labels[29, 10], labels[29, 30]) == (2, 1)
    assert found["mdb003"].label == "malignant"


@pytest.mark.parametrize(
    ("name", "label"), [("mdb004", "malignant"), ("mdb005", "benign"), ("mdb006", "benign")]
)
def test_an_abnormality_without_a_circle_gives_a_class_but_no_label_map(imported, name, label):
    studies, _, found = imported

    assert (found[name].label, found[name].reviewed) == (label, False)
    assert label_path(studies, f"mini-mias-{name}") is None


def test_what_cannot_be_used_is_skipped_with_the_reason(imported):
    reasons = dict(imported[1].skipped)

    assert reasons == {
        "mdb007.pgm": "a circle of the table lies outside the image (900, 900, 2)",
        "mdb008": "its line in Info.txt cannot be read",
        "mdb009": "listed in the table, but its image is missing",
        "mdb010": "not listed in Info.txt",
    }


def test_tissue_and_type_are_kept_and_no_density_is_made_of_them(imported):
    found = imported[2]

    assert found["mdb004"].metadata["tissue"] == "F"
    assert found["mdb004"].metadata["type"] == "calcification"
    assert "density" not in found["mdb004"].metadata


def test_a_folder_without_the_table_is_refused(tmp_path):
    with pytest.raises(StudiesError, match=r"Info\.txt beside its images is required"):
        import_dataset("mini-mias", tmp_path, tmp_path / "studies")


def test_a_table_without_lines_is_refused(source, tmp_path):
    (source / "Info.txt").write_text("nothing")
    with pytest.raises(StudiesError, match="table with lines such as"):
        import_dataset("mini-mias", source, tmp_path / "studies")


@pytest.mark.slow
def test_the_real_mini_mias_has_the_images_its_table_says(tmp_path):
    data = Path(os.environ.get("BREASTLABEL_TEST_DATA", "nowhere")) / "mini-mias"
    if not data.is_dir():
        pytest.skip("set BREASTLABEL_TEST_DATA to the folder that holds mini-mias")
    summary = import_dataset("mini-mias", data, tmp_path)
    with Catalog.open(tmp_path) as catalog:
        found = catalog.images()

    assert (summary.n_read, summary.n_patients, summary.n_groups, summary.skipped) == (120, 60, 60, [])
    assert summary.by_class == {"normal": 85, "benign": 19, "malignant": 16}
    assert Counter(r.laterality for r in found) == {Laterality.R: 60, Laterality.L: 60}
    assert [r.image_id for r in found if not r.reviewed] == ["mini-mias-mdb233"]
    assert len(breast_cases(found)) == 120
    for r in found:
        if r.reviewed:
            labels = read_mask(label_path(tmp_path, r.image_id))
            assert {"normal": 0, "benign": 1, "malignant": 2}[r.label] == labels.max()
