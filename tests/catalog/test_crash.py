"""Writers are killed at random instants; nothing acknowledged may be lost, and nothing may be half there."""

import hashlib
import os
import posix
import signal
import sys

import pytest
from benchmarks.crash import run_crash_test
from benchmarks.crash_check import Acknowledged, problems_of

from breastlabel.catalog import LABELS_FOLDER, Catalog

KILLS = {"sqlite": 200, "postgresql": 40}
#: Functions through which a save changes the disk or the database.
STEPS = {"open", "write", "flush", "fsync", "replace", "unlink", "utime", "mkdir", "execute", "commit"}


def test_no_kill_loses_or_halves_a_label(database, tmp_path):
    report = run_crash_test(tmp_path / "studies", kills=KILLS[database], writers=4, seed=20)
    assert report.problems == ()
    assert report.kills >= KILLS[database]
    # Else the writers were killed before they did anything, and nothing was tested.
    assert report.acknowledged > report.kills / 4
    assert report.versions >= report.acknowledged


def label(text):
    """A label whose last bytes are its digest, so that half of it is told from all of it."""
    return text + hashlib.sha256(text).digest()


def die_before(step):
    """Kill this process when it is about to take its so-manieth step towards the disk."""
    taken = 0

    def count(_frame, event, function):
        nonlocal taken
        if event != "c_call" or function.__name__ not in STEPS:
            return
        # Not those of text and of dates, which have some of these names too.
        if function.__self__ is posix or type(function.__self__).__module__ in ("sqlite3", "_io"):
            taken += 1
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def save_in_a_child(catalog, data, *, step):
    """Whether a process that saves a label lives to acknowledge it."""
    pid = os.fork()
    if pid == 0:
        try:
            die_before(step)
            catalog.labels.save("a", data, client_id="reader")
            sys.setprofile(None)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def test_a_kill_before_any_step_of_a_save_leaves_the_old_or_the_new_label(tmp_path):
    studies = tmp_path / "studies"
    studies.mkdir()
    (studies / "a.png").write_bytes(b"never read")
    versions = []
    with Catalog.open(studies) as catalog:
        catalog.labels.save("a", label(b"first"))
    for step in range(1, 100):
        catalog.close()
        acknowledged = save_in_a_child(catalog, label(b"step %d" % step), step=step)
        n, problems = problems_of(studies, [])
        assert problems == []
        versions.append(n)
        if acknowledged:
            break
    # Killed early, the save never was; late, it was, though nobody was told.
    before, after = versions.count(1), len(versions) - versions.count(1)
    assert before > 3
    assert after > 1
    assert acknowledged


@pytest.fixture
def saved(tmp_path):
    """A studies folder in which one label was saved, and what its writer was told."""
    studies = tmp_path / "studies"
    studies.mkdir()
    (studies / "a.png").write_bytes(b"never read")
    with Catalog.open(studies) as catalog:
        version = catalog.labels.save("a", label(b"a label"))
    return studies, Acknowledged("a", 1, version.sha256)


def test_the_check_is_content_with_a_whole_folder(saved):
    studies, told = saved
    assert problems_of(studies, [told]) == (1, [])


def test_the_check_finds_a_lost_label(saved):
    studies, told = saved
    _, problems = problems_of(studies, [told, Acknowledged("a", 2, "0" * 64)])
    assert len(problems) == 1
    assert "lost" in problems[0]


def test_the_check_finds_half_a_file(saved):
    studies, told = saved
    (studies / LABELS_FOLDER / "a.nii.gz").write_bytes(b"half")
    _, problems = problems_of(studies, [told])
    assert "half a file: a.nii.gz" in problems


def test_the_check_finds_a_version_that_changed(saved):
    studies, told = saved
    with Catalog.open(studies) as catalog:
        catalog.labels.path(catalog.labels.get("a", 1)).write_bytes(b"something else")
    _, problems = problems_of(studies, [told])
    assert "not as recorded: a version 1" in problems


def test_the_check_finds_a_wrong_count(saved):
    studies, told = saved
    with Catalog.open(studies) as catalog, catalog.database.write() as connection:
        connection.exec_driver_sql("UPDATE counts SET value = value + 1 WHERE name = 'labelled:final'")
    assert problems_of(studies, [told])[1] == ["count labelled:final is 2 where there are 1"]
