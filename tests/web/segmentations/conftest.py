"""An app in this process over an exam of two mammograms, an ultrasound still and a PNG."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydicom.dataset import Dataset
from tests.apps import built_app, local_client
from tests.findings.seg_writer import image

from breastlabel.imaging import read_mask
from breastlabel.label.app import BreastLabelApp

SHAPE = (12, 16)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    for name, side in (("right", "R"), ("left", "L")):
        image(ImageLaterality=side, ViewPosition="CC").save_as(
            folder / f"{name}.dcm", write_like_original=False
        )
    scan = image(modality="US", StudyInstanceUID="1.2.276.0.4711.2", SeriesInstanceUID="1.2.276.0.4711.2.1")
    scan.save_as(folder / "scan.dcm", write_like_original=False)
    rng = np.random.default_rng(3)
    Image.fromarray(rng.integers(0, 255, SHAPE, np.uint8)).save(folder / "plain.png")
    return folder


@pytest.fixture
def app(studies: Path, tmp_path: Path) -> Iterator[BreastLabelApp]:
    with built_app(studies, tmp_path / "app") as built:
        yield built


@pytest.fixture
def client(app: BreastLabelApp) -> Iterator[TestClient]:
    """A client on this machine."""
    with local_client(app) as local:
        yield local


@pytest.fixture
def source(app: BreastLabelApp) -> Any:
    """An image as viewers are given it."""

    def source_of(image_id: str) -> Dataset:
        instance = app.catalog.dicom.of_image(image_id)
        assert instance is not None
        return app.archive.dataset(instance.sop_instance_uid)

    return source_of


@pytest.fixture
def mask_of(app: BreastLabelApp) -> Any:
    """The label map that is the image's newest final one."""

    def mask(image_id: str) -> Any:
        version = app.catalog.labels.current(image_id)
        assert version is not None
        return read_mask(app.catalog.labels.path(version))

    return mask
