"""Writers are killed at random instants; nothing acknowledged may be lost, and nothing may be half there."""

import hashlib

import pytest
from benchmarks.crash import run_crash_test
from benchmarks.crash_check import Acknowledged, problems_of

from breastlabel.catalog import LABELS_FOLDER, Catalog

KILLS = {"sqlite": 200, "postgresql": 60}


def test_no_kill_loses_or_halves_a_label(database, tmp_path):
    report = run_crash_test(tmp_path / "studies", kills=KILLS[database], writers=4, seed=20)
    assert report.problems == ()
    assert report.kills >= KILLS[database]
    # Else the writers were killed before they did anything, and nothing was tested.
    assert report.acknowledged > report.kills / 4
    assert report.versions >= report.acknowledged


@pytest.fixture
def saved(tmp_path):
    """A studies folder in which one label was saved, and what its writer was told."""
    studies = tmp_path / "studies"
    studies.mkdir()
    (studies / "a.png").write_bytes(b"never read")
    body = b"a label"
    with Catalog.open(studies) as catalog:
        version = catalog.labels.save("a", body + hashlib.sha256(body).digest())
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
