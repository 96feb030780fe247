"""A catalog with images, on SQLite and on PostgreSQL."""

import pytest

from breastlabel.catalog import Catalog, ImageRecord
from breastlabel.catalog.database import database_url
from breastlabel.imaging import Modality


def make_record(image_id, **changes):
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
def record():
    """Makes a record of an id and what is to be different about it."""
    return make_record


@pytest.fixture
def url(database, tmp_path):
    """The address of an empty database."""
    return database_url(tmp_path / "catalog.sqlite3")


@pytest.fixture
def catalog(url, tmp_path):
    with Catalog(url, studies=tmp_path) as opened:
        yield opened


@pytest.fixture
def add(catalog):
    """Adds images by their ids."""

    def add_images(ids, **changes):
        catalog.add_images(make_record(image_id, **changes) for image_id in ids)

    return add_images
