import contextlib
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from breastlabel.catalog import VERSIONS_FOLDER, Catalog, First, label_files
from breastlabel.errors import InvalidLabelError, NotFoundError, StudiesError, UnknownNameError

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def shown(tmp_path):
    """What lies in ``labels/<tag>`` for an image: suffix -> content."""

    def read(image_id, tag="final"):
        folder = tmp_path / "labels" / tag
        return {p.name.removeprefix(image_id): p.read_bytes() for p in folder.glob(f"{image_id}.*")}

    return read


def kept(tmp_path, image_id):
    return sorted(p.read_bytes() for p in (tmp_path / VERSIONS_FOLDER / image_id).iterdir())


def test_a_label_is_kept_shown_and_counted(catalog, add, shown):
    add("ab")
    saved = catalog.labels.save(
        "a",
        b"first",
        label="benign",
        author="anna",
        client_id="slicer",
        model="ultrasound",
        model_version="3",
        seconds_spent=12.5,
        info={"comment": "clear"},
    )
    assert (saved.version, saved.tag, saved.state, saved.label) == (1, "final", "final", "benign")
    assert (saved.author, saved.client_id, saved.model, saved.model_version) == (
        "anna",
        "slicer",
        "ultrasound",
        "3",
    )
    assert (saved.seconds_spent, saved.proposal_id, saved.agreement) == (12.5, None, None)
    assert saved.info == {"comment": "clear"}
    assert saved.created_at.utcoffset().total_seconds() == 0
    assert catalog.labels.current("a") == catalog.labels.get("a", 1) == saved
    assert catalog.labels.path(saved).read_bytes() == b"first"
    assert shown("a") == {".nii.gz": b"first"}
    assert catalog.image("a").reviewed
    counts = catalog.counts()
    assert (counts.total, counts.waiting, counts.labelled) == (2, 1, {"final": 1})


def test_a_second_reading_overwrites_nothing(catalog, add, shown, tmp_path):
    add("a")
    catalog.labels.save("a", b"first", author="anna")
    catalog.labels.save("a", b"second", author="ben")
    assert [(v.version, v.author) for v in catalog.labels.history("a")] == [(1, "anna"), (2, "ben")]
    assert kept(tmp_path, "a") == [b"first", b"second"]
    assert shown("a") == {".nii.gz": b"second"}
    assert catalog.counts().labelled == {"final": 1}


def test_drafts_and_proposals_make_no_image_reviewed(catalog, add, shown):
    add("a")
    catalog.labels.save("a", b"model", tag="original", model="ultrasound", model_version="1")
    catalog.labels.save("a", b"begun", tag="draft")
    assert not catalog.image("a").reviewed
    assert catalog.labels.current("a") is None
    assert shown("a", "draft") == {".nii.gz": b"begun"}
    assert shown("a", "original") == {".nii.gz": b"model"}
    assert shown("a") == {}
    assert catalog.counts().waiting == 1
    assert catalog.counts().labelled == {"draft": 1, "original": 1}


def test_a_draft_that_is_accepted_is_the_final_label(catalog, add, shown):
    add("a")
    draft = catalog.labels.save("a", b"begun", tag="draft", author="anna")
    accepted = catalog.labels.set_state("a", draft.version, "final", author="ben")
    assert accepted.label_id == draft.label_id
    assert catalog.labels.current("a") == accepted
    assert catalog.labels.current("a", "draft") is None
    assert (shown("a"), shown("a", "draft")) == ({".nii.gz": b"begun"}, {})
    assert catalog.image("a").reviewed
    assert catalog.counts().labelled == {"final": 1}


def test_of_a_rejected_label_the_one_before_counts(catalog, add, shown):
    add("a")
    catalog.labels.save("a", b"first")
    catalog.labels.save("a", b"second")
    catalog.labels.set_state("a", 2, "rejected")
    assert catalog.labels.current("a").version == 1
    assert shown("a") == {".nii.gz": b"first"}
    catalog.labels.set_state("a", 1, "rejected")
    assert catalog.labels.current("a") is None
    assert shown("a") == {}
    assert not catalog.image("a").reviewed
    assert (catalog.counts().waiting, catalog.counts().labelled) == (1, {})
    catalog.labels.set_state("a", 2, "final")
    assert shown("a") == {".nii.gz": b"second"}
    assert (catalog.counts().waiting, catalog.counts().labelled) == (0, {"final": 1})


