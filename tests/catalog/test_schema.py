import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from breastlabel.catalog import Catalog
from breastlabel.catalog.schema import _MIGRATIONS, HEAD
from breastlabel.catalog.tables import schema
from breastlabel.errors import StudiesError


def test_head_is_the_newest_migration():
    assert ScriptDirectory(str(_MIGRATIONS)).get_heads() == [HEAD]


def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path):
    url = f"sqlite:///{tmp_path / 'c.sqlite3'}"
    Catalog(url).close()
    with create_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema) == []


def test_a_catalog_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path / 'c.sqlite3'}"
    Catalog(url).close()
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StudiesError, match="this one is at '9999'"):
        Catalog(url)
    with create_engine(url).connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_a_catalog_at_head_opens_without_alembic(tmp_path):
    url = f"sqlite:///{tmp_path / 'c.sqlite3'}"
    Catalog(url).close()
    code = (
        "import sys; from breastlabel.catalog import Catalog; "
        f"Catalog({url!r}); sys.exit('alembic' in sys.modules or 'monailabel' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
