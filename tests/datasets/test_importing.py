import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import SHAPE, bus_bra, bus_uclm, busi, disc, save, scene, write_dicom

from breastlabel.catalog import LABELS_FOLDER, Catalog, label_path
from breastlabel.datasets import import_dataset
from breastlabel.datasets import importing as module
from breastlabel.datasets.sequences import sequence_of
from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.imaging import LesionClass, Modality, read_image, read_mask, write_mask


def records(studies):
    with Catalog.open(studies) as catalog:
        return {r.image_id: r for r in catalog.images()}


def label(studies, image_id):
    return read_mask(label_path(studies, image_id))


@pytest.fixture
def studies(tmp_path):
    return tmp_path / "studies"


@pytest.fixture
def source(tmp_path):
    return tmp_path / "source"


def test_busi_is_read_with_the_union_of_its_outlines(source, studies):
    seen = []
    summary = import_dataset("busi", busi(source), studies, progress=lambda *p: seen.append(p))
    assert (summary.n_read, summary.n_new, summary.n_patients, summary.n_groups) == (18, 18, None, 18)
    assert summary.by_class == {"normal": 6, "benign": 6, "malignant": 6}
    assert seen[-1] == (18, 18)
    found = records(studies)
    assert found["busi-benign-0001"].label == "benign"
    assert all(r.reviewed and r.split and r.dataset == "busi" for r in found.values())
    both = disc((12, 12)) | disc((28, 36))
    np.testing.assert_array_equal(label(studies, "busi-benign-0001"), both * 1)
    # The masks are stored as 1, L, RGB and RGBA in turn.
    for k in range(1, 7):
        np.testing.assert_array_equal(label(studies, f"busi-malignant-{k:04}"), disc((12, 12)) * 2)
        assert not label(studies, f"busi-normal-{k:04}").any()


def test_images_are_copied_unchanged(source, studies):
    import_dataset("busi", busi(source), studies)
    original = source / "Dataset_BUSI_with_GT" / "benign" / "benign (2).png"
    assert (studies / "busi-benign-0002.png").read_bytes() == original.read_bytes()
    assert not [name for name in os.listdir(studies) if name.endswith(".part")]


def test_the_inner_folder_of_busi_will_do(source, studies):
    busi(source)
    assert import_dataset("busi", source / "Dataset_BUSI_with_GT", studies).n_read == 18


def test_links_instead_of_copies(source, studies):
    import_dataset("busi", busi(source, n=1), studies, link=True)
    assert (studies / "busi-benign-0001.png").is_symlink()
    assert read_image(studies / "busi-benign-0001.png").shape == SHAPE


def test_what_cannot_be_used_is_skipped_with_the_reason(source, studies):
    folder = busi(source) / "Dataset_BUSI_with_GT"
    (folder / "benign" / "benign (2)_mask.png").unlink()
    save(folder / "benign" / "benign (3)_mask.png", disc((12, 12))[:-4])
    save(folder / "benign" / "benign (4)_mask.png", np.zeros(SHAPE, bool))
    (folder / "malignant" / "malignant (1).png").write_bytes(b"\x89PNG truncated")
    save(folder / "malignant" / "malignant (2).png", np.full(SHAPE, 7, np.uint8))
    save(folder / "normal" / "normal (1)_mask.png", disc((9, 9)))
    save(folder / "normal" / "overview.png", scene(1))
    save(folder / "normal" / "normal (77)_mask.png", disc((9, 9)))
    summary = import_dataset("busi", source, studies)
    reasons = dict(summary.skipped)
    assert summary.n_read == 12
    assert reasons["benign/benign (2).png"] == "its mask is missing"
    assert "40 x 48" in reasons["benign (3).png"]
    assert "36 x 48" in reasons["benign (3).png"]
    assert reasons["benign (4).png"] == "the class is benign, but no lesion is outlined"
    assert "damaged" in reasons["malignant (1).png"]
    assert "contrast" in reasons["malignant (2).png"]
    assert reasons["normal (1).png"] == "the class is normal, but a lesion is outlined"
    assert reasons["normal/overview.png"] == "not named as the dataset's images are"
    assert reasons["normal/normal (77)_mask.png"] == "a mask without its image"
    assert set(records(studies)) == {p.stem for p in studies.glob("*.png")}
    assert "skipped 8:" in summary.text()