def test_a_removed_label_leaves_its_versions(catalog, add, shown, tmp_path):
    add("a")
    catalog.labels.save("a", b"first")
    catalog.labels.save("a", b"second")
    catalog.labels.remove("a", "final", author="anna")
    assert shown("a") == {}
    assert [v.state for v in catalog.labels.history("a")] == ["rejected", "rejected"]
    assert kept(tmp_path, "a") == [b"first", b"second"]
    assert catalog.counts().waiting == 1
    catalog.labels.remove("a", "final")


def test_a_normal_image_needs_no_label_to_be_reviewed(catalog, add):
    add("a", reviewed=True, label="normal")
    catalog.labels.save("a", b"first")
    catalog.labels.remove("a", "final")
    assert catalog.image("a").reviewed
    assert catalog.counts().waiting == 0


def test_an_excluded_image_does_not_wait_again(catalog, add):
    add("a")
    catalog.labels.save("a", b"first")
    catalog.exclude("a", "unreadable")
    catalog.labels.remove("a", "final")
    assert catalog.counts().waiting == 0
    catalog.update_image("a", excluded=None)
    assert catalog.counts().waiting == 1


def test_restoring_is_a_new_version_of_the_old_content(catalog, add, shown):
    add("a")
    catalog.labels.save("a", b"first", label="benign", author="anna")
    catalog.labels.save("a", b"second")
    restored = catalog.labels.restore("a", 1, author="ben")
    assert (restored.version, restored.author, restored.label) == (3, "ben", "benign")
    assert restored.info["restored_from"] == 1
    assert catalog.labels.path(restored).read_bytes() == b"first"
    assert shown("a") == {".nii.gz": b"first"}


def test_a_version_whose_file_is_gone_cannot_be_restored(catalog, add):
    add("a")
    catalog.labels.path(catalog.labels.save("a", b"first")).unlink()
    with pytest.raises(NotFoundError, match="the file of version 1 of image 'a' is gone"):
        catalog.labels.restore("a", 1)


def test_a_file_that_nobody_saved_becomes_a_version_before_it_is_replaced(catalog, add, shown, tmp_path):
    add("a")
    folder = tmp_path / "labels" / "final"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"by hand")
    catalog.labels.save("a", b"saved", author="anna")
    history = catalog.labels.history("a")
    assert [(v.author, v.file.rpartition(".")[2]) for v in history] == [(None, "png"), ("anna", "gz")]
    assert history[0].info == {"source": "folder"}
    assert catalog.labels.path(history[0]).read_bytes() == b"by hand"
    assert shown("a") == {".nii.gz": b"saved"}


@pytest.mark.parametrize("state", ["rejected", "draft"])
def test_an_edit_that_nobody_noticed_yet_outlasts_a_judgement(catalog, add, shown, tmp_path, state):
    add("a")
    catalog.labels.save("a", b"first")
    catalog.labels.save("a", b"second")
    (tmp_path / "labels" / "final" / "a.nii.gz").write_bytes(b"edited by hand")
    catalog.labels.set_state("a", 2, state)
    contents = [catalog.labels.path(v).read_bytes() for v in catalog.labels.history("a")]
    assert contents == [b"first", b"second", b"edited by hand"]
    assert shown("a") == {".nii.gz": b"edited by hand"}


def test_the_same_file_is_adopted_once(catalog, add, tmp_path):
    add("a")
    file = tmp_path / "labels" / "final" / "a.nrrd"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"by hand")
    assert catalog.labels.adopt("a", file).version == 1
    assert catalog.labels.adopt("a", file) is None
    assert catalog.image("a").reviewed
    assert len(catalog.labels.history("a")) == 1


def test_an_edit_in_place_changes_no_version_and_is_adopted(catalog, add, shown, tmp_path):
    add("a")
    first = catalog.labels.save("a", b"first")
    with (tmp_path / "labels" / "final" / "a.nii.gz").open("r+b") as file:
        file.write(b"EDIT!!")
    assert catalog.labels.path(first).read_bytes() == b"first"
    catalog.labels.save("a", b"second")
    assert [catalog.labels.path(v).read_bytes() for v in catalog.labels.history("a")] == [
        b"first",
        b"EDIT!!",
        b"second",
    ]
    assert shown("a") == {".nii.gz": b"second"}


def test_an_older_projection_is_shown_anew_and_not_taken_for_an_edit(catalog, add, shown, tmp_path):
    add("a")
    catalog.labels.save("a", b"first")
    catalog.labels.save("a", b"second")
    (tmp_path / "labels" / "final" / "a.nii.gz").write_bytes(b"first")
    catalog.labels.project("a")
    assert shown("a") == {".nii.gz": b"second"}
    assert len(catalog.labels.history("a")) == 2


