"""Label files and label versions are brought into line, whoever or whatever parted them."""

import errno
import os
import shutil
import time
from datetime import UTC, datetime

import pytest

from breastlabel.catalog import LABELS_FOLDER, VERSIONS_FOLDER, Catalog
from breastlabel.catalog.orphans import remove_orphans
from breastlabel.catalog.reconcile import Reconciled, reconcile, reconcile_labels

LONG_AGO = 1_600_000_000


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.png").write_bytes(b"never read")
    return folder


@pytest.fixture
def catalog(studies, database):
    with Catalog.open(studies) as opened:
        yield opened


def put(studies, name, content=b"drawn", *, tag="final"):
    """A label file as other software writes it."""
    path = studies / "labels" / tag / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def shown(studies, image_id, tag="final"):
    return {p.name: p.read_bytes() for p in (studies / "labels" / tag).glob(f"{image_id}.*")}


def told(catalog, image_id):
    return [(v.tag, v.state, catalog.labels.path(v).read_bytes()) for v in catalog.labels.history(image_id)]


def test_a_label_that_was_put_there_becomes_a_version_without_author(catalog, studies):
    file = put(studies, "a.nrrd")
    os.utime(file, (LONG_AGO, LONG_AGO))
    assert reconcile(catalog) == Reconciled(adopted=1)
    version = catalog.labels.current("a")
    assert (version.version, version.tag, version.state, version.author) == (1, "final", "final", None)
    assert version.info == {"source": "folder"}
    assert version.created_at == datetime.fromtimestamp(LONG_AGO, UTC)
    assert catalog.labels.path(version) != file
    assert catalog.image("a").reviewed
    assert catalog.counts().labelled == {"final": 1}
    assert catalog.counts().waiting == 2
    assert shown(studies, "a") == {"a.nrrd": b"drawn"}
    assert [e.action for e in catalog.audit.entries("a")] == ["label.import"]
    assert reconcile(catalog, full=True) == Reconciled()


def test_an_edit_in_place_becomes_a_version_and_the_earlier_one_stays(catalog, studies):
    catalog.labels.save("a", b"first", author="dr-a")
    reconcile(catalog)
    put(studies, "a.nii.gz", b"edited")
    assert reconcile(catalog) == Reconciled(adopted=1)
    assert told(catalog, "a") == [("final", "final", b"first"), ("final", "final", b"edited")]
    assert [v.author for v in catalog.labels.history("a")] == ["dr-a", None]
    assert reconcile(catalog, full=True) == Reconciled()


