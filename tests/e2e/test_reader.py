"""The main job, as 3D Slicer's module does it: look, correct, retrain, look again."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from breastlabel.imaging import read_image, read_mask

from .serving import SHAPE, Server, wait_until

SLICER = {"result_extension": ".nrrd", "result_dtype": "uint8"}


def as_slicer_saves(mask: np.ndarray[Any, Any], image: Path, folder: Path) -> Path:
    """A labelmap volume in the geometry of the loaded image, as ``.nii.gz``."""
    volume = SimpleITK.GetImageFromArray(mask[None])
    volume.CopyInformation(SimpleITK.ReadImage(str(image)))
    path = folder / "label.nii.gz"
    SimpleITK.WriteImage(volume, str(path))
    return path


def test_info_offers_ultrasound_to_viewers(server: Server) -> None:
    info = server.client().info()
    assert info["labels"] == ["benign", "malignant"]
    assert info["models"]["ultrasound"]["type"] == "segmentation"
    assert info["models"]["explain"]["type"] not in ("segmentation", "detection", "deepgrow")
    assert "ultrasound" in info["trainers"]
    assert {"first", "random"} <= set(info["strategies"])
    assert "config" not in info, "Slicer takes a server with this key for one that is too old"
    suffixes = (".png", ".gz", ".nrrd", ".dcm")
    files = [p for p in server.studies.iterdir() if p.suffix in suffixes]
    assert info["datastore"]["total"] == len(files) >= 45
    assert not server.client().auth_enabled()


def test_next_sample_can_be_downloaded_and_loaded(server: Server, tmp_path: Path) -> None:
    sample = server.client().next_sample("first", {})
    assert sample["id"] == "kind-dicom"
    assert sample["name"] == "kind-dicom.nrrd"
    assert not Path(sample["path"]).exists(), "Slicer would load this file in the download's place"
    image = server.download(sample["id"])
    assert image.name == sample["name"]
    assert sample["checksum"] == "SHA256:" + hashlib.sha256(image.read_bytes()).hexdigest()
    assert SimpleITK.ReadImage(str(image)).GetSize() == (SHAPE[1], SHAPE[0], 1)
    assert np.array_equal(
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(image)))[0],
        read_image(server.studies / "kind-dicom.dcm").pixels,
    )


def test_random_offers_different_images_to_two_readers(server: Server) -> None:
    first = server.client("a").next_sample("random", {})["id"]
    assert server.client("b").next_sample("random", {})["id"] != first


def test_inference_answers_with_a_painted_mask_and_what_stands_behind_it(server: Server) -> None:
    file, params = server.client().infer("ultrasound", "kind-rgb", dict(SLICER))
    assert file.endswith(".nrrd")
    mask = SimpleITK.ReadImage(file)
    assert mask.GetPixelID() == SimpleITK.sitkUInt8
    array = SimpleITK.GetArrayFromImage(mask)[0]
    assert array.shape == SHAPE
    assert set(np.unique(array)) <= {0, {"normal": 0, "benign": 1, "malignant": 2}[params["predicted_class"]]}
    assert params["label_names"] == {"benign": 1, "malignant": 2}
    probabilities = params["class_probabilities"]
    assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-4)
    assert params["malignancy_probability"] == probabilities["malignant"]
    assert bool(params["findings"]) == bool(array.any())
    serving = server.client().info()["models"]["ultrasound"]["checkpoint_version"]
    assert params["checkpoint_version"] == serving
    assert params["latencies"]["total"] > 0
    assert params["uncertainty"] is None


@pytest.mark.parametrize(
    "options",
    [
        {"uncertainty_passes": "10", "superpixels": "on", "device": "cpu"},
        {"uncertainty_passes": ["10", "0"], "superpixels": ["on", "auto", "off"], "device": ["cpu", "auto"]},
        {"uncertainty_passes": 10, "superpixels": True, "device": "cpu"},
    ],
)
def test_options_come_as_scalars_or_as_lists(server: Server, options: dict[str, Any]) -> None:
    _, params = server.client().infer("ultrasound", "kind-grey", {**SLICER, **options})
    assert params["uncertainty"]["class_entropy"] >= 0


def test_explain_answers_with_a_heat_map(server: Server) -> None:
    file, params = server.client().infer("explain", "kind-nrrd", {"explain_class": "malignant"})
    heat = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(file))[0]
    assert heat.shape == SHAPE
    assert 0 <= heat.min() <= heat.max() <= 1
    assert params["region_fraction"] == pytest.approx(float((heat >= 0.5 * heat.max()).mean()), abs=1e-6)
    assert params["explained"] == "malignant"
    assert heat[tuple(params["peak"])] == heat.max()


def test_a_correction_is_saved_by_name_and_an_earlier_one_is_kept(server: Server, tmp_path: Path) -> None:
    client = server.client()
    image = server.download("kind-rgba")
    painted = np.zeros(SHAPE, np.uint8)
    painted[10:20, 30:60] = 1
    painted[50:60, 5:15] = 2
    # In Slicer the reader drew the malignant segment first, so it has the value 1 here.
    info = [{"name": "malignant", "idx": 1}, {"name": "benign", "idx": 2}]
    for shift in (0, 5):
        label = as_slicer_saves(np.roll(painted, shift, axis=1), image, tmp_path)
        client.save_label("kind-rgba", str(label), params={"label_info": info})
    saved = read_mask(server.studies / "labels" / "final" / "kind-rgba.nii.gz")
    assert np.array_equal(saved, np.array([0, 2, 1], np.uint8)[np.roll(painted, 5, axis=1)])
    history = server.request("GET", "/datastore/label/history?image=kind-rgba").json()["versions"]
    earlier, later = history[-2:]
    assert (earlier["client_id"], earlier["state"], later["state"]) == ("reader", "final", "final")
    query = {"label": "kind-rgba", "version": earlier["version"]}
    (tmp_path / "earlier.nii.gz").write_bytes(server.request("GET", "/datastore/label", params=query).content)
    assert np.array_equal(read_mask(tmp_path / "earlier.nii.gz"), np.array([0, 2, 1], np.uint8)[painted])

    downloaded = Path(client.download_label("kind-rgba", "final"))
    assert np.array_equal(read_mask(downloaded), saved)
    listed = client.datastore()["objects"]
    assert "kind-rgba" in listed
    assert "kind-grey" not in listed, "images without a label are left out"


def test_a_normal_image_saves_an_empty_mask(server: Server, tmp_path: Path) -> None:
    before = server.client().info()["datastore"]["completed"]
    label = as_slicer_saves(np.zeros(SHAPE, np.uint8), server.download("kind-nifti"), tmp_path)
    info = [{"name": "benign", "idx": 1}, {"name": "malignant", "idx": 2}]
    server.client().save_label("kind-nifti", str(label), params={"label_info": info})
    assert not read_mask(server.studies / "labels" / "final" / "kind-nifti.nii.gz").any()
    assert server.client().info()["datastore"]["completed"] == before + 1


@pytest.mark.slow
def test_a_training_makes_a_new_version_that_serves_next(server: Server) -> None:
    client = server.client()
    _, before = client.infer("ultrasound", "kind-grey", dict(SLICER))
    started = client.train_start(
        "ultrasound", {"preset": "tiny", "max_epochs": 3, "promote": "always", "device": ["cpu", "auto"]}
    )
    assert started["status"] == "RUNNING"
    assert client.train_status(check_if_running=True)
    again = server.request("POST", "/train/ultrasound", json={})
    assert again.status_code == 429, "one training at a time"

    seen: list[float] = []

    def over() -> dict[str, Any] | None:
        status = client.train_status()
        seen.append(status["progress"])
        return status if status["status"] != "RUNNING" else None

    status = wait_until(over, 120)
    assert status["status"] == "DONE", status
    assert seen == sorted(seen), "progress only grows"
    assert seen[-1] == 1.0
    assert not client.train_status(check_if_running=True)
    stats = client.info()["train_stats"]["ultrasound"]
    assert stats["epoch"] == stats["total_epochs"] == 3
    assert stats["total_time"] > 0
    assert 0 <= stats["best_metric"] <= 1

    file, after = client.infer("ultrasound", "kind-grey", dict(SLICER))
    assert after["checkpoint_version"] == status["version"] != before["checkpoint_version"]
    assert SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(file)).shape == (1, *SHAPE)


def test_a_batch_stores_proposals_where_slicer_looks(server: Server) -> None:
    # As a client of the stock platform asks, whatever the server has.
    options = {"device": "cuda", "multi_gpu": True, "max_workers": 1}
    answer = server.request("POST", "/batch/infer/ultrasound?images=unlabeled", json=options)
    assert answer.status_code == 200, answer.text
    status = wait_until(lambda: _ended(server), 60)
    assert status["status"] == "DONE"
    assert status["done"] == status["total"] > 0
    info = server.client().datastore()["objects"]["kind-grey"]["labels"]["original"]["info"]
    assert info["params"]["label_names"] == {"benign": 1, "malignant": 2}
    mask = nibabel.load(server.client().download_label("kind-grey", "original"))
    assert mask.shape == (SHAPE[1], SHAPE[0], 1)


def _ended(server: Server) -> dict[str, Any] | None:
    status = server.request("GET", "/batch/infer").json()
    return status if status["status"] != "RUNNING" else None


def test_an_image_can_be_added_and_analysed_from_a_session(server: Server, tmp_path: Path) -> None:
    client = server.client()
    source = server.studies / "kind-grey.png"
    session = client.create_session(str(source))["session_id"]
    assert client.get_session(session)
    file, _ = client.infer("ultrasound", "", dict(SLICER), session_id=session)
    assert SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(file)).shape == (1, *SHAPE)
    client.remove_session(session)
    assert server.request("GET", f"/session/{session}").status_code == 404
    assert client.upload_image(str(source), image_id="zz-uploaded")["image"] == "zz-uploaded"
    assert (server.studies / "zz-uploaded.png").read_bytes() == source.read_bytes()
    again = server.request("PUT", "/datastore/image?image=zz-uploaded", files={"file": source.open("rb")})
    assert again.status_code == 409, "an image is never overwritten"


def test_the_dataset_can_be_taken_away_as_zip(server: Server) -> None:
    answer = server.request("GET", "/datastore/dataset?limit_cases=2")
    assert answer.status_code == 200
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert len([n for n in names if n.startswith("image")]) == 2


def test_the_log_names_no_images(server: Server) -> None:
    server.client().next_sample("first", {"note": "patient-4711"})
    log = server.log() + (server.folder / "app" / "logs" / "app.log").read_text()
    for identifier in ("kind-grey", "phantom-", "patient-4711", "reader"):
        assert identifier not in log
