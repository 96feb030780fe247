"""What comes and goes in the folder while a server runs is known without listing the folder."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from breastlabel.catalog import LABELS_FOLDER, Catalog, folder, watch
from breastlabel.catalog.watch import FolderWatcher
from breastlabel.errors import StudiesError

LONG_AGO = 1_600_000_000


@pytest.fixture
def studies(tmp_path):
    path = tmp_path / "studies"
    path.mkdir()
    (path / "a.png").write_bytes(b"never read")
    return path


@pytest.fixture
def catalog(studies):
    with Catalog.open(studies) as opened:
        yield opened


@pytest.fixture
def watcher(catalog):
    watching = FolderWatcher(catalog, quiet=0.05, poll_every=0.05)
    yield watching
    watching.stop()


@pytest.fixture
def watching(studies, watcher, monkeypatch):
    """The watcher, past its first comparison; listing the folder from now on fails the test."""
    for tag in ("final", "original"):
        (studies / "labels" / tag).mkdir(parents=True)
    watcher.start()
    until(lambda: watcher.compared)
    listed = []
    monkeypatch.setattr(folder, "_image_files", lambda _: listed.append("listed") or {})
    yield watcher
    watcher.stop()
    assert not listed


def until(true, *, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def ids(catalog):
    return [r.image_id for r in catalog.images()]


def put_label(studies, name, content=b"drawn"):
    path = studies / LABELS_FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_an_image_that_comes_is_known(catalog, studies, watching):
    (studies / "b.png").write_bytes(b"never read")
    until(lambda: ids(catalog) == ["a", "b"])
    assert catalog.counts().waiting == 2


def test_an_image_that_goes_is_kept_out_until_it_is_back(catalog, studies, watching):
    (studies / "a.png").rename(studies / ".a.png")
    until(lambda: catalog.image("a").excluded == "file-missing")
    (studies / ".a.png").rename(studies / "a.png")
    until(lambda: catalog.image("a").excluded is None)


def test_an_image_that_is_renamed_is_another(catalog, studies, watching):
    (studies / "a.png").rename(studies / "z.png")
    until(lambda: ids(catalog) == ["a", "z"] and catalog.image("a").excluded == "file-missing")


def test_a_label_that_comes_is_a_version(catalog, studies, watching):
    put_label(studies, "a.nrrd")
    until(lambda: catalog.labels.ids() == ["a"])
    assert catalog.image("a").reviewed
    put_label(studies, "a.nrrd", b"drawn again")
    until(lambda: len(catalog.labels.history("a")) == 2)


def test_a_label_may_come_before_its_image(catalog, studies, watching):
    put_label(studies, "b.nrrd")
    time.sleep(0.2)
    assert catalog.labels.ids() == []
    (studies / "b.png").write_bytes(b"never read")
    until(lambda: catalog.labels.ids() == ["b"])


def test_a_label_that_goes_no_longer_counts(catalog, studies, watcher):
    file = put_label(studies, "a.nrrd")
    os.utime(file, (LONG_AGO, LONG_AGO))
    watcher.start()
    until(lambda: watcher.compared and catalog.image("a").reviewed)
    file.unlink()
    until(lambda: not catalog.image("a").reviewed)
    assert [v.state for v in catalog.labels.history("a")] == ["rejected"]


def test_what_the_catalog_itself_puts_there_is_no_news(catalog, studies, watching):
    for n in range(5):
        catalog.labels.save("a", f"saved {n}".encode())
    catalog.labels.remove("a", "final")
    catalog.labels.save("a", b"saved again", tag="original")
    time.sleep(0.5)
    watching.stop()
    assert len(catalog.labels.history("a")) == 6
    assert [e.action for e in catalog.audit.entries("a") if "save" not in e.action] == ["label.state"] * 5
    assert catalog.counts().labelled == {"original": 1}


def test_nothing_is_lost_or_doubled_while_many_save(catalog, studies, watching):
    (studies / "b.png").write_bytes(b"never read")
    until(lambda: ids(catalog) == ["a", "b"])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: catalog.labels.save("ab"[n % 2], f"{n:03}".encode()), range(24)))
    watching.stop()
    assert [len(catalog.labels.history(i)) for i in "ab"] == [12, 12]
    for image_id in "ab":
        current = catalog.labels.path(catalog.labels.current(image_id)).read_bytes()
        assert (studies / LABELS_FOLDER / f"{image_id}.nii.gz").read_bytes() == current


def test_a_file_that_is_still_being_written_waits(catalog, studies):
    (studies / LABELS_FOLDER).mkdir(parents=True)
    watching = FolderWatcher(catalog, quiet=2.0)
    watching.start()
    until(lambda: watching.compared)
    put_label(studies, "a.nrrd", b"first part")
    with (studies / LABELS_FOLDER / "a.nrrd").open("ab") as file:
        for _ in range(10):
            time.sleep(0.01)
            file.write(b", next part")
            file.flush()
    until(lambda: catalog.labels.ids() == ["a"])
    watching.stop()
    (version,) = catalog.labels.history("a")
    assert catalog.labels.path(version).read_bytes().count(b"next part") == 10


def test_dot_files_and_other_files_are_passed_over(catalog, studies, watching):
    for name in (
        ".b.png",
        "notes.txt",
        "labels/final/.a.nrrd.part",
        "labels/a.nrrd",
        "labels/final/notes.txt",
    ):
        path = studies / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (studies / "c.png").write_bytes(b"never read")
    until(lambda: ids(catalog) == ["a", "c"])
    assert catalog.counts().labelled == {}


@pytest.mark.parametrize("burst", ["many", "folder"])
def test_a_burst_is_taken_in_by_one_listing(catalog, studies, watcher, monkeypatch, burst):
    monkeypatch.setattr(watch, "_MANY", 5)
    watcher.start()
    until(lambda: watcher.compared)
    taken = []
    monkeypatch.setattr(watch, "take_in", lambda *_: taken.append("one by one"))
    for n in range(20 if burst == "many" else 1):
        (studies / f"n{n:02}.png").write_bytes(b"never read")
    elsewhere = studies.parent / "final"
    elsewhere.mkdir()
    (elsewhere / "n00.nrrd").write_bytes(b"drawn")
    elsewhere.rename(studies / LABELS_FOLDER)
    until(lambda: len(ids(catalog)) == (21 if burst == "many" else 2))
    until(lambda: catalog.labels.ids() == ["n00"])


def test_what_came_between_opening_and_watching_is_known(catalog, studies, watcher):
    (studies / "b.png").write_bytes(b"never read")
    watcher.start()
    until(lambda: ids(catalog) == ["a", "b"])


def test_without_watches_the_folder_is_polled_and_that_is_said_once(
    catalog, studies, watcher, monkeypatch, caplog
):
    def refused(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watch, "_started_observer", refused)
    watcher.start()
    until(lambda: watcher.compared)
    assert watcher.polls
    (studies / "b.png").write_bytes(b"never read")
    put_label(studies, "a.nrrd")
    until(lambda: ids(catalog) == ["a", "b"] and catalog.labels.ids() == ["a"])
    assert caplog.text.count("max_user_watches") == 1
    assert str(studies) not in caplog.text


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_folder_is_polled(catalog, studies, watcher, monkeypatch, caplog, kind):
    monkeypatch.setattr(watch, "_file_system", lambda _: kind)
    watcher.start()
    (studies / "b.png").write_bytes(b"never read")
    until(lambda: ids(catalog) == ["a", "b"])
    assert watcher.polls
    assert caplog.text.count(f"({kind})") == 1


def test_a_failure_does_not_end_the_watch(catalog, studies, watcher, monkeypatch, caplog):
    watcher.start()
    until(lambda: watcher.compared)
    failing = [StudiesError("the disk is full at patient-4711"), OSError(5, "patient-4711"), KeyError("4711")]
    take_in = watch.take_in

    def sometimes(*args):
        if failing:
            raise failing.pop()
        return take_in(*args)

    monkeypatch.setattr(watch, "take_in", sometimes)
    for n in range(4):
        before = len(failing)
        (studies / f"b{n}.png").write_bytes(b"never read")
        until(lambda before=before, n=n: len(failing) < before or f"b{n}" in ids(catalog))
    until(lambda: "b3" in ids(catalog))
    assert "4711" not in caplog.text
    assert "KeyError" in caplog.text


def test_others_are_told_what_came_once_the_catalog_knows_it(catalog, studies):
    told = []
    watching = FolderWatcher(
        catalog, quiet=0.05, on_look=lambda names: told.append((names, sorted(ids(catalog))))
    )
    watching.start()
    try:
        until(lambda: told == [(None, ["a"])])
        (studies / "b.png").write_bytes(b"never read")
        until(lambda: (["b.png"], ["a", "b"]) in told)
    finally:
        watching.stop()


def test_it_starts_and_stops_more_than_once(catalog, studies, watcher):
    for name in "bc":
        watcher.start()
        watcher.start()
        (studies / f"{name}.png").write_bytes(b"never read")
        until(lambda name=name: name in ids(catalog))
        watcher.stop()
        watcher.stop()
    assert not watcher.polls


def test_a_catalog_without_a_folder_cannot_be_watched(tmp_path):
    with (
        Catalog(f"sqlite:///{tmp_path / 'c.sqlite3'}") as catalog,
        pytest.raises(StudiesError, match="got none; give `studies`"),
    ):
        FolderWatcher(catalog)