def test_a_label_of_another_type_leaves_no_second_file(catalog, add, shown):
    add("a")
    catalog.labels.save("a", b"first", suffix=".png")
    catalog.labels.save("a", b"second", suffix=".nrrd")
    assert shown("a") == {".nrrd": b"second"}


@pytest.mark.parametrize("image_id", ["nobody", "../a", "", "a/b"])
def test_a_label_of_an_unknown_image_leaves_nothing(catalog, add, tmp_path, image_id):
    add("a")
    with pytest.raises(NotFoundError, match="is not in it; list the images"):
        catalog.labels.save(image_id, b"x")
    assert not list((tmp_path / VERSIONS_FOLDER).glob("*"))
    assert catalog.labels.ids() == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"state": "done"}, UnknownNameError, "state of a label must be one of draft, final, rejected"),
        ({"label": "cyst"}, UnknownNameError, "label must be one of benign, malignant, normal; got 'cyst'"),
        ({"suffix": ".exe"}, UnknownNameError, "suffix of a label map must be one of"),
        ({"tag": "../final"}, InvalidLabelError, "tag must be a plain word"),
        ({"data": b""}, InvalidLabelError, "got an empty file"),
    ],
)
def test_what_a_label_cannot_be(catalog, add, arguments, error, message):
    add("a")
    with pytest.raises(error, match=message):
        catalog.labels.save("a", **({"data": b"x"} | arguments))
    assert catalog.labels.history("a") == []


def test_a_catalog_without_a_folder_keeps_no_labels(url, record):
    with Catalog(url) as catalog:
        catalog.add_images([record("a")])
        with pytest.raises(StudiesError, match="a studies folder is required"):
            catalog.labels.save("a", b"x")


def test_a_reading_knows_the_proposal_it_started_from(catalog, add):
    add("a")
    proposal = catalog.labels.save("a", b"model", tag="original", model="ultrasound", model_version="7")
    read = catalog.labels.save("a", b"read")
    assert (read.proposal_id, read.model, read.model_version) == (proposal.label_id, "ultrasound", "7")
    assert proposal.proposal_id is None
    # A second reader who saves without a newer proposal started from the final label.
    assert catalog.labels.save("a", b"again").proposal_id is None
    newer = catalog.labels.save("a", b"model 8", tag="original", model="ultrasound", model_version="8")
    assert catalog.labels.save("a", b"third").proposal_id == newer.label_id
    assert catalog.labels.save("a", b"named", proposal_id=proposal.label_id).model_version == "7"


def test_agreement_is_noted_once_it_is_known(catalog, add):
    add("ab")
    catalog.labels.save("a", b"model", tag="original")
    read = catalog.labels.save("a", b"read")
    catalog.labels.save("b", b"from scratch")
    assert catalog.labels.without_agreement(10) == [read]
    catalog.labels.set_agreement(read.label_id, {"dice": 0.9, "surface": float("nan")})
    assert catalog.labels.without_agreement(10) == []
    assert catalog.labels.current("a").agreement == {"dice": 0.9, "surface": None}
    with pytest.raises(NotFoundError, match="there is none with id 99"):
        catalog.labels.set_agreement(99, {})


def test_notes_on_a_label_are_added_to(catalog, add):
    add("a")
    catalog.labels.save("a", b"x", info={"comment": "clear", "birads": 3})
    catalog.labels.update_info("a", "final", {"birads": 4})
    assert catalog.labels.current("a").info == {"comment": "clear", "birads": 4}
    with pytest.raises(NotFoundError, match="has no label 'draft'"):
        catalog.labels.update_info("a", "draft", {})


def test_current_labels_of_all_images(catalog, add):
    add("abc")
    for image_id in "ba":
        catalog.labels.save(image_id, b"first")
        catalog.labels.save(image_id, b"second")
    catalog.labels.save("c", b"begun", tag="draft")
    catalog.labels.set_state("b", 2, "rejected")
    assert {i: v.version for i, v in catalog.labels.current_many().items()} == {"a": 2, "b": 1}
    assert catalog.labels.ids() == ["a", "b"]
    assert catalog.labels.ids("draft") == ["c"]


def test_an_unknown_version_is_named(catalog, add):
    add("a")
    for call in (catalog.labels.get, catalog.labels.restore):
        with pytest.raises(NotFoundError, match="image 'a' has no label version 4"):
            call("a", 4)
    with pytest.raises(NotFoundError, match="has no label version 4"):
        catalog.labels.set_state("a", 4, "final")


