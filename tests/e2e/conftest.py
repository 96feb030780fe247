"""Fixtures: phantoms with a tiny champion trained once, and one server over them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from breastlabel.catalog import Catalog
from breastlabel.datasets.phantoms import write_phantom_studies
from breastlabel.networks import create_network
from breastlabel.training import ModelRegistry
from breastlabel.training.presets import preset
from breastlabel.training.run import fit_checkpoint, prepare_split
from breastlabel.training.settings import TrainingSettings
from breastlabel.transforms import preparation_from_config

from .serving import SHAPE, Server, running_server, write_many_kinds


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled phantoms (PNG) with a champion of the tiny network, trained for seconds."""
    studies = tmp_path_factory.mktemp("pristine") / "studies"
    write_phantom_studies(studies, exams=24, seed=5, shape=SHAPE, suffix=".png")
    tiny = preset("ultrasound", "tiny")
    preparation = preparation_from_config(dict(tiny.preparation))
    train, val = (prepare_split(studies, split, preparation) for split in ("train", "val"))
    assert train is not None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    checkpoint = fit_checkpoint(
        create_network(**tiny.network),
        train,
        val,
        model="ultrasound",
        preparation=preparation,
        settings=TrainingSettings(epochs=40, learning_rate=3e-3, precision="fp32", patience=None),
        output=studies / ".breastlabel" / "trained",
    )
    torch.set_num_threads(threads)
    registry = ModelRegistry(studies)
    registry.promote("ultrasound", registry.add("ultrasound", checkpoint))
    shutil.rmtree(checkpoint)
    return studies


@pytest.fixture(scope="session")
def server(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for most tests, over the phantoms and over unlabelled images of many kinds."""
    folder = tmp_path_factory.mktemp("server")
    studies = Path(shutil.copytree(pristine, folder / "studies"))
    write_many_kinds(studies)
    with running_server(studies, folder) as running:
        yield running


@pytest.fixture(autouse=True)
def _unlabelled(request: pytest.FixtureRequest) -> None:
    """Every test finds the images of many kinds unlabelled and free, whatever the one before did."""
    if "server" in request.fixturenames:
        # As any other program on the folder may, while the server runs.
        with Catalog.open(request.getfixturevalue("server").studies) as catalog:
            for lease in catalog.leases.live():
                catalog.leases.release(lease.image_id, lease.client_id)
            for tag in catalog.counts().labelled:
                for image in catalog.labels.ids(tag):
                    if image.startswith("kind-") or tag == "original":
                        catalog.labels.remove(image, tag)
