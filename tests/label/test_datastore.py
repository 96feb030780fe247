from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from breastlabel.catalog import label_path
from breastlabel.errors import InvalidImageError, InvalidLabelError, NotFoundError
from breastlabel.imaging import Geometry, read_image, read_mask, write_mask
from breastlabel.label.datastore import StudiesDatastore
from breastlabel.label.errors import BadRequestError, ConflictError

NAMED = [{"name": "benign", "idx": 1}, {"name": "malignant", "idx": 2}]


@pytest.fixture
def store(studies: Path) -> StudiesDatastore:
    return StudiesDatastore(studies)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    mask = np.zeros((12, 16), np.uint8)
    mask[2:5, 3:9] = 2
    write_mask(tmp_path / "drawn.nii.gz", mask, geometry=Geometry())
    return tmp_path / "drawn.nii.gz"


def test_images_are_known_by_their_stems_whatever_their_type(store: StudiesDatastore, studies: Path) -> None:
    pixels = np.arange(192, dtype=np.uint8).reshape(12, 16)
    for name in ("UPPER.PNG", "d.bmp", "e.pgm", "two.parts.tif"):
        Image.fromarray(pixels).save(studies / name)
    (studies / "notes.txt").write_text("no image")
    (studies / ".hidden.png").write_bytes(b"")
    assert store.list_images() == ["UPPER", "a", "b", "c", "d", "e", "two.parts"]
    assert store.path("UPPER").name == "UPPER.PNG"


def test_of_two_files_with_one_stem_the_first_counts(store: StudiesDatastore, studies: Path) -> None:
    Image.open(studies / "a.png").save(studies / "a.bmp")
    fresh = StudiesDatastore(studies)
    assert fresh.list_images() == ["a", "b", "c"]


def test_files_that_come_and_go_are_noticed(store: StudiesDatastore, studies: Path) -> None:
    assert store.status() == {"total": 3, "completed": 0, "label_tags": {}}
    (studies / "a.png").rename(studies / "z.png")
    assert store.list_images() == ["b", "c", "z"]
    write_mask(studies / "labels" / "final" / "b.nrrd", np.zeros((12, 16), np.uint8), geometry=Geometry())
    assert store.get_labeled_images() == ["b"]
    assert store.get_unlabeled_images() == ["c", "z"]
    with pytest.raises(NotFoundError):
        store.path("a")


def test_a_settled_folder_is_not_listed_again(
    store: StudiesDatastore, studies: Path, monkeypatch: Any
) -> None:
    for folder in (studies, *(studies / "labels").iterdir()):
        os.utime(folder, (1_700_000_000, 1_700_000_000))
    store.list_images()
    monkeypatch.setattr(store, "_reconcile_datastore", lambda: pytest.fail("listed again"))
    assert store.status()["total"] == 3
    assert store.list_images() == ["a", "b", "c"]


@pytest.mark.parametrize("image", ["/etc/passwd", "../a", "a.png", "", ".", "a/../a", "a\0"])
def test_a_path_is_no_image_id(store: StudiesDatastore, image: str) -> None:
    with pytest.raises(NotFoundError):
        store.path(image)
    with pytest.raises(NotFoundError):
        store.label_file(image, "final")


def test_a_saved_label_replaces_an_imported_one_and_keeps_it(
    store: StudiesDatastore, studies: Path, drawn: Path
) -> None:
    imported = studies / "labels" / "final" / "a.nrrd"
    write_mask(imported, np.ones((12, 16), np.uint8), geometry=Geometry())
    store.refresh()
    store.save_label("a", str(drawn), "final", {"label_info": NAMED, "client_id": "reader", "name": "forged"})
    saved = label_path(studies, "a")
    assert saved == studies / "labels" / "final" / "a.nii.gz"
    assert saved is not None
    assert np.array_equal(read_mask(saved), read_mask(drawn))
    assert not imported.exists()
    (kept,) = store.versions.history("a")
    assert read_mask(kept).all()
    info = store.get_label_info("a", "final")
    assert info["client_id"] == "reader"
    assert info["name"] == "a.nii.gz", "what the datastore says itself cannot be set by a client"
    assert store.json()["objects"].keys() == {"a"}


