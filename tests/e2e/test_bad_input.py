"""Each bad input gets a 4xx with the reason, and nothing stored is changed by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from breastlabel.imaging import Geometry, write_image

from .serving import KINDS, SHAPE, Server, running_server, wait_until, write_dicom


@pytest.fixture(scope="module")
def bad(server: Server) -> list[str]:
    """Images in the studies folder that nothing can be done with; their ids."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, SHAPE, np.uint8)
    studies = server.studies
    Image.fromarray(noise).save(studies / "abad-truncated.png")
    whole = (studies / "abad-truncated.png").read_bytes()
    (studies / "abad-truncated.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.full(SHAPE, 7, np.uint8)).save(studies / "abad-constant.png")
    with_nan = noise.astype(np.float32)
    with_nan[3, 4] = np.nan
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(with_nan[None]), str(studies / "abad-nan.nrrd"))
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(np.stack([noise, noise, noise])), str(studies / "abad-stack.nii.gz")
    )
    write_dicom(studies / "abad-cine.dcm", np.stack([noise, noise[::-1]]))
    (studies / "abad-empty.png").write_bytes(b"")
    (studies / "abad-text.dcm").write_text("not DICOM")
    return sorted(p.name.split(".")[0] for p in studies.glob("abad-*"))


def reason(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    detail: str = answer.json()["detail"]
    assert "Traceback" not in detail
    assert "\n" not in detail
    return detail


def test_each_unreadable_image_is_refused_with_a_reason(server: Server, bad: list[str]) -> None:
    assert len(bad) == 7
    for image in bad:
        detail = reason(server.request("POST", "/infer/ultrasound", params={"image": image}), 422)
        assert "4711" not in detail
        reason(server.request("GET", "/datastore/image", params={"image": image}), 422)


def test_unreadable_images_are_not_offered(server: Server, bad: list[str]) -> None:
    # By name they would all come first.
    assert max(bad) < min(KINDS)
    assert server.client().next_sample("first", {})["id"] == min(KINDS)
    # An image that was just offered waits until all were, so that this many cannot miss the bad ones.
    offered = {server.client().next_sample("random", {})["id"] for _ in range(len(bad) + 2 * len(KINDS))}
    assert offered == set(KINDS)


def test_a_batch_goes_on_past_bad_images(server: Server, bad: list[str]) -> None:
    server.request("POST", "/batch/infer/ultrasound", params={"images": "all"}, json={})
    status = wait_until(
        lambda: (s := server.request("GET", "/batch/infer").json())["status"] != "RUNNING" and s, 120
    )
    assert status["status"] == "DONE"
    assert set(bad) <= set(status["failed"])
    assert status["done"] == status["total"] > len(status["failed"])


def test_unknown_names_are_answered_with_the_valid_ones(server: Server) -> None:
    assert "ultrasound" in reason(server.request("POST", "/infer/nope", params={"image": "kind-grey"}), 404)
    assert "first" in reason(server.request("POST", "/activelearning/nope"), 404)
    assert "ultrasound" in reason(server.request("POST", "/train/nope"), 404)
    reason(server.request("POST", "/train/explain"), 404)
    reason(server.request("POST", "/scoring/nope"), 404)
    reason(server.request("GET", "/model/nope"), 404)
    reason(server.request("POST", "/batch/infer/nope"), 404)
    reason(server.request("GET", "/session/..%2F..%2Fetc"), 404)
    for options in ({"preset": "nope"}, {"from": "/etc"}, {"max_epochs": "many"}, {"max_epochs": -1}):
        reason(server.request("POST", "/train/ultrasound", json=options), 400)
    assert not server.client().train_status(check_if_running=True)


@pytest.mark.parametrize("path", ["/etc/passwd", "../server.log", "..", "", "kind-grey.png", "a\0b", "."])
def test_paths_are_no_image_ids(server: Server, path: str) -> None:
    reason(server.request("POST", "/infer/ultrasound", params={"image": path}), 400 if path == "" else 404)
    for route in ("/datastore/image", "/datastore/image/info"):
        reason(server.request("GET", route, params={"image": path}), 404)
    reason(server.request("GET", "/datastore/label", params={"label": path, "tag": "final"}), 404)
    reason(server.request("DELETE", "/datastore/image", params={"id": path}), 404)


@pytest.mark.parametrize("options", [{"image": "/etc/passwd"}, {"model": "explain"}])
def test_params_cannot_name_another_image_or_model(server: Server, options: dict[str, str]) -> None:
    form = {"params": json.dumps(options)}
    reason(server.request("POST", "/infer/ultrasound", params={"image": "kind-grey"}, data=form), 400)


@pytest.mark.parametrize(
    "params",
    [
        "no json",
        "[1, 2]",
        '{"uncertainty_passes": 100000}',
        '{"uncertainty_passes": "x"}',
        '{"superpixels": "maybe"}',
        '{"device": "tpu"}',
        '{"result_extension": ".exe"}',
    ],
)
def test_wrong_options_are_refused(server: Server, params: str) -> None:
    answer = server.request(
        "POST", "/infer/ultrasound", params={"image": "kind-grey"}, data={"params": params}
    )
    reason(answer, 400)


def save(server: Server, tmp_path: Path, mask: Any, *, image: str = "kind-nrrd", **fields: Any) -> Any:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask), str(tmp_path / "label.nii.gz"))
    with (tmp_path / "label.nii.gz").open("rb") as file:
        return server.request(
            "PUT",
            "/datastore/label",
            params={"image": image, **({"tag": fields["tag"]} if "tag" in fields else {})},
            data={"params": json.dumps({"label_info": fields.get("info")})},
            files={"label": file},
        )


