import logging

import numpy as np
import pytest
from dataset_trees import SHAPE, busi, disc, save, scene, write_dicom

from breastlabel.catalog import LABELS_FOLDER, Catalog
from breastlabel.datasets import class_of_mask, import_dataset, load_training_images
from breastlabel.errors import UnknownNameError
from breastlabel.imaging import Geometry, LesionClass, Modality, write_mask


def correct(studies, image_id, mask):
    write_mask(studies / LABELS_FOLDER / f"{image_id}.nrrd", mask.astype(np.uint8), geometry=Geometry())


@pytest.fixture
def studies(tmp_path):
    import_dataset("busi", busi(tmp_path / "source"), tmp_path / "studies")
    return tmp_path / "studies"


def test_every_image_comes_once_with_mask_and_class(studies):
    splits = {s: list(load_training_images(studies, split=s)) for s in ("train", "val", "test")}
    ids = [x.record.image_id for images in splits.values() for x in images]
    assert sorted(ids) == sorted(x.record.image_id for x in load_training_images(studies, split=None))
    assert len(set(ids)) == len(ids) == 18
    for x in splits["train"]:
        assert x.image.shape == x.mask.shape == SHAPE
        assert x.label == class_of_mask(x.mask) == LesionClass[x.record.label.upper()]


def test_images_are_read_one_at_a_time(studies):
    images = load_training_images(studies, split=None)
    next(images)
    for path in studies.glob("*.png"):
        path.unlink()
    assert list(images) == []


def test_a_correction_overrides_the_class_of_the_dataset(studies):
    correct(studies, "busi-benign-0001", np.full(SHAPE, 2))
    correct(studies, "busi-malignant-0001", np.zeros(SHAPE))
    found = {x.record.image_id: x for x in load_training_images(studies, split=None)}
    assert found["busi-benign-0001"].label is LesionClass.MALIGNANT
    assert found["busi-malignant-0001"].label is LesionClass.NORMAL


def test_excluded_images_stay_out(studies):
    with Catalog.open(studies) as catalog:
        catalog.update_image("busi-benign-0001", excluded="contradictory-classes")
    assert "busi-benign-0001" not in {x.record.image_id for x in load_training_images(studies, split=None)}


def test_images_of_another_modality_stay_out(tmp_path):
    source, studies = tmp_path / "source", tmp_path / "studies"
    for k, (name, modality) in enumerate({"a": "US", "b": "MG"}.items()):
        write_dicom(source / f"{name}.dcm", scene(k), patient=name, modality=modality)
        save(source / "masks" / f"{name}.png", (disc((12, 12)) * 1).astype(np.uint8))
    import_dataset("folder", source, studies)
    for modality, expected in ((Modality.US, ["a"]), (Modality.MG, ["b"]), (None, ["a", "b"])):
        images = load_training_images(studies, split=None, modality=modality)
        assert [x.record.image_id for x in images] == expected


def test_unlabelled_images_come_only_when_asked_for(studies):
    save(studies / "new.png", scene(500))
    assert len(list(load_training_images(studies, split=None))) == 18
    everything = list(load_training_images(studies, split=None, include_unlabelled=True))
    [new] = [x for x in everything if x.record.image_id == "new"]
    assert (new.mask, new.label) == (None, None)


def test_a_damaged_file_is_left_out_and_reported_without_its_name(studies, caplog):
    (studies / "busi-benign-0001.png").write_bytes(b"damaged")
    (studies / LABELS_FOLDER / "busi-benign-0002.nrrd").write_bytes(b"damaged")
    correct(studies, "busi-benign-0003", np.zeros((5, 5)))
    with caplog.at_level(logging.WARNING):
        assert len(list(load_training_images(studies, split=None))) == 15
    assert len(caplog.records) == 3
    assert "benign-000" not in caplog.text
    reported = []
    list(load_training_images(studies, split=None, on_error=lambda r, e: reported.append(r.image_id)))
    assert reported == ["busi-benign-0001", "busi-benign-0002", "busi-benign-0003"]


def test_an_unknown_split_is_refused(studies):
    with pytest.raises(UnknownNameError, match="got 'training'"):
        next(load_training_images(studies, split="training"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0, 0], LesionClass.NORMAL),
        ([0, 1, 0], LesionClass.BENIGN),
        ([1, 1, 2], LesionClass.MALIGNANT),
        ([0, 2, 2], LesionClass.MALIGNANT),
    ],
)
def test_the_class_of_a_mask_is_its_worst(values, expected):
    assert class_of_mask(np.array([values], np.uint8)) is expected


def test_a_label_in_an_empty_margin_is_reported_and_left_out(tmp_path):
    source, studies = tmp_path / "source", tmp_path / "studies"
    framed = np.zeros((80, 96), np.uint8)
    framed[:40, :48] = scene(1)
    save(source / "a.png", framed)
    import_dataset("folder", source, studies)
    shifted = np.zeros((80, 96))
    shifted[60:70, 70:80] = 1
    correct(studies, "a", shifted)
    reasons = []
    found = load_training_images(
        studies, split=None, on_error=lambda record, error: reasons.append(str(error))
    )
    assert list(found) == []
    assert len(reasons) == 1
    assert "lies on the image's content" in reasons[0]
