import threading
from pathlib import Path

import numpy as np
import pytest
from tests.activelearning.scored import write_images

from breastlabel.activelearning import pool_reader
from breastlabel.activelearning.pool_reader import ImageFile, read_ahead
from breastlabel.imaging import Modality, read_image
from breastlabel.imaging.stamps import stamp_of


@pytest.fixture
def files(tmp_path: Path) -> list[ImageFile]:
    return [ImageFile(i, tmp_path / f"{i}.png", Modality.US) for i in write_images(tmp_path, 9)]


def test_each_image_is_read_once_and_comes_in_order(files, monkeypatch):
    read = []
    monkeypatch.setattr(
        pool_reader, "read_image", lambda path, **k: (read.append(path), read_image(path, **k))[1]
    )
    found = list(read_ahead(files, lambda pixels: pixels / 2, ahead=3, readers=2))
    assert [f.file for f in found] == files
    assert sorted(read) == sorted(file.path for file in files)
    for got in found:
        np.testing.assert_array_equal(got.prepared, read_image(got.file.path).pixels / 2)
        assert got.stamp == (got.file.path.stat().st_size, got.file.path.stat().st_mtime_ns)
        assert got.image is None


def test_an_image_is_kept_where_it_is_wanted(files):
    (got,) = read_ahead(files[:1], lambda pixels: pixels, keep_image=True)
    assert got.image.shape == (24, 28)


def test_what_cannot_be_read_is_told_apart_and_stops_nothing(files):
    files[2].path.write_bytes(b"\x89PNG of nothing")
    files[5].path.unlink()
    found = list(read_ahead(files, lambda pixels: pixels, readers=2))
    assert [got.prepared is None for got in found] == [i in (2, 5) for i in range(9)]
    assert found[2].is_damaged
    assert not found[5].is_damaged
    assert found[5].stamp is None


def test_only_so_many_are_read_ahead(files):
    """Where the caller takes none, no more than ``ahead`` are asked of the files."""
    drawn = []

    def stream():
        for file in files:
            drawn.append(file)
            yield file

    reads = read_ahead(stream(), lambda pixels: pixels, ahead=3)
    next(reads)
    assert len(drawn) == 4
    reads.close()
    assert len(drawn) == 4


def test_reading_goes_on_while_the_caller_computes(files):
    """The second image is read before the caller has asked for it."""
    second = threading.Event()
    prepared = iter(range(9))

    def prepare(pixels):
        if next(prepared) == 1:
            second.set()
        return pixels

    reads = read_ahead(files, prepare, ahead=2)
    next(reads)
    assert second.wait(10)
    reads.close()


def test_a_stamp_tells_a_replaced_file(files):
    before = stamp_of(files[0].path)
    files[0].path.write_bytes(files[1].path.read_bytes() + b" ")
    assert stamp_of(files[0].path) != before
    assert stamp_of(files[0].path.with_name("none.png")) is None