def test_near_duplicates_share_a_split_and_contradictions_are_kept_out(source, studies):
    folder = busi(source) / "Dataset_BUSI_with_GT"
    again = (scene(1) * 0.9 + 8).astype(np.uint8)
    save(folder / "benign" / "benign (1).png", scene(1))
    save(folder / "benign" / "benign (2).png", again)
    save(folder / "benign" / "benign (3).png", scene(2))
    save(folder / "malignant" / "malignant (3).png", scene(2))
    summary = import_dataset("busi", source, studies)
    found = records(studies)
    assert found["busi-benign-0001"].group == found["busi-benign-0002"].group
    assert found["busi-benign-0001"].split == found["busi-benign-0002"].split is not None
    assert summary.contradictory == [["busi-benign-0003", "busi-malignant-0003"]]
    assert found["busi-malignant-0003"].excluded == "contradictory-classes"
    assert summary.splits["none"] == {"benign": 1, "malignant": 1}
    assert "busi-benign-0003, busi-malignant-0003" in summary.text()
    assert import_dataset("busi", source, studies).contradictory == summary.contradictory


def test_importing_again_adds_only_what_is_missing(source, studies):
    busi(source)
    import_dataset("busi", source, studies)
    before = records(studies)
    corrected = np.full(SHAPE, 2, np.uint8)
    file = studies / LABELS_FOLDER / "busi-benign-0001.nrrd"
    write_mask(file, corrected, geometry=read_image(studies / "busi-benign-0001.png").geometry)
    (studies / "busi-benign-0002.png").unlink()
    extra = source / "Dataset_BUSI_with_GT" / "normal"
    save(extra / "normal (7).png", scene(77))
    summary = import_dataset("busi", source, studies)
    after = records(studies)
    assert (summary.n_read, summary.n_new) == (19, 1)
    assert (studies / "busi-benign-0002.png").exists()
    np.testing.assert_array_equal(label(studies, "busi-benign-0001"), corrected)
    kept = {i: (r.group, r.split) for i, r in after.items() if i in before}
    assert kept == {i: (r.group, r.split) for i, r in before.items()}
    assert "busi-normal-0007" in after


def test_an_import_that_was_killed_is_completed_by_repeating_it(source, studies, monkeypatch):
    brought = []

    def killed_midway(file, target, *, link):
        if len(brought) == 5:
            raise KeyboardInterrupt
        brought.append(target)
        bring(file, target, link=link)

    bring = module._bring
    monkeypatch.setattr(module, "_bring", killed_midway)
    with pytest.raises(KeyboardInterrupt):
        import_dataset("busi", busi(source), studies)
    assert sum(r.excluded == "file-missing" for r in records(studies).values()) == 13
    monkeypatch.undo()
    import_dataset("busi", source, studies)
    assert {r.excluded for r in records(studies).values()} == {None}


def test_bus_bra_keeps_patients_together_and_what_the_table_says(source, studies):
    summary = import_dataset("bus-bra", bus_bra(source, patients=20), studies)
    assert (summary.n_read, summary.n_patients, summary.n_groups) == (40, 20, 20)
    found = records(studies)
    one = found["bus-bra-0003-l"]
    assert (one.label, one.patient_key, one.laterality) == ("malignant", "bus-bra:3", None)
    assert {k: v for k, v in one.metadata.items() if k != "phash"} == {
        "birads": 4,
        "histology": "fibroadenoma",
        "device": "GE Logiq 7",
        "display_half": "left",
        "fold_5": 4,
    }
    for p in range(1, 21):
        assert found[f"bus-bra-{p:04}-l"].split == found[f"bus-bra-{p:04}-r"].split
    np.testing.assert_array_equal(label(studies, "bus-bra-0003-l"), disc((20, 20)) * 2)


def test_bus_bra_names_what_is_missing(source, studies):
    bus_bra(source)
    (source / "Images" / "bus_0001-l.png").unlink()
    (source / "Masks" / "mask_0001-r.png").unlink()
    save(source / "Images" / "bus_9999-l.png", scene(1))
    summary = import_dataset("bus-bra", source, studies)
    assert summary.n_read == 10
    assert dict(summary.skipped) == {
        "bus_0001-l": "listed in the table, but its image is missing",
        "bus_0001-r": "its mask is missing",
        "bus_9999-l": "not listed in bus_data.csv",
    }


