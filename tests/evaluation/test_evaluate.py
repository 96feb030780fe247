import json

import pytest
import torch

from breastlabel.catalog import Catalog
from breastlabel.datasets.phantom_studies import write_phantom_studies
from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.evaluation import evaluate
from breastlabel.imaging import Modality
from breastlabel.networks import create_network
from breastlabel.training import save_checkpoint
from breastlabel.transforms import UltrasoundPreparation


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "phantoms"
    write_phantom_studies(folder, exams=12, seed=3, images_per_exam=1, shape=(96, 128))
    with Catalog.open(folder) as catalog:
        test = catalog.images(split="test")
        assert len(test) == 3
        catalog.update_image(test[0].image_id, excluded="contradictory-classes")
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = create_network("ultrasound", widths=(4, 8), recurrent_hidden=4, texture=False)
    return save_checkpoint(
        tmp_path_factory.mktemp("models") / "untrained",
        network,
        model="ultrasound",
        preparation=UltrasoundPreparation(size=(32, 32)),
        calibration={"temperature": 1.0},
        thresholds={"mask": 0.5, "normal": 0.5},
    )


@pytest.fixture(scope="module")
def evaluated(studies, checkpoint, tmp_path_factory):
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("out") / "evaluation"
    seen = []
    metrics = evaluate(
        checkpoint,
        studies,
        output=output,
        split="all",
        device="cpu",
        progress=lambda what, done, total: seen.append((what, done, total)),
    )
    return metrics, output, seen


def test_files_are_written_and_metrics_are_returned(evaluated):
    metrics, output, _ = evaluated
    assert json.loads((output / "metrics.json").read_text()) == metrics
    assert (output / "report.html").stat().st_size > 50_000
    assert sorted(p.name for p in output.iterdir()) == ["images.json", "metrics.json", "report.html"]
    assert metrics["model"] == "ultrasound"
    assert metrics["studies"] == "phantoms"
    assert metrics["segmentation"]["distance_unit"] == "mm"


def test_excluded_images_are_left_out_and_counted(evaluated):
    metrics, output, seen = evaluated
    details = json.loads((output / "images.json").read_text())
    assert metrics["n_images"] == 11
    assert len(details["images"]) == 11
    assert details["n_excluded"] == 1
    assert seen[-1] == ("evaluating the all split", 11, 11)


def test_no_patient_key_is_written(evaluated, studies):
    _, output, _ = evaluated
    with Catalog.open(studies) as catalog:
        keys = {r.patient_key for r in catalog.images()} | {r.group for r in catalog.images()}
    for path in output.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not [key for key in keys if f'"{key}"' in text or f">{key}<" in text]


def test_one_split_only(studies, checkpoint, tmp_path):
    metrics = evaluate(checkpoint, studies, output=tmp_path, split="test", explain=False, device="cpu")
    assert metrics["n_images"] == 2
    assert metrics["split"] == "test"


def test_an_image_that_cannot_be_read_is_named(checkpoint, tmp_path):
    folder = tmp_path / "phantoms"
    write_phantom_studies(folder, exams=3, seed=1, images_per_exam=1, shape=(64, 64), split="test")
    with Catalog.open(folder) as catalog:
        broken = catalog.images()[0]
        catalog.path(broken).write_bytes(b"not an image")
    output = tmp_path / "out"
    metrics = evaluate(checkpoint, folder, output=output, explain=False, device="cpu")
    assert metrics["n_images"] == 2
    assert [s["image_id"] for s in json.loads((output / "images.json").read_text())["skipped"]] == [
        broken.image_id
    ]


def test_unknown_split_lists_the_valid_ones(studies, checkpoint, tmp_path):
    with pytest.raises(UnknownNameError, match="split must be one of all, test, train, val; got 'tests'"):
        evaluate(checkpoint, studies, output=tmp_path, split="tests")


def test_a_split_without_labels_says_what_to_do(checkpoint, tmp_path):
    write_phantom_studies(
        tmp_path / "s", exams=1, seed=1, images_per_exam=1, shape=(64, 64), split="train", labelled=0.0
    )
    with pytest.raises(StudiesError, match="at least one labelled image in split 'test' is required"):
        evaluate(checkpoint, tmp_path / "s", output=tmp_path / "o", device="cpu")
    assert not (tmp_path / "o").exists()


def test_images_of_another_modality_are_not_evaluated(checkpoint, tmp_path):
    write_phantom_studies(tmp_path / "site", exams=6, seed=4, images_per_exam=1, shape=(96, 128))
    with Catalog.open(tmp_path / "site") as catalog:
        known = catalog.images()
        for record in known[:2]:
            catalog.update_image(record.image_id, modality=Modality.MG)
        catalog.update_image(known[0].image_id, excluded="contradictory-classes")
    totals = []
    metrics = evaluate(
        checkpoint,
        tmp_path / "site",
        output=tmp_path / "out",
        split="all",
        device="cpu",
        progress=lambda what, done, total: totals.append(total),
    )
    assert metrics["n_images"] == len(known) - 2 == totals[-1]
    written = json.loads((tmp_path / "out" / "images.json").read_text())
    assert (written["skipped"], written["n_excluded"]) == ([], 0)
