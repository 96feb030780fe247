"""An app in this process over phantoms: mammography with and without a prior, and ultrasound."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from tests.apps import built_app, local_client

from breastlabel.catalog import Catalog
from breastlabel.datasets.phantoms import write_mammogram_phantoms, write_phantom_studies
from breastlabel.imaging import Geometry, write_mask
from breastlabel.label.app import BreastLabelApp

MG, US = "phantom-mg-7-0001", "phantom-7-0001-a"


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patient 0 with a prior and patient 1 without (mammography), and two ultrasound images; no labels."""
    folder = tmp_path_factory.mktemp("phantoms") / "studies"
    write_mammogram_phantoms(folder, exams=1, seed=7, shape=(128, 96), priors=1.0, labelled=0.0)
    write_mammogram_phantoms(folder, exams=1, seed=8, shape=(128, 96), priors=0.0, labelled=0.0)
    write_phantom_studies(folder, exams=2, seed=7, images_per_exam=1, shape=(96, 120), labelled=0.0)
    return folder


@pytest.fixture
def studies(phantoms: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantoms, tmp_path / "studies"))


@pytest.fixture
def build(studies: Path, tmp_path: Path) -> Iterator[Callable[..., BreastLabelApp]]:
    """Builds the app with some ``--conf``."""
    with ExitStack() as open_apps:
        numbers = itertools.count()
        yield lambda **conf: open_apps.enter_context(
            built_app(studies, tmp_path / f"app-{next(numbers)}", **conf)
        )


@pytest.fixture
def app(build: Callable[..., BreastLabelApp]) -> BreastLabelApp:
    return build()


@pytest.fixture
def client(app: BreastLabelApp) -> Iterator[TestClient]:
    with local_client(app) as local:
        yield local


def propose(catalog: Catalog, image_id: str, folder: Path, *, version: str = "v1", **params: Any) -> None:
    """Keep a proposal as a model's answer leaves it: a lesion of 3 x 4 pixels at (10, 20)."""
    from breastlabel.imaging import read_image
    from breastlabel.label.proposals import keep_proposal

    record = catalog.image(image_id)
    image = read_image(catalog.path(record), modality=record.modality)
    mask = np.zeros(image.shape, np.uint8)
    mask[10:13, 20:24] = 2
    file = folder / "proposal.nrrd"
    write_mask(file, mask, geometry=image.geometry or Geometry())
    model = "mammography" if record.modality.value == "MG" else "ultrasound"
    said = {
        "checkpoint_version": version,
        "predicted_class": "malignant",
        "findings": [{"class": "malignant"}],
    }
    assert keep_proposal(catalog, image_id, file, model=model, params={**said, **params}) is not None