def test_bus_uclm_is_read_by_colour_and_semicolon(source, studies):
    summary = import_dataset("bus-uclm", bus_uclm(source), studies)
    assert (summary.n_read, summary.n_patients) == (4, 2)
    [(name, reason)] = summary.skipped
    assert (name, "38 x 48" in reason) == ("CHVI_000.png", True)
    found = records(studies)
    assert found["bus-uclm-ALWI_001"].patient_key == "bus-uclm:ALWI"
    assert found["bus-uclm-ALWI_001"].metadata["doppler"] is True
    assert found["bus-uclm-BEPA_000"].metadata["callipers"] is True
    assert found["bus-uclm-BEPA_001"].metadata["dual_panel"] is True
    assert not label(studies, "bus-uclm-ALWI_000").any()
    np.testing.assert_array_equal(label(studies, "bus-uclm-ALWI_001"), disc((12, 12)) * 1)
    np.testing.assert_array_equal(label(studies, "bus-uclm-BEPA_000"), disc((12, 12)) * 2)
    assert set(np.unique(label(studies, "bus-uclm-BEPA_001"))) == {0, 1, 2}


def test_bus_uclm_reports_a_table_that_contradicts_the_mask(source, studies):
    bus_uclm(source)
    table = source / "INFO.csv"
    table.write_text(
        table.read_text("utf-8-sig").replace("BEPA_000.png;48x40;Malignant", "BEPA_000;48x40;Benign")
    )
    summary = import_dataset("bus-uclm", source, studies)
    assert dict(summary.skipped)["BEPA_000.png"] == "the table says benign, the mask is malignant"


def test_a_folder_with_labels_and_a_table(source, studies):
    for k, name in enumerate("abcdef"):
        save(source / f"{name}.png", scene(k))
    save(source / "labels" / "a.png", (disc((12, 12)) * 2).astype(np.uint8))
    save(source / "masks" / "b.png", disc((12, 12)))
    save(source / "c_mask.png", disc((12, 12)), "1")
    (source / "table.csv").write_text(
        "Image,Patient,Class\nb.png,Doe Jane,benign\nc,Doe Jane,2\n"
        "d.png,,Normal\nf.png,,cyst\ng.png,,benign\n"
    )
    summary = import_dataset("folder", source, studies)
    assert summary.by_class == {"normal": 1, "benign": 1, "malignant": 2, "unknown": 1}
    found = records(studies)
    assert (found["a"].label, found["e"].label) == ("malignant", None)
    assert [found[i].reviewed for i in "abcde"] == [True, True, True, True, False]
    assert found["b"].group == found["c"].group
    assert "Doe" not in found["b"].patient_key
    np.testing.assert_array_equal(label(studies, "a"), disc((12, 12)) * 2)
    np.testing.assert_array_equal(label(studies, "b"), disc((12, 12)) * 1)
    np.testing.assert_array_equal(label(studies, "c"), disc((12, 12)) * 2)
    assert not label(studies, "d").any()
    assert dict(summary.skipped) == {
        "f.png": "class must be normal, benign or malignant; the table says 'cyst'",
        "g": "listed in the table, but its image is missing",
    }


def test_a_table_puts_mammograms_into_exams(source, studies):
    for k, name in enumerate(("a", "b_R_MLO", "c", "d", "e", "f", "g")):
        save(source / f"{name}.png", scene(60 + k))
    (source / "t.csv").write_text(
        "image,patient,modality,side,view,study,date,invasive\n"
        "a,1,MG,R,CC,1,2026-03-02,No\n"
        "b_R_MLO,1,,,,1,2026-03-02\n"
        "c,1,mg,r,cc,2,2024-02-01\n"
        "d,2,MG,R,CC,1,2026-03-02\n"
        "e,1,MG,both,CC,,\n"
        "f,1,MG,R,CC,,yesterday\n"
        "g,1,MG,R,CC,,,perhaps\n"
    )
    summary = import_dataset("folder", source, studies)
    with Catalog.open(studies) as catalog:
        sequence = sequence_of(catalog, "b_R_MLO")
        assert [[v.image_id for v in exam.views] for exam in sequence.exams] == [["c"], ["a", "b_R_MLO"]]
        assert len({r.study_key for r in catalog.images()}) == 3
        assert {r.modality for r in catalog.images()} == {Modality.MG}
        told = {r.image_id: r.metadata.get("invasive") for r in catalog.images()}
    assert told == {"a": False, "b_R_MLO": None, "c": None, "d": None}
    assert dict(summary.skipped) == {
        "e.png": "side must be one of R, L; the table says 'both'",
        "f.png": "date must be YYYY-MM-DD; the table says 'yesterday'",
        "g.png": "invasive must be yes or no; the table says 'perhaps'",
    }


