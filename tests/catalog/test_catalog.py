import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from breastlabel.catalog import CATALOG_FILE, Catalog, ImageRecord
from breastlabel.errors import NotFoundError, StudiesError, UnknownNameError
from breastlabel.imaging import Modality


def record(image_id, **changes):
    values = {
        "file": f"{image_id}.png",
        "dataset": "busi",
        "modality": Modality.US,
        "patient_key": f"p-{image_id}",
        "group": f"g-{image_id}",
        "split": "train",
    }
    return ImageRecord(image_id=image_id, **(values | changes))


@pytest.fixture
def catalog(tmp_path):
    with Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite3'}", studies=tmp_path) as opened:
        yield opened


def test_images_come_back_sorted_and_as_they_were_added(catalog):
    records = [record("b", label="benign", metadata={"birads": 3}), record("a", split="test")]
    assert catalog.add_images(records) == 2
    assert catalog.images() == [records[1], records[0]]
    assert catalog.image("b") == records[0]
    assert len(catalog) == 2


def test_images_of_one_split_without_the_excluded(catalog):
    catalog.add_images([record("a"), record("b", excluded="contradictory-classes"), record("c", split="val")])
    assert [r.image_id for r in catalog.images(split="train")] == ["a", "b"]
    assert [r.image_id for r in catalog.images(split="train", include_excluded=False)] == ["a"]
    with pytest.raises(UnknownNameError, match="split must be one of test, train, val; got 'training'"):
        catalog.images(split="training")


def test_adding_again_changes_nothing(catalog):
    catalog.add_images([record("a", split="train", label="benign")])
    assert catalog.add_images([record("a", split="test", label="malignant"), record("b")]) == 1
    assert catalog.image("a").split == "train"
    assert catalog.image("a").label == "benign"


def test_update_changes_only_what_is_named(catalog):
    catalog.add_images([record("a"), record("b")])
    changed = catalog.update_image("a", reviewed=True, label="malignant", metadata={"age": 51})
    assert changed == replace(record("a"), reviewed=True, label="malignant", metadata={"age": 51})
    assert catalog.images() == [changed, record("b")]


def test_updates_are_all_or_nothing(catalog):
    catalog.add_images([record("a")])
    with pytest.raises(NotFoundError, match="'b' is not in it"):
        catalog.update_images({"a": {"reviewed": True}, "b": {"reviewed": True}})
    assert not catalog.image("a").reviewed


@pytest.mark.parametrize("field", ["image_id", "colour"])
def test_unknown_fields_are_refused(catalog, field):
    catalog.add_images([record("a")])
    with pytest.raises(UnknownNameError, match=f"field of an image must be one of .*; got '{field}'"):
        catalog.update_image("a", **{field: "x"})


def test_an_update_cannot_make_an_invalid_record(catalog):
    catalog.add_images([record("a")])
    with pytest.raises(StudiesError, match="label must be one of"):
        catalog.update_image("a", label="cyst")


def test_unknown_image(catalog):
    with pytest.raises(NotFoundError, match="'nobody' is not in it"):
        catalog.image("nobody")


def test_more_images_than_sql_takes_parameters(catalog):
    assert catalog.add_images(record(f"i{n:05}") for n in range(2000)) == 2000
    assert catalog.add_images(record(f"i{n:05}") for n in range(2001)) == 1


def test_many_threads_write_at_once(catalog):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: catalog.add_images([record(f"i{n}")]), range(40)))
        list(pool.map(lambda n: catalog.update_image(f"i{n}", reviewed=True), range(40)))
    assert sum(r.reviewed for r in catalog.images()) == 40


def test_two_processes_open_a_new_folder_at_once(tmp_path):
    code = f"from breastlabel.catalog import Catalog; Catalog.open({str(tmp_path)!r}).add_images([])"
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    for process in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


def test_writes_are_durable_and_do_not_block_readers(catalog):
    with catalog.database.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_opening_again_takes_milliseconds(tmp_path):
    Catalog.open(tmp_path).close()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        Catalog.open(tmp_path).close()
        times.append(time.perf_counter() - start)
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


def test_a_file_path_needs_a_studies_folder(tmp_path):
    with (
        Catalog(f"sqlite:///{tmp_path / 'c.sqlite3'}") as catalog,
        pytest.raises(StudiesError, match="got none"),
    ):
        catalog.path(record("a"))


def test_a_full_disk_is_reported_and_nothing_is_half_written(catalog):
    catalog.add_images([record("a")])
    with catalog.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StudiesError, match=r"database or disk is full; check .* free space"):
        catalog.add_images(record(f"i{n}", metadata={"note": "x" * 2000}) for n in range(50))
    assert [r.image_id for r in catalog.images()] == ["a"]
