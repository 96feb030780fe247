import numpy as np
import pytest

from breastlabel.activelearning.pool_cache import ChunkWriter, PoolCache, remove_other_versions

SETTINGS = {"passes": 3}


@pytest.fixture
def cache(tmp_path):
    return PoolCache(tmp_path / "version", SETTINGS)


def arrays(*values):
    values = np.array(values, dtype=np.float32)
    return {"features": np.stack([values, values + 1], axis=1), "mask_scores": values}


def test_what_was_added_is_known_and_loaded(cache):
    cache.add(["a", "b"], [(1, 10), (2, 20)], arrays(1, 2))
    cache.add(["c"], [(3, 30)], arrays(3))
    stamps = {"a": (1, 10), "b": (2, 20), "c": (3, 30), "new": (4, 40)}
    assert cache.known(stamps) == {"a", "b", "c"}
    ids, found = cache.load(["features"], stamps)
    assert dict(zip(ids, found["features"].tolist(), strict=True)) == {"a": [1, 2], "b": [2, 3], "c": [3, 4]}
    assert found.keys() == {"features"}
    assert found["features"].dtype == np.float32


def test_an_image_whose_file_changed_is_not_known(cache):
    cache.add(["a", "b"], [(1, 10), (2, 20)], arrays(1, 2))
    assert cache.known({"a": (1, 11), "b": (2, 20)}) == {"b"}
    assert cache.known({"a": None, "b": (3, 20)}) == set()
    # Nor is one that the pool holds no more.
    assert cache.load(["mask_scores"], {"b": (2, 20)})[0] == ["b"]


def test_the_newest_counts_of_what_was_scored_twice(cache):
    cache.add(["a", "b"], [(1, 10), (2, 20)], arrays(1, 2))
    cache.add(["a"], [(1, 10)], arrays(9))
    ids, found = cache.load(["mask_scores"], {"a": (1, 10), "b": (2, 20)})
    assert dict(zip(ids, found["mask_scores"], strict=True)) == {"a": 9, "b": 2}


def test_other_settings_have_nothing_in_common(cache, tmp_path):
    cache.add(["a"], [(1, 10)], arrays(1))
    assert PoolCache(tmp_path / "version", {"passes": 4}).known({"a": (1, 10)}) == set()
    assert PoolCache(tmp_path / "version", dict(SETTINGS)).known({"a": (1, 10)}) == {"a"}


def test_a_damaged_chunk_costs_its_images_and_nothing_else(cache, caplog):
    cache.add(["a"], [(1, 10)], arrays(1))
    (chunk,) = cache.folder.glob("chunk-*.npz")
    cache.add(["b"], [(2, 20)], arrays(2))
    chunk.write_bytes(chunk.read_bytes()[:40])
    assert cache.known({"a": (1, 10), "b": (2, 20)}) == {"b"}
    assert "scored again" in caplog.text
    assert not chunk.exists()


def test_chunks_hold_no_pickle_and_no_half_files(cache):
    cache.add(["Müller 1"], [(1, 10)], arrays(1))
    (chunk,) = cache.folder.glob("chunk-*")
    with np.load(chunk, allow_pickle=False) as content:
        assert all(content[name].dtype.kind in "fiU" for name in content.files)
    assert {path.suffix for path in cache.folder.iterdir()} == {".npz", ".json"}


def test_a_writer_gathers_and_writes_what_is_left_even_when_it_is_interrupted(cache):
    stamps = {f"{i}": (i, i) for i in range(300)}

    def fill(writer):
        with writer:
            for i in range(300):
                writer.add([f"{i}"], [(i, i)], arrays(i))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(ChunkWriter(cache))
    assert cache.known(stamps) == set(stamps)
    assert len(list(cache.folder.glob("chunk-*"))) == 2


def test_versions_are_removed_but_for_those_that_are_kept(tmp_path):
    for version in ("one", "two", "three"):
        PoolCache(tmp_path / version, SETTINGS).add(["a"], [(1, 10)], arrays(1))
    remove_other_versions(tmp_path, ["two", "three"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three", "two"]
    remove_other_versions(tmp_path / "none", [])