def test_labels_that_do_not_fit_are_refused_and_nothing_is_stored(server: Server, tmp_path: Path) -> None:
    before = sorted(p.name for p in server.studies.glob("labels/*/*"))
    named = [{"name": "benign", "idx": 1}, {"name": "malignant", "idx": 2}]
    fits = np.zeros((1, *SHAPE), np.uint8)
    fits[0, 5:9, 5:9] = 1
    assert "96 x 120" in reason(save(server, tmp_path, fits[:, :-1], info=named), 400)
    assert "96 x 120" in reason(save(server, tmp_path, np.swapaxes(fits, 1, 2).copy(), info=named), 400)
    reason(save(server, tmp_path, np.repeat(fits, 3, axis=0), info=named), 400)
    unknown = reason(save(server, tmp_path, fits, info=[{"name": "cyst", "idx": 1}]), 400)
    assert "benign" in unknown
    assert "malignant" in unknown
    reason(save(server, tmp_path, 3 * fits, info=named), 400)
    reason(save(server, tmp_path, 3 * fits), 400)
    reason(save(server, tmp_path, fits, info=[{"name": "benign"}]), 400)
    reason(save(server, tmp_path, fits, info=[*named, {"name": "malignant", "idx": 1}]), 400)
    reason(save(server, tmp_path, fits, info=named, image="nobody"), 404)
    reason(save(server, tmp_path, fits, info=named, tag="../final"), 400)
    answer = server.request("PUT", "/datastore/label?image=kind-nrrd", files={"label": ("l.nii.gz", b"junk")})
    reason(answer, 400)
    reason(server.request("PUT", "/datastore/label?image=kind-nrrd"), 422)
    assert sorted(p.name for p in server.studies.glob("labels/*/*")) == before


def test_uploads_must_be_images_with_plain_names(server: Server, tmp_path: Path) -> None:
    write_image(tmp_path / "new.nrrd", np.arange(64, dtype=np.uint8).reshape(8, 8), geometry=Geometry())
    good, junk = (tmp_path / "new.nrrd").read_bytes(), b"junk"
    for name, content, image, status in (
        ("x.nrrd", good, "../x", 400),
        ("x.nrrd", good, ".hidden", 400),
        ("x.nrrd", good, "x.png", 400),
        ("x.exe", good, "x", 422),
        ("x.png", junk, "x", 422),
        ("../../x.nrrd", junk, "x", 422),
    ):
        answer = server.request(
            "PUT", "/datastore/image", params={"image": image}, files={"file": (name, content)}
        )
        reason(answer, status)
    assert not list(server.studies.glob("x.*"))
    assert not (server.studies.parent / "x.nrrd").exists()


def test_routes_that_would_damage_the_server_do_not_exist(server: Server) -> None:
    assert server.request("POST", "/reload").status_code in (404, 405)
    assert server.request("PUT", "/model/ultrasound", files={"file": b"x"}).status_code == 405
    assert server.request("DELETE", "/model/ultrasound").status_code == 405


def test_a_web_page_elsewhere_cannot_reach_the_server(server: Server) -> None:
    reason(server.request("GET", "/info/", headers={"Host": "evil.example:8000"}), 403)
    for origin in ("https://evil.example", "http://localhost.evil.example", "null"):
        asked = server.request("POST", "/train/ultrasound", json={}, headers={"Origin": origin})
        assert "page from elsewhere" in reason(asked, 403)
    assert not server.client().train_status(check_if_running=True)
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    answer = server.request("OPTIONS", "/datastore/label", headers=preflight)
    assert "access-control-allow-origin" not in answer.headers


def test_the_log_names_no_patient(server: Server) -> None:
    log = server.log()
    assert "patient-4711" not in log
    assert "abad-" not in log


@pytest.mark.slow
def test_a_server_without_a_champion_says_how_to_train_one(tmp_path: Path, monkeypatch: Any) -> None:
    """Only where no champion ships; with one the first request gets a real answer."""
    from breastlabel.training import ModelRegistry

    shipped = ModelRegistry(None).champion_version("ultrasound")
    studies = tmp_path / "studies"
    studies.mkdir()
    noise = np.random.default_rng(1).integers(0, 255, SHAPE, np.uint8)
    Image.fromarray(noise).save(studies / "one.png")
    with running_server(studies, tmp_path, "--conf", "models", "ultrasound") as server:
        answer = server.request("POST", "/infer/ultrasound", params={"image": "one"})
        if shipped is None:
            assert "train" in reason(answer, 409)
        else:
            assert answer.status_code == 200
        # Nothing to offer is no error; Slicer then says so in its own words.
        (studies / "one.png").unlink()
        assert server.client().next_sample("first", {}) == {}
        assert server.client().next_sample("random", {}) == {}
        assert server.client().info()["datastore"]["total"] == 0
