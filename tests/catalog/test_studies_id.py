import subprocess
import sys

import pytest

from breastlabel.catalog import CATALOG_FILE, Catalog
from breastlabel.catalog.studies_id import STUDIES_ID_FILE
from breastlabel.errors import StudiesError


def test_a_folder_and_its_database_stay_together(database, tmp_path):
    folder = tmp_path / "studies"
    Catalog.open(folder, create=True).close()
    known = (folder / STUDIES_ID_FILE).read_text()
    Catalog.open(folder).close()
    moved = folder.rename(tmp_path / "moved")
    Catalog.open(moved).close()
    assert (moved / STUDIES_ID_FILE).read_text() == known


def test_a_database_serves_one_folder(postgres_url, monkeypatch, tmp_path):
    monkeypatch.setenv("BREASTLABEL_DATABASE_URL", postgres_url)
    Catalog.open(tmp_path / "one", create=True).close()
    with pytest.raises(
        StudiesError, match="this one serves another than 'two'; set BREASTLABEL_DATABASE_URL"
    ):
        Catalog.open(tmp_path / "two", create=True)
    Catalog.open(tmp_path / "one").close()


def test_a_lost_id_is_written_again_beside_its_own_database(tmp_path, monkeypatch):
    monkeypatch.delenv("BREASTLABEL_DATABASE_URL", raising=False)
    Catalog.open(tmp_path).close()
    known = (tmp_path / STUDIES_ID_FILE).read_text()
    (tmp_path / STUDIES_ID_FILE).unlink()
    Catalog.open(tmp_path).close()
    assert (tmp_path / STUDIES_ID_FILE).read_text() == known


def test_a_lost_database_is_made_again(tmp_path, monkeypatch):
    monkeypatch.delenv("BREASTLABEL_DATABASE_URL", raising=False)
    Catalog.open(tmp_path).close()
    for file in (tmp_path / CATALOG_FILE).parent.glob("catalog.sqlite3*"):
        file.unlink()
    with Catalog.open(tmp_path) as catalog:
        assert catalog.counts().total == 0


def test_two_servers_that_open_a_new_folder_at_once_agree(database, tmp_path):
    code = f"from breastlabel.catalog import Catalog; Catalog.open({str(tmp_path)!r}).close()"
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with Catalog.open(tmp_path) as catalog:
        assert catalog.state("studies_id") == (tmp_path / STUDIES_ID_FILE).read_text().strip()
