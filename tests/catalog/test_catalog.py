import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from breastlabel.catalog import CATALOG_FILE, Catalog
from breastlabel.errors import NotFoundError, StudiesError, UnknownNameError


@pytest.fixture
def sqlite_catalog(tmp_path):
    with Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite3'}", studies=tmp_path) as opened:
        yield opened


def test_images_come_back_sorted_and_as_they_were_added(catalog, record):
    records = [record("b", label="benign", metadata={"birads": 3}), record("a", split="test")]
    assert catalog.add_images(records) == 2
    assert catalog.images() == [records[1], records[0]]
    assert catalog.image("b") == records[0]
    assert len(catalog) == 2


def test_images_of_one_split_without_the_excluded(catalog, record):
    catalog.add_images([record("a"), record("b", excluded="contradictory-classes"), record("c", split="val")])
    assert [r.image_id for r in catalog.images(split="train")] == ["a", "b"]
    assert [r.image_id for r in catalog.images(split="train", include_excluded=False)] == ["a"]
    with pytest.raises(UnknownNameError, match="split must be one of test, train, val; got 'training'"):
        catalog.images(split="training")


def test_adding_again_changes_nothing(catalog, record):
    catalog.add_images([record("a", split="train", label="benign")])
    assert catalog.add_images([record("a", split="test", label="malignant"), record("b")]) == 1
    assert catalog.image("a").split == "train"
    assert catalog.image("a").label == "benign"


def test_update_changes_only_what_is_named(catalog, record):
    catalog.add_images([record("a"), record("b")])
    changed = catalog.update_image("a", reviewed=True, label="malignant", metadata={"age": 51})
    assert changed == replace(record("a"), reviewed=True, label="malignant", metadata={"age": 51})
    assert catalog.images() == [changed, record("b")]


def test_updates_are_all_or_nothing(catalog, record):
    catalog.add_images([record("a")])
    with pytest.raises(NotFoundError, match="'b' is not in it"):
        catalog.update_images({"a": {"reviewed": True}, "b": {"reviewed": True}})
    assert not catalog.image("a").reviewed


@pytest.mark.parametrize("field", ["image_id", "colour"])
def test_unknown_fields_are_refused(catalog, field, record):
    catalog.add_images([record("a")])
    with pytest.raises(UnknownNameError, match=f"field of an image must be one of .*; got '{field}'"):
        catalog.update_image("a", **{field: "x"})


def test_an_update_cannot_make_an_invalid_record(catalog, record):
    catalog.add_images([record("a")])
    with pytest.raises(StudiesError, match="label must be one of"):
        catalog.update_image("a", label="cyst")


def test_unknown_image(catalog):
    with pytest.raises(NotFoundError, match="'nobody' is not in it"):
        catalog.image("nobody")


def test_more_images_than_sql_takes_parameters(catalog, record):
    assert catalog.add_images(record(f"i{n:05}") for n in range(2000)) == 2000
    assert catalog.add_images(record(f"i{n:05}") for n in range(2001)) == 1


def test_many_threads_write_at_once(catalog, record):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: catalog.add_images([record(f"i{n}")]), range(40)))
        list(pool.map(lambda n: catalog.update_image(f"i{n}", reviewed=True), range(40)))
    assert sum(r.reviewed for r in catalog.images()) == 40


def test_writes_are_durable_and_do_not_block_readers(sqlite_catalog):
    with sqlite_catalog.database.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_opening_again_takes_milliseconds(tmp_path):
    Catalog.open(tmp_path).close()
    times = []
    for _ in range(5):
        start = time.process_time()
        Catalog.open(tmp_path).close()
        times.append(time.process_time() - start)
    assert min(times) < 0.05


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StudiesError, match=r"there is none at '.*nowhere'; check --studies"):
        Catalog.open(tmp_path / "nowhere")
    assert len(Catalog.open(tmp_path / "nowhere", create=True)) == 0


def test_a_damaged_catalog_is_reported_in_one_line(tmp_path):
    file = tmp_path / CATALOG_FILE
    file.parent.mkdir()
    file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(
        StudiesError, match=r"file is not a database; check .* move a damaged file away"
    ) as error:
        Catalog.open(tmp_path)
    assert "\n" not in str(error.value)


def test_a_file_path_needs_a_studies_folder(tmp_path, record):
    with (
        Catalog(f"sqlite:///{tmp_path / 'c.sqlite3'}") as catalog,
        pytest.raises(StudiesError, match="got none"),
    ):
        catalog.path(record("a"))


def test_a_full_disk_is_reported_and_nothing_is_half_written(sqlite_catalog, record):
    sqlite_catalog.add_images([record("a")])
    with sqlite_catalog.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StudiesError, match=r"database or disk is full; check .* free space"):
        sqlite_catalog.add_images(record(f"i{n}", metadata={"note": "x" * 2000}) for n in range(50))
    assert [r.image_id for r in sqlite_catalog.images()] == ["a"]


def test_counts_follow_every_change(catalog, add):
    add("abc")
    add("de", reviewed=True)
    assert (catalog.counts().total, catalog.counts().waiting) == (5, 3)
    add("abc")
    catalog.update_images(
        {"a": {"reviewed": True}, "b": {"excluded": "unreadable"}, "c": {"label": "benign"}}
    )
    assert (catalog.counts().total, catalog.counts().waiting) == (5, 1)
    catalog.update_images({"a": {"reviewed": False}, "b": {"excluded": None}})
    assert (catalog.counts().total, catalog.counts().waiting) == (5, 3)


def test_counts_are_right_after_many_threads(catalog, add):
    add(f"i{n:02}" for n in range(24))

    def change(n):
        catalog.update_image(f"i{n:02}", excluded="unreadable")
        catalog.labels.save(f"i{n:02}", b"x")
        catalog.update_image(f"i{n:02}", excluded=None)
        if n % 2:
            catalog.labels.remove(f"i{n:02}", "final")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(change, range(24)))
    assert catalog.counts().waiting == sum(not r.reviewed for r in catalog.images()) == 12
    assert catalog.counts().labelled == {"final": 12}


def test_what_clients_note_on_an_image_is_added_to(catalog, add):
    add("a")
    assert catalog.image_info("a") == {}
    catalog.update_image_info("a", {"logs": "ok", "strategy": {"random": 1}})
    catalog.update_image_info("a", {"logs": "seen", "ratio": float("inf")})
    assert catalog.image_info("a") == {"logs": "seen", "strategy": {"random": 1}, "ratio": None}
    for call in (catalog.image_info, lambda i: catalog.update_image_info(i, {})):
        with pytest.raises(NotFoundError, match="'nobody' is not in it"):
            call("nobody")


def test_an_excluded_image_says_why(catalog, add):
    add("a")
    assert catalog.exclude("a", "unreadable", author="anna").excluded == "unreadable"
    assert catalog.counts().waiting == 0
    (entry,) = catalog.audit.entries("a")
    assert (entry.action, entry.author, entry.details) == ("image.exclude", "anna", {"reason": "unreadable"})
    with pytest.raises(NotFoundError):
        catalog.exclude("nobody", "unreadable")


def test_an_image_is_there_or_not(catalog, add):
    add("a")
    assert catalog.has_image("a")
    assert not catalog.has_image("b")


def test_the_salt_is_made_once(catalog):
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: catalog.salt(), range(8)))) == 1


def test_a_remembered_fact_can_change(catalog):
    assert catalog.state("folder_seen") is None
    for value in ("1", "2"):
        catalog.set_state("folder_seen", value)
        assert catalog.state("folder_seen") == value