def test_every_reading_of_two_annotators_is_kept(store: StudiesDatastore, studies: Path, drawn: Path) -> None:
    def save() -> None:
        store.save_label("a", str(drawn), "final", {"label_info": NAMED})

    threads = [threading.Thread(target=save) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(store.versions.history("a")) == 5
    assert json.loads((studies / "datastore_v2.json").read_text())["objects"]["a"]["labels"]["final"]


def test_a_label_that_does_not_fit_changes_nothing(
    store: StudiesDatastore, studies: Path, drawn: Path, tmp_path: Path
) -> None:
    before = (studies / "datastore_v2.json").read_bytes()
    write_mask(tmp_path / "other.nii.gz", np.zeros((16, 12), np.uint8), geometry=Geometry())
    with pytest.raises(InvalidLabelError, match="12 x 16"):
        store.save_label("a", str(tmp_path / "other.nii.gz"), "final", {"label_info": NAMED})
    with pytest.raises(BadRequestError, match="tag"):
        store.save_label("a", str(drawn), "../final", {})
    with pytest.raises(NotFoundError):
        store.save_label("nobody", str(drawn), "final", {})
    assert (studies / "datastore_v2.json").read_bytes() == before


def test_the_index_is_written_whole_or_not_at_all(
    store: StudiesDatastore, studies: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (studies / "datastore_v2.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("breastlabel.label.datastore.write_bytes_atomically", full)
    with pytest.raises(OSError, match="No space"):
        store.update_image_info("a", {"note": "x"})
    assert (studies / "datastore_v2.json").read_bytes() == before


def test_another_server_on_the_same_folder_finds_everything(
    store: StudiesDatastore, studies: Path, drawn: Path
) -> None:
    store.save_label("b", str(drawn), "final", {"label_info": NAMED})
    store.update_image_info("b", {"note": "dense", "path": "/etc/passwd"})
    again = StudiesDatastore(studies)
    assert again.get_labeled_images() == ["b"]
    info = again.get_image_info("b")
    assert info["note"] == "dense"
    assert info["path"] == info["name"] == "b.nrrd"
    assert len(again.datalist()) == 1


def test_images_are_served_as_volumes_and_converted_once(store: StudiesDatastore, studies: Path) -> None:
    first = store.served.file("a", store.path("a"))
    assert first.suffix == ".nrrd"
    assert np.array_equal(read_image(first).pixels, read_image(studies / "a.png").pixels)
    stamp = first.stat().st_mtime_ns
    assert store.served.file("a", store.path("a")).stat().st_mtime_ns == stamp
    # A changed image is converted again, and the old conversion does not stay.
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(12, 16)).save(studies / "a.png")
    second = store.served.file("a", store.path("a"))
    assert second != first
    assert not first.exists()
    assert store.served.file("a", second) == second, "a grey volume is served as it is"


def test_an_added_image_never_replaces_one(store: StudiesDatastore, studies: Path, tmp_path: Path) -> None:
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(12, 16)).save(tmp_path / "new.png")
    assert store.add_image("", str(tmp_path / "new.png"), {"note": 1}) == "new"
    assert "new" in store.get_unlabeled_images()
    with pytest.raises(ConflictError):
        store.add_image("a", str(tmp_path / "new.png"), {})
    (tmp_path / "junk.png").write_bytes(b"junk")
    with pytest.raises(InvalidImageError):
        store.add_image("x", str(tmp_path / "junk.png"), {})
    for name in ("../x", ".x", "x/y", "x.png"):
        with pytest.raises(BadRequestError):
            store.add_image(name, str(tmp_path / "new.png"), {})


def test_what_is_removed_is_kept_aside(store: StudiesDatastore, studies: Path, drawn: Path) -> None:
    store.save_label("a", str(drawn), "final", {"label_info": NAMED})
    store.remove_image("a")
    assert store.list_images() == ["b", "c"]
    assert len(store.versions.history("a")) == 1
    assert len(list((studies / ".breastlabel" / "removed").glob("*-a.png"))) == 1


def test_an_unreadable_image_is_offered_again_when_it_changes(store: StudiesDatastore, studies: Path) -> None:
    store.mark_unreadable("a")
    assert store.get_unlabeled_images() == ["b", "c"]
    os.utime(studies / "a.png", (1, 1))
    assert store.get_unlabeled_images() == ["a", "b", "c"]
