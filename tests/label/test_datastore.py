from __future__ import annotations

import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from breastlabel.catalog import Catalog, RandomOrder, label_path
from breastlabel.catalog.unreadable import keep_out
from breastlabel.errors import InvalidImageError, InvalidLabelError, NotFoundError
from breastlabel.imaging import Geometry, read_image, read_mask, write_mask
from breastlabel.imaging.stamps import stamp_of
from breastlabel.label.datastore import StudiesDatastore
from breastlabel.label.errors import BadRequestError, ConflictError

NAMED = [{"name": "benign", "idx": 1}, {"name": "malignant", "idx": 2}]
Open = Callable[[], StudiesDatastore]


@pytest.fixture
def another(studies: Path, database: str) -> Iterator[Open]:
    """Opens the folder as a server does, as often as wanted, on SQLite and on PostgreSQL."""
    opened: list[Catalog] = []

    def open_again() -> StudiesDatastore:
        opened.append(Catalog.open(studies))
        return StudiesDatastore(opened[-1])

    yield open_again
    for catalog in opened:
        catalog.close()


@pytest.fixture
def store(another: Open) -> StudiesDatastore:
    return another()


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A malignant rectangle."""
    mask = np.zeros((12, 16), np.uint8)
    mask[2:5, 3:9] = 2
    write_mask(tmp_path / "drawn.nii.gz", mask, geometry=Geometry())
    return tmp_path / "drawn.nii.gz"


def save(store: StudiesDatastore, file: Path, image: str = "a", tag: str = "final", **info: Any) -> int:
    return store.save(image, file, tag, {"label_info": NAMED, **info}).version


def test_images_are_known_by_their_stems_whatever_their_type(store: StudiesDatastore, studies: Path) -> None:
    pixels = np.arange(192, dtype=np.uint8).reshape(12, 16)
    for name in ("UPPER.PNG", "d.bmp", "e.pgm", "two.parts.tif"):
        Image.fromarray(pixels).save(studies / name)
    (studies / "notes.txt").write_text("no image")
    (studies / ".hidden.png").write_bytes(b"")
    store.refresh()
    assert store.list_images() == ["UPPER", "a", "b", "c", "d", "e", "two.parts"]
    assert store.path("UPPER").name == "UPPER.PNG"


def test_of_two_files_with_one_stem_the_first_counts(another: Open, studies: Path) -> None:
    Image.open(studies / "a.png").save(studies / "a.bmp")
    assert another().list_images() == ["a", "b", "c"]


def test_files_that_come_and_go_are_noticed(store: StudiesDatastore, studies: Path) -> None:
    assert store.status() == {"total": 3, "completed": 0, "label_tags": {}}
    (studies / "a.png").rename(studies / "z.png")
    write_mask(studies / "labels" / "final" / "b.nrrd", np.zeros((12, 16), np.uint8), geometry=Geometry())
    store.refresh()
    assert store.list_images() == ["b", "c", "z"]
    assert store.get_labeled_images() == ["b"]
    assert store.get_unlabeled_images() == ["c", "z"]
    assert store.status() == {"total": 3, "completed": 1, "label_tags": {"final": 1}}
    with pytest.raises(NotFoundError, match="gone"):
        store.path("a")


def test_an_image_that_was_just_put_there_can_be_asked_for(store: StudiesDatastore, studies: Path) -> None:
    Image.open(studies / "a.png").save(studies / "late.png")
    assert store.path("late") == studies / "late.png"
    assert "late" in store.list_images()


def test_what_is_asked_all_the_time_lists_no_folder(
    store: StudiesDatastore, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, drawn, "b")

    def listed(*_: object) -> None:
        pytest.fail("a folder was listed")

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, listed)
    assert store.status()["total"] == 3
    assert list(store.json()["objects"]) == ["b"]
    assert store.catalog.leases.acquire("reader", RandomOrder(), strategy="random") is not None
    save(store, drawn, "b")


@pytest.mark.parametrize("image", ["/etc/passwd", "../a", "a.png", "", ".", "a/../a", "a\0", "a\ud800"])
def test_a_path_is_no_image_id(store: StudiesDatastore, image: str) -> None:
    for ask in (store.path, store.get_image_info, store.get_labels_by_image_id):
        with pytest.raises(NotFoundError):
            ask(image)
    with pytest.raises(NotFoundError):
        store.label_file(image, "final")
    with pytest.raises(NotFoundError):
        store.label_file("a", image)


def test_a_saved_label_replaces_an_imported_one_and_keeps_it(
    store: StudiesDatastore, studies: Path, drawn: Path
) -> None:
    imported = studies / "labels" / "final" / "a.nrrd"
    write_mask(imported, np.ones((12, 16), np.uint8), geometry=Geometry())
    store.refresh()
    save(store, drawn, client_id="reader", name="forged")
    saved = label_path(studies, "a")
    assert saved == studies / "labels" / "final" / "a.nii.gz"
    assert saved is not None
    assert np.array_equal(read_mask(saved), read_mask(drawn))
    assert not imported.exists()
    first, second = store.catalog.labels.history("a")
    assert read_mask(store.catalog.labels.path(first)).all()
    assert (first.author, first.client_id) == (None, None)
    assert (second.client_id, second.label) == ("reader", "malignant")
    info = store.get_label_info("a", "final")
    assert info["client_id"] == "reader"
    assert info["name"] == "a.nii.gz", "what the datastore says itself cannot be set by a client"
    assert store.json()["objects"].keys() == {"a"}


def test_a_reading_says_who_made_it_from_what(store: StudiesDatastore, drawn: Path) -> None:
    params = {"checkpoint_version": "v7", "label_names": {"benign": 1, "malignant": 2}}
    store.save("a", drawn, "original", {"model": "ultrasound", "params": params})
    save(store, drawn, client_id="slicer", author="reader", seconds_spent="41.5", note="dense")
    proposal, reading = store.catalog.labels.history("a")
    assert (proposal.model, proposal.model_version) == ("ultrasound", "v7")
    assert (reading.model, reading.model_version) == ("ultrasound", "v7"), "as the client does not say"
    assert reading.proposal_id == proposal.label_id
    assert (reading.author, reading.client_id, reading.seconds_spent) == ("reader", "slicer", 41.5)
    info = store.get_label_info("a", "final")
    assert info["note"] == "dense"
    assert info["label_info"] == NAMED
    save(store, drawn, model="ultrasound", model_version="v8")
    assert store.label("a", "final").model_version == "v8"
    for wrong in (-1, "soon", 10**9):
        with pytest.raises(BadRequestError, match="seconds_spent must be a number"):
            save(store, drawn, seconds_spent=wrong)


def test_time_spent_is_that_of_the_lease_where_the_client_does_not_say(
    store: StudiesDatastore, drawn: Path
) -> None:
    lease = store.catalog.leases.acquire("slicer", RandomOrder(), strategy="random")
    assert lease is not None
    save(store, drawn, lease.image_id, client_id="slicer")
    spent = store.label(lease.image_id, "final").seconds_spent
    assert spent is not None
    assert 0 <= spent < 60
    assert store.catalog.leases.live() == []


def test_a_proposal_leaves_the_image_with_its_reader(store: StudiesDatastore, drawn: Path) -> None:
    lease = store.catalog.leases.acquire("slicer", RandomOrder(), strategy="random")
    assert lease is not None
    for tag in ("original", "draft"):
        save(store, drawn, lease.image_id, tag, client_id="slicer")
    assert [held.image_id for held in store.catalog.leases.live()] == [lease.image_id]


def test_every_reading_of_two_annotators_is_kept(store: StudiesDatastore, tmp_path: Path) -> None:
    files = []
    for row in range(6):
        mask = np.zeros((12, 16), np.uint8)
        mask[row] = 1
        files.append(tmp_path / f"{row}.nii.gz")
        write_mask(files[-1], mask, geometry=Geometry())
    threads = [threading.Thread(target=save, args=(store, file)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    history = store.catalog.labels.history("a")
    assert [v.version for v in history] == [1, 2, 3, 4, 5, 6]
    painted = [int(read_mask(store.catalog.labels.path(v)).any(1).argmax()) for v in history]
    assert sorted(painted) == [0, 1, 2, 3, 4, 5]
    shown = read_mask(store.studies / "labels" / "final" / "a.nii.gz")
    assert int(shown.any(1).argmax()) == painted[-1]
    for version in history:
        content = store.catalog.labels.path(version).read_bytes()
        assert hashlib.sha256(content).hexdigest() == version.sha256


def test_a_label_that_does_not_fit_changes_nothing(
    store: StudiesDatastore, studies: Path, drawn: Path, tmp_path: Path
) -> None:
    write_mask(tmp_path / "other.nii.gz", np.zeros((16, 12), np.uint8), geometry=Geometry())
    with pytest.raises(InvalidLabelError, match="12 x 16"):
        save(store, tmp_path / "other.nii.gz")
    with pytest.raises(BadRequestError, match="tag"):
        save(store, drawn, tag="../final")
    with pytest.raises(NotFoundError):
        save(store, drawn, "nobody")
    assert store.catalog.labels.history("a") == []
    assert not list(studies.glob(".breastlabel/label-versions/*/*"))
    assert not list(studies.glob("labels/*/*"))


def test_a_full_disk_leaves_the_label_as_it_was(
    store: StudiesDatastore, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, drawn)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("breastlabel.catalog.label_files.write_bytes_atomically", full)
    with pytest.raises(OSError, match="No space"):
        save(store, drawn)
    assert len(store.catalog.labels.history("a")) == 1
    assert np.array_equal(read_mask(store.label_file("a", "final")), read_mask(drawn))


def test_another_server_on_the_same_folder_finds_everything(
    another: Open, store: StudiesDatastore, drawn: Path
) -> None:
    save(store, drawn, "b")
    store.update_image_info("b", {"note": "dense", "path": "/etc/passwd", "odd": float("nan")})
    store.update_label_info("b", "final", {"quality": "good", "ts": 0})
    again = another()
    assert again.get_labeled_images() == ["b"]
    info = again.get_image_info("b")
    assert (info["note"], info["odd"]) == ("dense", None)
    assert info["path"] == info["name"] == "b.nrrd"
    assert again.get_label_info("b", "final")["quality"] == "good"
    assert again.get_label_info("b", "final")["ts"] > 0
    (pair,) = again.datalist()
    assert pair["image"] == str(again.studies / "b.png")
    assert np.array_equal(read_mask(pair["label"]), read_mask(drawn))
    assert again.get_labels_by_image_id("b") == {"final": "b"}
    assert again.get_label_by_image_id("b", "original") == ""


def test_only_images_in_work_are_listed_at_every_next_sample(store: StudiesDatastore, drawn: Path) -> None:
    for image in "abc":
        save(store, drawn, image, "original", params={"label_names": {"benign": 1}})
    lease = store.catalog.leases.acquire("slicer", RandomOrder(), strategy="random")
    assert lease is not None
    save(store, drawn, "c")
    listed = store.json(limit=1)
    assert set(listed["objects"]) == {lease.image_id, "c"}
    original = listed["objects"][lease.image_id]["labels"]["original"]
    assert original["ext"] == ".nii.gz"
    assert original["info"]["params"]["label_names"] == {"benign": 1}
    assert set(store.json(limit=None)["objects"]) == {"a", "b", "c"}
    assert json.loads(json.dumps(listed)) == listed
    store.remove_label("c", "final")
    assert set(store.json(limit=None)["objects"]["c"]["labels"]) == {"original"}


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
    assert store.get_image_info("new")["note"] == 1
    with pytest.raises(ConflictError):
        store.add_image("a", str(tmp_path / "new.png"), {})
    (tmp_path / "junk.png").write_bytes(b"junk")
    with pytest.raises(InvalidImageError):
        store.add_image("x", str(tmp_path / "junk.png"), {})
    for name in ("../x", ".x", "x/y", "x.png"):
        with pytest.raises(BadRequestError):
            store.add_image(name, str(tmp_path / "new.png"), {})


def test_what_is_removed_is_kept_aside(store: StudiesDatastore, studies: Path, drawn: Path) -> None:
    save(store, drawn)
    store.remove_image("a")
    assert store.list_images() == ["b", "c"]
    assert store.status() == {"total": 2, "completed": 0, "label_tags": {}}
    (kept,) = store.catalog.labels.history("a")
    assert kept.state == "rejected"
    assert np.array_equal(read_mask(store.catalog.labels.path(kept)), read_mask(drawn))
    assert len(list((studies / ".breastlabel" / "removed").glob("*-a.png"))) == 1
    with pytest.raises(NotFoundError):
        store.remove_image("a")


def test_a_removed_label_is_no_label_any_more(store: StudiesDatastore, studies: Path, drawn: Path) -> None:
    save(store, drawn)
    store.remove_label("a", "final")
    assert not list(studies.glob("labels/final/a.*"))
    assert "a" in store.get_unlabeled_images()
    for ask in (store.remove_label, store.get_label_info, store.label_file):
        with pytest.raises(NotFoundError, match="has no label 'final'"):
            ask("a", "final")


def test_an_unreadable_image_is_offered_again_when_it_changes(another: Open, studies: Path) -> None:
    store = another()
    store.take_back("a", "slicer", InvalidImageError("damaged"))
    assert store.get_unlabeled_images() == ["b", "c"]
    assert "a" in store.list_images()
    assert another().get_unlabeled_images() == ["b", "c"], "another server knows"
    store.refresh()
    assert store.get_unlabeled_images() == ["b", "c"]
    os.utime(studies / "a.png", (1, 1))
    # The one that did not mark it finds out as well.
    another().refresh()
    assert store.get_unlabeled_images() == ["a", "b", "c"]


def test_an_unreadable_image_that_another_process_found_is_offered_again_when_it_changes(
    another: Open, studies: Path
) -> None:
    store = another()
    store.unreadable.look_again(now=True)
    keep_out(another().catalog, "a", stamp_of(studies / "a.png"))
    store.unreadable.look_again(now=True)
    assert store.get_unlabeled_images() == ["b", "c"]
    os.utime(studies / "a.png", (1, 1))
    store.unreadable.look_again(now=True)
    assert store.get_unlabeled_images() == ["a", "b", "c"]


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_duplicate_that_is_removed_and_comes_back_is_a_duplicate_still(
    store: StudiesDatastore, tmp_path: Path, suffix: str
) -> None:
    store.catalog.exclude("a", "duplicate")
    store.remove_image("a")
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(12, 16)).save(tmp_path / f"a{suffix}")
    store.add_image("a", str(tmp_path / f"a{suffix}"), {})
    store.refresh()
    assert store.path("a").suffix == suffix
    assert store.catalog.image("a").excluded == "duplicate"
    assert store.get_unlabeled_images() == ["b", "c"]


def test_who_removed_an_image_is_noted(store: StudiesDatastore) -> None:
    store.remove_image("a")
    (entry,) = store.catalog.audit.entries("a")
    assert (entry.action, entry.client_id) == ("image.exclude", "unknown-local")


def test_the_dataset_holds_images_labels_and_what_is_known(store: StudiesDatastore, drawn: Path) -> None:
    for image in "ab":
        save(store, drawn, image)
    path = Path(store.get_dataset_archive(1))
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["image/a.png", "label/a.nii.gz", "metadata.json"]
        known = json.loads(archive.read("metadata.json"))
    path.unlink()
    assert known["labels"]["a"]["label"] == "malignant"


def test_images_that_are_gone_or_kept_out_are_not_handed_on(
    store: StudiesDatastore, studies: Path, drawn: Path
) -> None:
    for image in "abc":
        save(store, drawn, image)
    (studies / "a.png").unlink()
    store.catalog.exclude("b", "duplicate")
    path = Path(store.get_dataset_archive(1))
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["image/b.png", "label/b.nii.gz", "metadata.json"]
    path.unlink()
    store.refresh()
    assert [Path(entry["image"]).name for entry in store.datalist()] == ["c.png"]
    (entry,) = store.datalist(full_path=False)
    assert (studies / entry["label"]).is_file()


def test_an_id_longer_than_any_file_name_is_unknown(store: StudiesDatastore, studies: Path) -> None:
    with pytest.raises(NotFoundError, match="is none"):
        store.path("x" * 300)
    with pytest.raises(BadRequestError, match="at most 200 bytes"):
        store.add_image("x" * 300, str(studies / "a.png"), {})


def test_what_a_database_cannot_hold_is_left_out_of_a_models_name(
    store: StudiesDatastore, drawn: Path
) -> None:
    save(store, drawn, model="unet\0", model_version="1\ud800")
    version = store.label("a", "final")
    assert (version.model, version.model_version) == ("unet", "1")


def test_what_viewers_load_is_made_again_when_the_image_changes(
    store: StudiesDatastore, studies: Path
) -> None:
    before = store.served.file("a", studies / "a.png")
    (before.parent / ".other.nrrd.part").write_bytes(b"another server is writing")
    other = store.served.file("b", studies / "b.png")
    os.utime(studies / "a.png", (1, 1))
    after = store.served.file("a", studies / "a.png")
    assert after.is_file()
    assert not before.exists()
    assert other.parent != after.parent, "only the image's own files are looked at"
    assert len(list(after.parent.iterdir())) == 2


def test_a_datastore_has_a_name(another: Open) -> None:
    store = another()
    assert (store.name(), store.description()) == ("breastlabel", "")
    store.set_name("clinic")
    store.set_description("ultrasound of 2026")
    assert (another().name(), another().description()) == ("clinic", "ultrasound of 2026")