def test_a_label_that_a_full_disk_kept_from_being_shown_is_not_taken_for_a_removed_one(
    catalog, studies, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("pathlib.Path.write_bytes", full)
        saved = catalog.labels.save("a", b"first")
        assert reconcile(catalog) == Reconciled(failed=(saved.label_id,))
    assert reconcile(catalog) == Reconciled(projected=1)
    assert catalog.labels.current("a") == saved
    assert shown(studies, "a") == {"a.nii.gz": b"first"}


def test_a_projection_that_a_kill_prevented_is_made(catalog, studies):
    reconcile(catalog)
    catalog.labels.save("a", b"saved")
    (studies / LABELS_FOLDER / "a.nii.gz").unlink()
    assert reconcile(catalog) == Reconciled(projected=1)
    assert shown(studies, "a") == {"a.nii.gz": b"saved"}
    assert catalog.labels.current("a").version == 1


def test_an_older_projection_is_replaced(catalog, studies):
    first = catalog.labels.save("a", b"first")
    catalog.labels.save("a", b"second")
    shutil.copy2(catalog.labels.path(first), studies / LABELS_FOLDER / "a.nii.gz")
    assert reconcile(catalog) == Reconciled(projected=1)
    assert shown(studies, "a") == {"a.nii.gz": b"second"}
    assert len(catalog.labels.history("a")) == 2


@pytest.mark.parametrize("left", [b"", b"\0\0\0\0\0", b"sav"])
def test_what_a_power_cut_left_of_a_projection_is_replaced(catalog, studies, left):
    version = catalog.labels.save("a", b"saved")
    file = studies / LABELS_FOLDER / "a.nii.gz"
    stamp = catalog.labels.path(version).stat().st_mtime_ns
    file.write_bytes(left)
    os.utime(file, ns=(stamp, stamp))
    if left == b"\0\0\0\0\0":
        # Size and time stamp are right, so only a look at the content tells.
        reconcile_labels(catalog, [("a", "final")])
    else:
        reconcile(catalog)
    assert shown(studies, "a") == {"a.nii.gz": b"saved"}
    assert len(catalog.labels.history("a")) == 1


def test_a_label_that_was_taken_away_no_longer_counts(catalog, studies):
    put(studies, "a.nrrd")
    put(studies, "b.nrrd")
    reconcile(catalog)
    assert reconcile(catalog) == Reconciled()
    (studies / LABELS_FOLDER / "a.nrrd").unlink()
    assert reconcile(catalog) == Reconciled(removed=1)
    assert catalog.labels.current("a") is None
    assert told(catalog, "a") == [("final", "rejected", b"drawn")]
    assert [catalog.image(i).reviewed for i in "ab"] == [False, True]
    put(studies, "a.nrrd")
    assert reconcile(catalog) == Reconciled(adopted=1)
    assert told(catalog, "a") == [("final", "final", b"drawn")], "the same content is no new reading"


def test_a_tag_whose_folder_is_gone_is_shown_again(catalog, studies):
    catalog.labels.save("a", b"saved")
    reconcile(catalog)
    shutil.rmtree(studies / "labels")
    assert reconcile(catalog) == Reconciled(projected=1)
    assert shown(studies, "a") == {"a.nii.gz": b"saved"}


def test_of_two_files_of_one_label_the_newer_counts(catalog, studies):
    os.utime(put(studies, "a.nii.gz", b"older"), (LONG_AGO, LONG_AGO))
    os.utime(put(studies, "a.nrrd", b"newer"), (LONG_AGO + 60, LONG_AGO + 60))
    assert reconcile(catalog) == Reconciled(adopted=2)
    assert [content for _, _, content in told(catalog, "a")] == [b"older", b"newer"]
    reconcile(catalog, full=True)
    assert shown(studies, "a") == {"a.nrrd": b"newer"}


def test_tags_are_kept_apart(catalog, studies):
    put(studies, "a.nrrd", b"proposed", tag="original")
    put(studies, "a.nrrd", b"in work", tag="draft")
    put(studies, "a.nrrd", b"no tag", tag="not a tag")
    put(studies, "nobody.nrrd", b"of no image")
    assert reconcile(catalog) == Reconciled(adopted=2)
    assert sorted(told(catalog, "a")) == [("draft", "draft", b"in work"), ("original", "final", b"proposed")]
    assert not catalog.image("a").reviewed
    assert catalog.counts().labelled == {"draft": 1, "original": 1}


def test_an_unchanged_label_is_not_looked_at_again(catalog, studies, monkeypatch):
    catalog.labels.save("a", b"saved")
    put(studies, "b.nrrd")
    reconcile(catalog)
    monkeypatch.setattr(catalog.labels, "history", lambda _: pytest.fail("looked at again"))
    assert reconcile(catalog) == Reconciled()
    assert reconcile(catalog, full=True) == Reconciled()


def test_a_version_whose_file_is_gone_is_reported_and_kept(catalog, studies, caplog):
    version = catalog.labels.save("a", b"saved")
    catalog.labels.path(version).unlink()
    assert reconcile(catalog, full=True).missing == (version.label_id,)
    assert "1 label versions are gone" in caplog.text
    assert catalog.labels.current("a") == version
    assert shown(studies, "a") == {"a.nii.gz": b"saved"}


def test_orphans_of_a_kill_are_removed_when_they_are_old(catalog, studies):
    catalog.labels.save("a", b"saved")
    folder = studies / VERSIONS_FOLDER / "a"
    orphans = [folder / f"final-{'0' * 32}.nii.gz", folder / ".x.part", studies / LABELS_FOLDER / ".y.part"]
    others = [
        folder / "1700000000000000000-final.nrrd",
        folder / "notes.txt",
        studies / LABELS_FOLDER / ".hid",
    ]
    for path in (*orphans, *others):
        path.write_bytes(b"x")
    assert remove_orphans(catalog) == 0
    time.sleep(0.02)
    assert remove_orphans(catalog, older_than=0.01) == 3
    assert [p.exists() for p in (*orphans, *others)] == [False] * 3 + [True] * 3
    assert told(catalog, "a") == [("final", "final", b"saved")]


def test_an_event_about_a_label_that_is_just_being_saved_takes_nothing_away(catalog, studies):
    catalog.labels.save("a", b"saved")
    (studies / LABELS_FOLDER / "a.nii.gz").unlink()
    assert reconcile_labels(catalog, [("a", "final")]) == Reconciled(projected=1)


def test_an_event_about_a_label_that_is_gone_takes_it_away(catalog, studies):
    os.utime(put(studies, "a.nrrd"), (LONG_AGO, LONG_AGO))
    reconcile(catalog)
    (studies / LABELS_FOLDER / "a.nrrd").unlink()
    assert reconcile_labels(catalog, [("a", "final"), ("nobody", "final")]) == Reconciled(removed=1)
    assert not catalog.image("a").reviewed


def test_a_file_that_nobody_may_read_does_not_close_the_folder(catalog, studies, caplog):
    put(studies, "b.nrrd")
    (studies / LABELS_FOLDER / "a.nrrd").mkdir()
    assert reconcile(catalog) == Reconciled(adopted=1)
    assert catalog.labels.ids() == ["b"]
