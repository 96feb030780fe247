import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breastlabel.catalog import LABELS_FOLDER, Catalog, folder, hashed_split, label_path
from breastlabel.errors import NotFoundError


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def ids(studies):
    with Catalog.open(studies) as catalog:
        return [r.image_id for r in catalog.images()]


def test_a_plain_folder_becomes_a_catalog(tmp_path):
    for name in ("b.png", "a.nii.gz", "C.PNG", "datastore_v2.json", "notes.txt", ".hidden.png"):
        touch(tmp_path / name)
    touch(tmp_path / LABELS_FOLDER / "b.nrrd")
    with Catalog.open(tmp_path) as catalog:
        found = {r.image_id: r for r in catalog.images()}
    assert set(found) == {"C", "a", "b"}
    assert found["a"].file == "a.nii.gz"
    assert [found[i].reviewed for i in "abC"] == [False, True, False]
    assert len({r.patient_key for r in found.values()}) == 3
    assert all(r.split == hashed_split(r.group) for r in found.values())
    assert (tmp_path / "datastore_v2.json").read_bytes() == b""


def test_opening_again_finds_new_images_and_labels(tmp_path):
    touch(tmp_path / "a.png")
    assert ids(tmp_path) == ["a"]
    touch(tmp_path / "b.png")
    touch(tmp_path / LABELS_FOLDER / "a.png")
    with Catalog.open(tmp_path) as catalog:
        assert [(r.image_id, r.reviewed) for r in catalog.images()] == [("a", True), ("b", False)]


def test_an_unchanged_folder_is_not_listed_again(tmp_path, monkeypatch):
    touch(tmp_path / "a.png")
    Catalog.open(tmp_path).close()
    os.utime(tmp_path, (1_000_000_000, 1_000_000_000))
    Catalog.open(tmp_path).close()
    monkeypatch.setattr(folder, "_image_files", lambda _: pytest.fail("the folder was listed"))
    assert ids(tmp_path) == ["a"]


def test_a_change_right_after_a_listing_is_not_missed(tmp_path):
    os.utime(touch(tmp_path / "a.png"))
    assert ids(tmp_path) == ["a"]
    stamp = tmp_path.stat().st_mtime_ns
    touch(tmp_path / "b.png")
    os.utime(tmp_path, ns=(stamp, stamp))
    assert ids(tmp_path) == ["a", "b"]


def test_an_image_that_vanished_is_kept_out_until_it_is_back(tmp_path):
    image = touch(tmp_path / "a.png")
    with Catalog.open(tmp_path) as catalog:
        split = catalog.image("a").split
    image.unlink()
    with Catalog.open(tmp_path) as catalog:
        assert catalog.image("a").excluded == "file-missing"
    touch(image)
    with Catalog.open(tmp_path) as catalog:
        assert (catalog.image("a").excluded, catalog.image("a").split) == (None, split)


def test_of_two_files_with_one_stem_the_first_counts(tmp_path):
    touch(tmp_path / "a.png")
    touch(tmp_path / "a.jpg")
    with Catalog.open(tmp_path) as catalog:
        assert [r.file for r in catalog.images()] == ["a.jpg"]


def test_the_newest_label_is_the_final_one(tmp_path):
    assert label_path(tmp_path, "a") is None
    old = touch(tmp_path / LABELS_FOLDER / "a.nrrd")
    new = touch(tmp_path / LABELS_FOLDER / "a.nii.gz")
    os.utime(old, (1, 1))
    assert label_path(tmp_path, "a") == new
    os.utime(new, (1, 1))
    assert label_path(tmp_path, "a") == old


@pytest.mark.parametrize("image_id", ["../../etc/passwd", "a/b", "", ".catalog", "a\0"])
def test_a_label_outside_the_folder_cannot_be_asked_for(tmp_path, image_id):
    with pytest.raises(NotFoundError, match="plain name"):
        label_path(tmp_path, image_id)


@given(st.text())
def test_a_hashed_split_is_one_of_three_and_stays(key):
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    assert hashed_split(key) in ("train", "val", "test")
    assert hashed_split(key) == hashed_split(key)


def test_hashed_splits_come_near_70_15_15():
    found = [hashed_split(f"patient-{n}") for n in range(5000)]
    shares = [found.count(split) / 5000 for split in ("train", "val", "test")]
    assert shares == pytest.approx([0.70, 0.15, 0.15], abs=0.03)


def test_a_name_that_can_be_no_id_is_passed_over(tmp_path):
    touch(tmp_path / "a.png")
    # Latin-1, as an old machine wrote it; and separators of another system.
    (tmp_path / os.fsdecode(b"M\xfcller.png")).write_bytes(b"")
    touch(tmp_path / "b\\c.png")
    touch(tmp_path / "d\ne.png")
    assert ids(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["../a", "a\\b", "a\0b", ".a", "", "a\nb"])
def test_a_label_is_asked_for_by_a_plain_name(tmp_path, name):
    with pytest.raises(NotFoundError, match="plain name"):
        label_path(tmp_path, name)