def test_a_label_map_that_contradicts_the_table_is_skipped(source, studies):
    for k, (name, value) in enumerate({"a": 2, "b": 1, "c": 2, "d": 2, "e": 1}.items()):
        save(source / f"{name}.png", scene(k))
        save(source / "masks" / f"{name}.png", (disc((12, 12)) * value).astype(np.uint8))
    (source / "table.csv").write_text("image,class\na,benign\nb,benign\nc,malignant\nd,normal\ne,malignant\n")
    summary = import_dataset("folder", source, studies)
    assert dict(summary.skipped) == {
        "a.png": "the table says benign, the mask is malignant",
        "d.png": "the class is normal, but a lesion is outlined",
    }
    assert label_path(studies, "a") is None
    assert [label(studies, i).max() for i in "bce"] == [1, 2, 2]


def test_patients_are_kept_under_keys_that_only_this_folder_makes(source, tmp_path, studies):
    for k, name in enumerate("abc"):
        save(source / f"{name}.png", scene(k))
    table = source / "table.csv"
    table.write_text("image,patient\na,4711\nb,4711\n")
    import_dataset("folder", source, studies)
    import_dataset("folder", source, tmp_path / "other")
    save(source / "d.png", scene(4))
    table.write_text("image,patient\na,4711\nb,4711\nd,4711\n")
    import_dataset("folder", source, studies)
    here, there = records(studies), records(tmp_path / "other")
    assert here["a"].patient_key == here["b"].patient_key == here["d"].patient_key
    assert here["a"].split == here["b"].split == here["d"].split
    assert here["a"].patient_key != there["a"].patient_key
    assert hashlib.sha256(b"4711").hexdigest()[:16] not in here["a"].patient_key


def test_an_imported_dicom_file_and_one_put_there_by_hand_are_one_patients(source, studies):
    source.mkdir()
    for k, name in enumerate("ab"):
        write_dicom(source / f"{name}.dcm", scene(k), patient="4711")
    import_dataset("folder", source, studies)
    write_dicom(studies / "c.dcm", scene(3), patient="4711")
    found = records(studies)
    assert len({(r.patient_key, r.study_key, r.group, r.split) for r in found.values()}) == 1
    # Another process reads with another salt of its own.
    code = (
        "import sys; from breastlabel.datasets import import_dataset; import_dataset('folder', *sys.argv[1:])"
    )
    write_dicom(source / "d.dcm", scene(4), patient="4711")
    subprocess.run([sys.executable, "-c", code, source, studies], check=True, timeout=60)
    found = records(studies)
    assert len({(r.patient_key, r.study_key, r.group, r.split) for r in found.values()}) == 1
    assert len(found) == 4


def test_an_outline_without_a_class_is_skipped(source, studies):
    save(source / "images" / "a.png", scene(1))
    save(source / "images" / "b.png", scene(2))
    save(source / "masks" / "a.png", disc((12, 12)))
    [(name, reason)] = import_dataset("folder", source, studies).skipped
    assert name == "a.png"
    assert "0 (nothing), 1 (benign) and 2 (malignant)" in reason


def test_a_second_dataset_joins_without_moving_the_first(source, tmp_path, studies):
    import_dataset("bus-bra", bus_bra(source, patients=8), studies)
    before = records(studies)
    other = tmp_path / "other"
    save(other / "copy.png", read_image(studies / "bus-bra-0005-l.png").pixels.astype(np.uint8))
    save(other / "fresh.png", scene(5))
    import_dataset("folder", other, studies)
    after = records(studies)
    assert {i: after[i] for i in before} == before
    assert (after["copy"].group, after["copy"].split) == (
        before["bus-bra-0005-l"].group,
        before["bus-bra-0005-l"].split,
    )