def test_saving_ends_the_lease_and_knows_how_long_it_lasted(catalog, add):
    add("ab")
    catalog.leases.acquire("anna", First(), strategy="first")
    catalog.leases.acquire("ben", First(), strategy="first")
    saved = catalog.labels.save("a", b"x", client_id="anna")
    assert 0 < saved.seconds_spent < 60
    assert [lease.client_id for lease in catalog.leases.live()] == ["ben"]
    assert catalog.labels.save("b", b"x", client_id="anna").seconds_spent is None
    assert [lease.client_id for lease in catalog.leases.live()] == ["ben"]


def test_one_save_is_one_synced_file_and_one_commit(catalog, add, monkeypatch):
    add("a")
    catalog.labels.save("a", b"first", author="anna", client_id="c")
    synced, commits = [], []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(fsync(descriptor)))
    event.listen(
        catalog.database.engine,
        "commit",
        lambda c: commits.append(c.get_execution_options().get("breastlabel_write", False)),
    )
    catalog.labels.save("a", b"second", author="anna", client_id="c")
    assert len(synced) == 2  # the file and its folder
    assert sum(commits) == 1


def test_a_label_that_cannot_be_shown_is_kept(catalog, add, tmp_path, caplog):
    add("a")
    (tmp_path / "labels").write_bytes(b"not a folder")
    saved = catalog.labels.save("a", b"x")
    assert catalog.labels.current("a") == saved
    assert "could not be shown" in caplog.text
    (tmp_path / "labels").unlink()
    catalog.labels.project("a")
    assert (tmp_path / "labels" / "final" / "a.nii.gz").read_bytes() == b"x"


def test_a_full_disk_records_nothing(catalog, add, monkeypatch):
    add("a")

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(label_files, "write_bytes_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        catalog.labels.save("a", b"x")
    assert catalog.labels.history("a") == []


def test_threads_that_save_one_image_keep_every_version(catalog, add, shown, tmp_path):
    add("a")
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda n: catalog.labels.save("a", b"%d" % n, author=f"r{n}"), range(24)))
    history = catalog.labels.history("a")
    assert [v.version for v in history] == list(range(1, 25))
    assert sorted(v.label_id for v in saved) == [v.label_id for v in history]
    assert {catalog.labels.path(v).read_bytes() for v in saved} == {b"%d" % n for n in range(24)}
    assert shown("a") == {".nii.gz": catalog.labels.path(history[-1]).read_bytes()}
    assert catalog.counts().labelled == {"final": 1}


def _save_many(catalog, who):
    for n in range(10):
        catalog.labels.save("a" if n % 2 else "b", f"{who} {n}".encode(), author=who, client_id=who)


def test_forked_writers_keep_every_version(catalog, add, shown):
    """As a server does that was started before its workers: all inherit the parent's catalog."""
    add("ab")
    assert catalog.counts().total == 2
    writers = [FORK.Process(target=_save_many, args=(catalog, f"w{n}")) for n in range(3)]
    for writer in writers:
        writer.start()
    _save_many(catalog, "parent")
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    for image_id in "ab":
        history = catalog.labels.history(image_id)
        assert [v.version for v in history] == list(range(1, 21))
        assert shown(image_id) == {".nii.gz": catalog.labels.path(history[-1]).read_bytes()}
    assert {s.client_id: s.n_saved for s in catalog.sessions.list()} == {
        "w0": 10,
        "w1": 10,
        "w2": 10,
        "parent": 10,
    }


def test_savers_removers_and_readers_at_once_leave_what_counts_on_show(catalog, add, shown):
    add("a")
    stop = threading.Event()
    seen = []

    def watch():
        while not stop.is_set():
            # Between a listing and a look a remover may come.
            with contextlib.suppress(FileNotFoundError):
                seen.extend(shown("a").values())

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(4) as pool:
        acts = [
            act
            for n in range(12)
            for act in (
                pool.submit(catalog.labels.save, "a", b"label %d" % n),
                pool.submit(catalog.labels.remove, "a", "final"),
            )
        ]
        for act in acts:
            act.result()
    stop.set()
    watcher.join()
    current = catalog.labels.current("a")
    expected = {} if current is None else {".nii.gz": catalog.labels.path(current).read_bytes()}
    assert shown("a") == expected
    assert catalog.counts().waiting == (current is None)
    # Never a half-written file.
    assert set(seen) <= {b"label %d" % n for n in range(12)}
