"""An app in this process, over a few images, with a model that answers from the pixels alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.apps import built_app, local_client

from breastlabel.imaging import read_image, write_mask
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.infer import result_file

APP = Path(__file__).parents[2] / "apps" / "breast"


class FakeModel:
    """An inference task that paints the bright half, and can be made to wait."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def info(self) -> dict[str, Any]:
        return {"type": "segmentation", "labels": {"benign": 1, "malignant": 2}, "config": {}}

    def is_valid(self) -> bool:
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        self.asked.append(request)
        self.entered.set()
        assert self.go_on.wait(30)
        image = read_image(request["image"])
        with result_file(".nrrd") as path:
            mask = (image.pixels > np.median(image.pixels)).astype(np.uint8)
            write_mask(path, mask, geometry=image.geometry)
        return str(path), {"label_names": {"benign": 1, "malignant": 2}}


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Three small PNG images: a, b, c."""
    folder = tmp_path / "studies"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for name in "abc":
        Image.fromarray(rng.integers(0, 255, (12, 16), np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def app(studies: Path, tmp_path: Path, model: FakeModel) -> Iterator[BreastLabelApp]:
    with built_app(studies, tmp_path / "app") as built:
        built._infers["ultrasound"] = model
        yield built


@pytest.fixture
def client(app: BreastLabelApp) -> Iterator[TestClient]:
    """A client on this machine."""
    with local_client(app) as local:
        yield local
