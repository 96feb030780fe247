"""Mammograms in DICOM through a real server process, with MONAI Label's own client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from tests.mammogram_patient import EXAM, PATIENT, SHAPE, SYSTEMS, write_checkpoint, write_patient

from breastlabel.catalog import Catalog
from breastlabel.training.registry import ModelRegistry

from .serving import Server, running_server, wait_until

RCC, RMLO = EXAM[:2]


@pytest.fixture(scope="module")
def mammograms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mammograms")
    studies = folder / "studies"
    write_patient(studies)
    registry = ModelRegistry(studies)
    for model in SYSTEMS:
        checkpoint = write_checkpoint(folder / "made" / model, model)
        registry.promote(model, registry.add(model, checkpoint))
    with running_server(studies, folder, "--conf", "models", ",".join(SYSTEMS)) as running:
        yield running


def same_space(file: str | Path, reference: str | Path) -> np.ndarray[Any, Any]:
    """The file's pixels, once its space is found to be that of the reference."""
    image, other = SimpleITK.ReadImage(str(file)), SimpleITK.ReadImage(str(reference))
    assert image.GetSize() == other.GetSize() == (*SHAPE[::-1], 1)
    assert image.GetSpacing() == pytest.approx(other.GetSpacing())
    assert image.GetOrigin() == pytest.approx(other.GetOrigin())
    assert image.GetDirection() == pytest.approx(other.GetDirection())
    return np.asarray(SimpleITK.GetArrayFromImage(image)[0])


def test_a_viewer_gets_the_film_in_its_own_space(mammograms: Server) -> None:
    downloaded = mammograms.download(RCC)
    assert downloaded.name == f"{RCC}.nrrd"
    stored = SimpleITK.ReadImage(str(mammograms.studies / f"{RCC}.dcm"))
    served = SimpleITK.ReadImage(str(downloaded))
    assert served.GetSize() == stored.GetSize()
    assert served.GetSpacing()[:2] == pytest.approx(stored.GetSpacing()[:2])
    assert served.GetOrigin() == pytest.approx(stored.GetOrigin())


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_the_mask_of_a_film_lies_over_it(mammograms: Server, suffix: str) -> None:
    file, params = mammograms.client().infer("mammography", RCC, {"result_extension": suffix})
    mask = same_space(file, mammograms.download(RCC))
    assert set(np.unique(mask)) == {0, params["label_names"][params["predicted_class"]]}
    assert {entry["image_id"]: entry["role"] for entry in params["sequence"]} == {
        RCC: "asked",
        RMLO: "view",
        f"{PATIENT}prior-rcc": "prior",
        f"{PATIENT}prior-rmlo": "prior",
    }


def test_the_other_view_finds_its_proposal_when_it_is_opened(mammograms: Server) -> None:
    mammograms.client().infer("mammography", RCC, {})
    kept = mammograms.request("GET", "/datastore/label", params={"label": RMLO, "tag": "original"})
    assert kept.status_code == 200
    (mammograms.folder / "kept.nrrd").write_bytes(kept.content)
    assert same_space(mammograms.folder / "kept.nrrd", mammograms.download(RMLO)).any()


@pytest.mark.parametrize("model", ["fusionview", "screening", "cad"])
def test_a_class_comes_with_a_mask_that_a_viewer_can_load(mammograms: Server, model: str) -> None:
    file, params = mammograms.client().infer(model, RCC, {})
    mask = same_space(file, mammograms.download(RCC))
    if model == "cad":
        assert mask.any() == bool(params["regions"])
    else:
        assert not mask.any()
    assert params["predicted_class"] in ("normal", "benign", "malignant")


@pytest.mark.parametrize("model", SYSTEMS)
def test_a_heat_map_lies_over_the_film(mammograms: Server, model: str) -> None:
    file, params = mammograms.client().infer("explain", RCC, {"explain_model": [model]})
    assert params["explained_model"] == model
    assert same_space(file, mammograms.download(RCC)).max() <= 1.0001


def test_a_label_drawn_on_a_film_is_saved_in_its_space(mammograms: Server, tmp_path: Path) -> None:
    downloaded = mammograms.download(RCC)
    drawn_on = SimpleITK.ReadImage(str(downloaded))
    mask = np.zeros(SHAPE, np.uint8)
    mask[20:60, 30:40] = 1
    mask[50:60, 30:80] = 1
    drawn = SimpleITK.GetImageFromArray(mask[None])
    drawn.CopyInformation(drawn_on)
    SimpleITK.WriteImage(drawn, str(tmp_path / "label.nii.gz"))
    info = [{"name": "malignant", "idx": 1}]
    mammograms.client().save_label(RCC, str(tmp_path / "label.nii.gz"), params={"label_info": info})
    saved = mammograms.studies / "labels" / "final" / f"{RCC}.nii.gz"
    assert np.array_equal(same_space(saved, downloaded), 2 * mask)


def test_the_model_chooses_whose_images_are_offered(mammograms: Server) -> None:
    sample = mammograms.client("another").next_sample("first", {"model": "mammography"})
    assert sample["id"].startswith(PATIENT)
    with Catalog.open(mammograms.studies) as catalog:
        assert wait_until(lambda: catalog.leases.live(), 5)
