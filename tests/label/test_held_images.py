from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Modality
from breastlabel.label import held_images
from breastlabel.label.held_images import HeldImages
from breastlabel.transforms import preparation_from_config

PREPARATION = preparation_from_config({"name": "ultrasound", "size": (16, 16)})


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that are read."""
    names = []
    read = held_images.read_image

    def noted(path, **options):
        names.append(path.name)
        return read(path, **options)

    monkeypatch.setattr(held_images, "read_image", noted)
    return names


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (20, 30), np.uint8)).save(path)
    return paths


def test_a_file_is_read_once(files, reads):
    images = HeldImages()
    first = images.read(files[0], Modality.MG)
    assert images.read(files[0], Modality.MG) is first
    assert reads == ["a.png"]
    # As another modality it is another image.
    assert images.read(files[0], Modality.US).modality is Modality.US
    assert reads == ["a.png"] * 2


def test_a_file_that_changed_is_read_again(files, reads):
    images = HeldImages()
    first = images.read(files[0], Modality.MG)
    files[0].write_bytes(files[1].read_bytes())
    os.utime(files[0], ns=(1, 1))
    assert not np.array_equal(images.read(files[0], Modality.MG).pixels, first.pixels)
    assert reads == ["a.png"] * 2


def test_what_was_asked_for_longest_ago_is_let_go(files, reads):
    of_one = 20 * 30 * 4
    images = HeldImages(limit=2 * of_one)
    a, b, c = files
    for path in (a, b, a, c, a, b):
        images.read(path, Modality.MG)
    assert reads == ["a.png", "b.png", "c.png", "b.png"]


def test_an_image_larger_than_the_limit_is_not_held(files, reads):
    images = HeldImages(limit=100)
    assert images.read(files[0], Modality.MG).shape == (20, 30)
    images.read(files[0], Modality.MG)
    assert reads == ["a.png"] * 2


def test_a_held_image_is_prepared_once_by_each_preparation(files):
    images = HeldImages()
    image = images.read(files[0], Modality.US)
    prepared = images.prepare(PREPARATION, image)
    assert np.array_equal(prepared.image, PREPARATION(image.pixels).image)
    assert images.prepare(PREPARATION, image) is prepared
    other = preparation_from_config({"name": "ultrasound", "size": (8, 8)})
    assert images.prepare(other, image).image.shape == (8, 8)


def test_an_image_from_elsewhere_is_prepared_each_time(files):
    image = HeldImages().read(files[0], Modality.US)
    images = HeldImages()
    assert images.prepare(PREPARATION, image) is not images.prepare(PREPARATION, image)


def test_what_is_held_cannot_be_changed(files):
    images = HeldImages()
    image = images.read(files[0], Modality.US)
    for array in (image.pixels, images.prepare(PREPARATION, image).image):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_nothing_is_held_of_a_file_that_cannot_be_read(files):
    files[0].write_bytes(b"not a picture")
    images = HeldImages()
    for _ in range(2):
        with pytest.raises(InvalidImageError):
            images.read(files[0], Modality.MG)
