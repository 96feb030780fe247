import subprocess
import sys
import time
from datetime import date

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from breastlabel.catalog import Catalog, Exam, First, RandomOrder
from breastlabel.catalog.database import _create_engine, _parse
from breastlabel.catalog.schema import _MIGRATIONS, HEAD
from breastlabel.catalog.tables import schema
from breastlabel.errors import StudiesError


@pytest.fixture
def engine(url):
    """Connections to the database, whose tables nobody has made yet."""
    made = _create_engine(_parse(url))
    yield made
    made.dispose()


@pytest.fixture
def migrate(engine):
    """Brings the database to a revision, forward or back."""

    def run(revision, direction=command.upgrade):
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with engine.connect().execution_options(breastlabel_write=True) as connection, connection.begin():
            config.attributes["connection"] = connection
            direction(config, revision)

    return run


def insert_old(engine, rows):
    names = (
        "image_id, file, dataset, modality, patient_key, study_key, group_key, reviewed, excluded, metadata"
    )
    values = ", ".join(f":{name}" for name in names.split(", "))
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO images ({names}) VALUES ({values})"), rows)


def old_row(image_id, *, study_key=None, reviewed=False, excluded=None, metadata="{}", patient="p1"):
    return {
        "image_id": image_id,
        "file": f"{image_id}.png",
        "dataset": "busi",
        "modality": "US",
        "patient_key": patient,
        "study_key": study_key,
        "group_key": patient,
        "reviewed": reviewed,
        "excluded": excluded,
        "metadata": metadata,
    }


def test_head_is_the_newest_migration():
    assert ScriptDirectory(str(_MIGRATIONS)).get_heads() == [HEAD]


def test_the_migrations_make_the_tables_that_the_code_uses(url, engine):
    Catalog(url).close()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema) == []


def test_a_catalog_of_the_first_version_is_upgraded_with_what_it_holds(url, engine, migrate, tmp_path):
    migrate("0001")
    insert_old(
        engine,
        [
            old_row("a", study_key="s1", metadata='{"acquired": "2021-05-04", "birads": 3}'),
            old_row("b", reviewed=True, metadata='{"acquired": "2020-01-02"}'),
            old_row("c", excluded="file-missing"),
            old_row("d", patient="p2", metadata='{"acquired": "unknown"}'),
        ],
    )
    with Catalog(url, studies=tmp_path) as catalog:
        counts = catalog.counts()
        assert (counts.total, counts.waiting, counts.labelled) == (4, 2, {})
        assert [p.patient_key for p in catalog.patients()] == ["p1", "p2"]
        assert catalog.exams("p1") == [
            Exam("p1@2020-01-02", "p1", date(2020, 1, 2), {}),
            Exam("s1", "p1", date(2021, 5, 4), {}),
        ]
        assert catalog.image("a").metadata == {"acquired": "2021-05-04", "birads": 3}
        assert catalog.image_info("a") == {}
        offered = [catalog.leases.acquire("anna", RandomOrder(), strategy="random").image_id for _ in "ad"]
        assert sorted(offered) == ["a", "d"]
        with catalog.database.read() as connection:
            keys = connection.scalars(text("SELECT random_key FROM images")).all()
        assert len(set(keys)) == 4
        assert all(0 <= key < 1 for key in keys)
        catalog.labels.save("a", b"x", client_id="anna")
        assert catalog.counts().waiting == 1


def test_a_migration_can_be_taken_back(url, engine, migrate, tmp_path, record):
    with Catalog(url, studies=tmp_path) as catalog:
        catalog.add_images([record("a")])
        catalog.labels.save("a", b"x")
    migrate("0001", command.downgrade)
    migrate("head")
    with Catalog(url, studies=tmp_path) as catalog:
        assert catalog.image("a").reviewed
        assert catalog.counts().total == 1
        assert catalog.leases.acquire("anna", First(), strategy="first") is None


@pytest.mark.slow
def test_fifty_thousand_images_are_upgraded_in_seconds(url, engine, migrate):
    migrate("0001")
    insert_old(
        engine, [old_row(f"i{n:05}", study_key=f"s{n // 4}", patient=f"p{n // 8}") for n in range(50_000)]
    )
    start = time.perf_counter()
    with Catalog(url) as catalog:
        assert time.perf_counter() - start < 60
        assert catalog.counts().waiting == 50_000
        assert len(catalog.exams("p0")) == 2


def test_a_catalog_of_a_newer_version_is_refused_and_left_alone(url, engine):
    Catalog(url).close()
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StudiesError, match="this one is at '9999'"):
        Catalog(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_servers_that_open_an_empty_database_at_once_make_one_catalog(url):
    code = f"from breastlabel.catalog import Catalog; Catalog({url!r}).close()"
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with Catalog(url) as catalog:
        assert catalog.counts().total == 0


def test_a_catalog_at_head_opens_without_alembic(tmp_path):
    url = f"sqlite:///{tmp_path / 'c.sqlite3'}"
    Catalog(url).close()
    code = (
        "import sys; from breastlabel.catalog import Catalog; "
        f"Catalog({url!r}); sys.exit('alembic' in sys.modules or 'monailabel' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
