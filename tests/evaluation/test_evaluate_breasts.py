"""From a studies folder of mammograms to the files of an evaluation."""

import json

import pytest
import torch

from breastlabel.catalog import Catalog
from breastlabel.datasets.phantoms import write_mammogram_phantoms
from breastlabel.errors import InvalidImageError
from breastlabel.evaluation import evaluate
from breastlabel.evaluation.labelled_breasts import BreastsOfSplit
from breastlabel.imaging import Laterality
from breastlabel.imaging.context import CONTEXT_NAMES
from breastlabel.networks import create_network
from breastlabel.training import save_checkpoint
from breastlabel.training.presets import PRESETS
from breastlabel.transforms import preparation_from_config


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Two patients, one with a prior, all in the test split."""
    folder = tmp_path_factory.mktemp("site") / "mammograms"
    write_mammogram_phantoms(folder, exams=2, seed=3, shape=(128, 104), priors=0.5, split="test", truth=False)
    return folder


@pytest.fixture(scope="module")
def evaluated(studies, tmp_path_factory):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    preset = PRESETS["mammography"]["tiny"]
    checkpoint = save_checkpoint(
        tmp_path_factory.mktemp("models") / "untrained",
        create_network(**preset.network),
        model="mammography",
        preparation=preparation_from_config(preset.preparation),
        calibration={"temperature": 1.0},
        thresholds={"mask": 0.01, "normal": 1.01},
    )
    output = tmp_path_factory.mktemp("out") / "evaluation"
    seen = []
    metrics = evaluate(
        checkpoint,
        studies,
        output=output,
        model="mammography",
        split="test",
        explain=False,
        checks=True,
        device="cpu",
        progress=lambda what, done, total: seen.append((done, total)),
    )
    return metrics, output, seen


def records_of(studies):
    with Catalog.open(studies) as catalog:
        return catalog.images(split="test")


def test_the_metrics_are_of_breasts(studies, evaluated):
    metrics, output, seen = evaluated
    assert metrics["analysed"] == "breast"
    # Two patients of four views; a prior exam of one of them is two breasts more.
    assert metrics["n_images"] == len(records_of(studies)) == 12
    assert metrics["n_breasts"] == 6
    assert metrics["n_patients"] == 2
    assert metrics["consistency"]["n_breasts"] == 6
    # An untrained network outlines whole breasts, without which there is nothing left to judge.
    assert metrics["evidence"]["n_breasts"] == 0
    assert metrics["evidence"]["falling"] is None
    assert json.loads((output / "metrics.json").read_text()) == metrics
    assert seen[-1] == (6, 6)


def test_each_breast_and_each_image_is_listed_without_its_patient(studies, evaluated):
    _, output, _ = evaluated
    listed = json.loads((output / "images.json").read_text())
    assert len(listed["breasts"]) == 6
    assert listed["skipped"] == []
    assert {row["view"] for row in listed["breasts"]} == {"CC+MLO"}
    assert {row["breast"] for row in listed["images"]} == {row["breast"] for row in listed["breasts"]}
    texts = [(output / name).read_text() for name in ("images.json", "report.html")]
    keys = {record.patient_key for record in records_of(studies)} - {r.image_id for r in records_of(studies)}
    assert not any(f'"{key}"' in text for key in keys for text in texts)


def test_views_and_priors_are_what_the_model_looks_at(studies):
    whole = list(BreastsOfSplit(studies, "test", model="mammography"))
    assert sorted(len(breast.images) for breast in whole) == [2, 2, 2, 2, 4, 4]
    prior = CONTEXT_NAMES.index("is_prior")
    for breast in whole:
        assert [bool(flag) for flag in breast.contexts[:, prior]] == [not new for new in breast.newest]
        assert len({image.record.laterality for image in breast.images}) == 1
        assert breast.label is not None
    alone = BreastsOfSplit(studies, "test", model="mammography", views=False, priors=False)
    assert len(alone) == 12
    assert all(len(breast.images) == 1 for breast in alone)
    assert len(BreastsOfSplit(studies, "train", model="mammography")) == 0


def test_an_image_that_cannot_be_read_costs_its_breast_that_image_alone(studies, monkeypatch):
    from breastlabel.datasets import loading

    read = loading.load_labelled_image
    broken = next(r.image_id for r in records_of(studies) if r.laterality is Laterality.R)

    def refuse(folder, record, **options):
        if record.image_id == broken:
            raise InvalidImageError("truncated")
        return read(folder, record, **options)

    monkeypatch.setattr(loading, "load_labelled_image", refuse)
    told = []
    breasts = BreastsOfSplit(
        studies, "test", model="mammography", on_error=lambda record, error: told.append(record.image_id)
    )
    found = list(breasts)
    assert broken in told
    assert len(found) == 6
    assert all(broken not in [image.record.image_id for image in breast.images] for breast in found)
    with pytest.raises(InvalidImageError):
        list(BreastsOfSplit(studies, "test", model="mammography"))
