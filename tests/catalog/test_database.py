import gc
import importlib.util
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from breastlabel.catalog import Catalog
from breastlabel.catalog.database import database_url
from breastlabel.errors import MissingDependencyError, StudiesError

FORK = multiprocessing.get_context("fork")


def test_the_address_of_the_environment_goes_before_the_file(tmp_path, monkeypatch):
    monkeypatch.delenv("BREASTLABEL_DATABASE_URL", raising=False)
    assert database_url(tmp_path / "c.sqlite3") == f"sqlite:///{tmp_path / 'c.sqlite3'}"
    monkeypatch.setenv("BREASTLABEL_DATABASE_URL", "postgresql://u@h/d")
    assert database_url(tmp_path / "c.sqlite3") == "postgresql://u@h/d"


def test_another_kind_of_database_is_refused():
    with pytest.raises(StudiesError, match="must be SQLite or PostgreSQL; got 'mysql'"):
        Catalog("mysql://u:secret@h/d")


def test_an_address_that_cannot_be_read_is_not_repeated():
    with pytest.raises(StudiesError, match="correct BREASTLABEL_DATABASE_URL") as error:
        Catalog("secret at host")
    assert "secret" not in str(error.value)


def test_a_missing_driver_names_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'breastlabel\[postgres\]'"):
        Catalog("postgresql://u@h/d")


def test_a_server_that_does_not_answer_is_named_without_the_password():
    pytest.importorskip("psycopg")
    with pytest.raises(StudiesError, match="a reachable PostgreSQL database is required") as error:
        Catalog("postgresql://anna:topsecret@127.0.0.1:1/breast")
    assert "topsecret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert "check that the server runs" in str(error.value)


def test_a_wrong_database_is_named_without_the_password(postgres_url):
    server, _, _ = postgres_url.rpartition("/")
    with pytest.raises(StudiesError, match='database "nowhere" does not exist') as error:
        Catalog(server.replace("postgres@", "postgres:topsecret@") + "/nowhere")
    assert "topsecret" not in str(error.value)


def test_what_postgresql_acknowledges_is_on_its_disk(postgres_url):
    with Catalog(postgres_url) as catalog:
        for _ in range(2):
            with catalog.database.write() as connection:
                connection.exec_driver_sql("SELECT 1")
        with catalog.database.read() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"


def test_a_connection_that_the_server_dropped_is_replaced(postgres_url):
    with Catalog(postgres_url) as catalog, Catalog(postgres_url) as other:
        assert catalog.counts().total == 0
        with other.database.write() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert catalog.counts().total == 0


def test_many_threads_share_a_catalog(catalog, add):
    add(f"i{n}" for n in range(10))
    with ThreadPoolExecutor(24) as pool:
        totals = list(pool.map(lambda _: catalog.counts().total, range(100)))
    assert set(totals) == {10}


def _use_after_fork(catalog, answers):
    # The child must neither speak through the parent's connections nor close them.
    gc.collect()
    answers.put((catalog.counts().total, catalog.has_image("a")))
    catalog.update_image_info("a", {"seen by": os.getpid()})
    catalog.close()
    gc.collect()


def test_a_catalog_survives_a_fork(catalog, add):
    add("ab")
    begun, answers = threading.Event(), FORK.Queue()

    def write():
        with catalog.database.write() as connection:
            connection.exec_driver_sql("UPDATE images SET split = 'val' WHERE image_id = 'b'")
            begun.set()
            time.sleep(0.3)

    # A transaction of the parent is open when the child is to be born, and ends as it should.
    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(30)
    children = [FORK.Process(target=_use_after_fork, args=(catalog, answers)) for _ in range(2)]
    for child in children:
        child.start()
    writer.join()
    for child in children:
        assert answers.get(timeout=60) == (2, True)
        child.join(60)
        assert child.exitcode == 0
    assert catalog.image("b").split == "val"
    assert catalog.image_info("a")["seen by"] in {child.pid for child in children}


def test_a_parent_that_closes_takes_nothing_from_its_child(tmp_path, record):
    """The last connection to an SQLite file removes its write-ahead log; the child's must count."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'c.sqlite3'}")
    catalog.add_images([record("a")])
    with catalog.database.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    ready, closed, written = FORK.Event(), FORK.Event(), FORK.Event()

    def child():
        catalog.update_image_info("a", {"first": 1})
        ready.set()
        assert closed.wait(30)
        catalog.update_image_info("a", {"second": 2})
        written.set()

    process = FORK.Process(target=child)
    process.start()
    assert ready.wait(30)
    catalog.close()
    closed.set()
    assert written.wait(30)
    process.join(30)
    assert catalog.image_info("a") == {"first": 1, "second": 2}


def test_a_failed_write_leaves_nothing(catalog, add):
    add("a")

    def change_and_fail():
        with catalog.database.write() as connection:
            connection.exec_driver_sql("UPDATE images SET split = 'val'")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        change_and_fail()
    assert catalog.image("a").split == "train"