def test_an_id_that_is_taken_is_left_alone(source, tmp_path, studies):
    save(studies / "a.png", scene(1))
    save(source / "a.png", scene(2))
    save(source / "b.png", scene(3))
    Catalog.open(studies).close()
    import_dataset("bus-bra", bus_bra(tmp_path / "bra"), studies)
    other = tmp_path / "more"
    save(other / "bus-bra-0001-l.png", scene(9))
    save(other / "z.png", scene(10))
    summary = import_dataset("folder", other, studies)
    assert summary.skipped == [
        ("bus-bra-0001-l.png", "bus-bra-0001-l is in the studies already, from elsewhere")
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("busi", "BUSI's folders benign, malignant and normal"),
        ("bus-bra", "BUS-BRA's folders Images and Masks beside bus_data.csv are required"),
        ("bus-uclm", "BUS-UCLM's folders images and masks beside INFO.csv are required"),
        ("folder", "a folder with images"),
    ],
)
def test_a_source_of_another_layout_is_refused(tmp_path, studies, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudiesError, match=message):
        import_dataset(name, tmp_path / "empty", studies)
    assert not (studies).exists()


def test_a_table_without_its_columns_is_refused(source, studies):
    bus_uclm(source)
    (source / "INFO.csv").write_text("Image,Label\nALWI_000.png,Normal\n")
    with pytest.raises(
        StudiesError, match=r"INFO\.csv must have the columns image, label; it lacks image, label"
    ):
        import_dataset("bus-uclm", source, studies)


def test_nothing_readable_is_an_error(source, studies):
    (source / "images").mkdir(parents=True)
    (source / "images" / "a.png").write_bytes(b"nothing")
    with pytest.raises(StudiesError, match=r"found none; the first was skipped because .*a\.png is damaged"):
        import_dataset("folder", source, studies)


def test_unknown_datasets_list_the_known(source, studies):
    with pytest.raises(UnknownNameError, match=r"one of .*bus-uclm, busi, .*folder.*; got 'ddsm'"):
        import_dataset("ddsm", source, studies)


def test_a_folder_is_not_imported_into_itself(source):
    save(source / "a.png", scene(1))
    with pytest.raises(StudiesError, match="must be two folders"):
        import_dataset("folder", source, source)


@pytest.mark.slow
def test_the_real_busi_has_the_images_its_readme_says(studies):
    data = Path(os.environ.get("BREASTLABEL_TEST_DATA", "nowhere")) / "busi"
    if not data.is_dir():
        pytest.skip("set BREASTLABEL_TEST_DATA to the folder that holds busi")
    summary = import_dataset("busi", data, studies)
    assert summary.n_read == 624
    assert summary.by_class == {"normal": 106, "benign": 350, "malignant": 168}
    assert summary.skipped == []
    named = {i for group in summary.contradictory for i in group}
    assert {"busi-benign-0433", "busi-malignant-0145", "busi-benign-0269", "busi-normal-0001"} <= named
    splits: dict[str, set[str | None]] = {}
    for r in records(studies).values():
        splits.setdefault(r.group, set()).add(r.split)
        assert label(studies, r.image_id).max() == LesionClass[r.label.upper()]
    assert all(len(s) == 1 for s in splits.values())


def test_datasets_load_neither_torch_nor_the_server():
    code = textwrap.dedent("""
        import sys
        import breastlabel.datasets
        sys.exit(bool({"torch", "monai", "monailabel"} & set(sys.modules)))
    """)
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_another_image_of_the_same_name_is_not_put_over_the_first(tmp_path, studies):
    for folder, seed in (("monday", 1), ("tuesday", 2)):
        save(tmp_path / folder / "scan-1.png", scene(seed))
        save(tmp_path / folder / "masks" / "scan-1.png", disc((8 * seed, 20)) * np.uint8(seed))
    save(tmp_path / "tuesday" / "scan-2.png", scene(3))
    import_dataset("folder", tmp_path / "monday", studies)
    summary = import_dataset("folder", tmp_path / "tuesday", studies)
    assert summary.skipped == [("scan-1.png", "scan-1 is in the studies already, from elsewhere")]
    assert (studies / "scan-1.png").read_bytes() == (tmp_path / "monday" / "scan-1.png").read_bytes()
    np.testing.assert_array_equal(label(studies, "scan-1"), disc((8, 20)) * 1)
    assert (studies / "scan-2.png").is_file()


def test_a_file_whose_name_is_no_text_is_skipped(source, studies):
    save(source / "a.png", scene(1))
    os.rename(save(source / "b.png", scene(2)), os.fsencode(source) + b"/M\xfcller.png")
    summary = import_dataset("folder", source, studies)
    assert summary.n_read == 1
    ((name, reason),) = summary.skipped
    assert name == r"M\udcfcller.png"
    assert "plain file stem" in reason
    summary.text().encode("utf-8")
