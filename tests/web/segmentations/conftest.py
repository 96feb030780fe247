"""An app in this process over an exam of two mammograms, an ultrasound still and a PNG."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydicom.dataset import Dataset
from tests.findings.seg_writer import image

from breastlabel.imaging import read_mask
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.server import build_server

APP = Path(__file__).parents[3] / "apps" / "breast"
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
def app(studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BreastLabelApp]:
    from monailabel.config import settings

    monkeypatch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(tmp_path / "sessions"))
    folder = tmp_path / "app"
    folder.mkdir()
    shutil.copy(APP / "main.py", folder)
    built = BreastLabelApp(str(folder), str(studies), {})
    yield built
    built.close()


@pytest.fixture
def client(app: BreastLabelApp) -> Iterator[TestClient]:
    """A client on this machine."""
    server = build_server(app)
    with TestClient(
        server, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000), raise_server_exceptions=False
    ) as local:
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
