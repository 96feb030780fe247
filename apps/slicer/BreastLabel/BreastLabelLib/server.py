"""A breastlabel server, as this module uses it. Knows neither Qt nor MRML; needs only ``requests``."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

__all__ = ["BreastLabelServer", "ServerError"]

_SAFE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class ServerError(Exception):
    """What the server, or the way to it, did not allow. The text is for the reader.

    Attributes:
        status: of HTTP; 0 where no server answered.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class BreastLabelServer:
    """One server and one reader.

    Args:
        url: as in ``http://127.0.0.1:8000``.
        client_id: tells this reader's leases from those of others.
        timeout: seconds to wait for an answer; a full-size mammogram takes some on a machine without a GPU.
    """

    def __init__(self, url: str, client_id: str, *, timeout: float = 120.0) -> None:
        url = url.strip().rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise ServerError(f"the server's address must begin with http:// or https://; got '{url[:80]}'")
        self.url = url
        self.client_id = client_id
        self.timeout = timeout
        self._http = requests.Session()

    # Who asks

    def needs_login(self) -> bool:
        """Whether the server asks for a name and a password."""
        return bool(self._json("GET", "/auth/")["enabled"])

    def log_in(self, name: str, password: str) -> None:
        """Get a token; it goes with everything that is asked from then on.

        Raises:
            ServerError: name or password is wrong.
        """
        answer = self._json("POST", "/auth/token", data={"username": name, "password": password})
        self._http.headers["Authorization"] = f"Bearer {answer['access_token']}"

    # Cases

    def settings(self) -> dict[str, Any]:
        """BI-RADS categories, lesion types, whether first readings are blinded, who is logged in."""
        return self._json("GET", "/api/settings")

    def strategies(self) -> list[str]:
        """Names of the orders in which cases can be asked for, the server's choice first."""
        return [str(name) for name in self._json("GET", "/api/cases", params={"limit": 1})["strategies"]]

    def next_case(self, *, strategy: str | None = None, modality: str | None = None) -> dict[str, Any] | None:
        """The next case, on lease to this reader; None where none is left."""
        asked = {"client_id": self.client_id, "strategy": strategy, "modality": modality}
        try:
            return self._json(
                "POST", "/api/cases/next", json={k: v for k, v in asked.items() if v is not None}
            )
        except ServerError as error:
            if error.status == 404:
                return None
            raise

    def case(self, case_id: str) -> dict[str, Any]:
        """A case with what the AI said of it."""
        path = f"/api/cases/{quote(case_id, safe='')}"
        return self._json("GET", path, params={"client_id": self.client_id})

    def reveal(self, case_id: str) -> dict[str, Any]:
        """The case with the AI's opinion, before a reading of one's own where that is blinded; it is noted."""
        path = f"/api/cases/{quote(case_id, safe='')}/reveal"
        return self._json("POST", path, json={"client_id": self.client_id})

    def run(self, image_id: str) -> dict[str, Any]:
        """Let the AI read an image (and the other views of its breast)."""
        path = f"/api/images/{quote(image_id, safe='')}/run"
        return self._json("POST", path, json={"client_id": self.client_id})

    # Readings

    def accept(self, image_id: str, *, proposal_version: int | None, **said: Any) -> dict[str, Any]:
        """The AI's outlines become this reader's label.

        Args:
            proposal_version: which proposal the reader saw; the server refuses where there is a newer one.
            said: ``birads``, ``lesion_type``, ``seconds_spent``.
        """
        asked = {"client_id": self.client_id, "proposal_version": proposal_version, **said}
        return self._json("POST", f"/api/images/{quote(image_id, safe='')}/accept", json=_given(asked))

    def save(self, image_id: str, file: Path, segments: list[tuple[str, int]], **said: Any) -> dict[str, Any]:
        """Save a label map as this reader's label.

        Args:
            file: ``.nii.gz`` or ``.nrrd`` in the image's geometry.
            segments: (name, value in the file) of each; the name says what the value means.
            said: ``birads``, ``lesion_type``, ``seconds_spent``, ``model``, ``model_version``.
        """
        info = [{"name": name, "idx": value} for name, value in segments]
        params = {"client_id": self.client_id, "label_info": info or None, **said}
        with open(file, "rb") as content:
            return self._json(
                "PUT",
                "/datastore/label",
                params={"image": image_id},
                data={"params": json.dumps(_given(params))},
                files={"label": (Path(file).name, content)},
            )

    # Files

    def download_image(self, image_id: str, folder: Path) -> Path:
        """The image as Slicer can load it."""
        answer = self._ask("GET", "/datastore/image", params={"image": image_id})
        return _write(folder, image_id, _suffix(answer, ".nrrd"), answer.content)

    def download_label(self, image_id: str, tag: str, folder: Path) -> Path | None:
        """A label map; ``original`` is the AI's. None where there is none."""
        try:
            asked = {"label": image_id, "tag": tag, "client_id": self.client_id}
            answer = self._ask("GET", "/datastore/label", params=asked)
        except ServerError as error:
            if error.status == 404:
                return None
            raise
        return _write(folder, f"{image_id}-{tag}", _suffix(answer, ".nii.gz"), answer.content)

    def heat_map(self, image_id: str, model: str, folder: Path) -> Path:
        """Where in the image the model's answer comes from, 0 to 1, in the image's geometry."""
        asked = json.dumps({"explain_model": model, "result_extension": ".nrrd", "client_id": self.client_id})
        answer = self._ask(
            "POST", "/infer/explain", params={"image": image_id, "output": "image"}, data={"params": asked}
        )
        return _write(folder, f"{image_id}-heat", ".nrrd", answer.content)

    # Training

    def training(self) -> dict[str, Any]:
        """``running``, ``progress`` (0 to 1 or None), ``message``."""
        return self._json("GET", "/api/training")

    def start_training(self, model: str) -> None:
        """Retrain a model on the labels that were saved."""
        self._json("POST", f"/train/{quote(model, safe='')}", json={})

    def stop_training(self) -> None:
        """End the training that runs."""
        self._ask("DELETE", "/train/")

    def _json(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        try:
            return dict(self._ask(method, path, **asked).json())
        except (ValueError, TypeError) as error:
            raise ServerError(f"a breastlabel server is required; {self.url} answers otherwise") from error

    def _ask(self, method: str, path: str, **asked: Any) -> requests.Response:
        try:
            answer = self._http.request(
                method, self.url + path, timeout=self.timeout, allow_redirects=False, **asked
            )
        except requests.RequestException as error:
            raise ServerError(
                f"no server answers at {self.url} ({type(error).__name__}); start it, or check the address"
            ) from error
        if answer.status_code == 200:
            return answer
        try:
            reason = str(answer.json()["detail"])
        except (ValueError, KeyError, TypeError):
            reason = f"the server answered {answer.status_code}"
        raise ServerError(reason, answer.status_code)


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value not in (None, "")}


def _suffix(answer: requests.Response, otherwise: str) -> str:
    """Of the name that the server gives the file; the rest of that name is not used as a path."""
    named = re.search(r'filename="?([^";]+)', answer.headers.get("content-disposition", ""))
    name = named.group(1) if named else ""
    for suffix in (".nii.gz", ".seg.nrrd", ".nrrd", ".nii", ".dcm"):
        if name.lower().endswith(suffix):
            return suffix
    return otherwise


def _write(folder: Path, name: str, suffix: str, content: bytes) -> Path:
    path = Path(folder) / (_SAFE_NAME.sub("_", name)[:100] + suffix)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
    return path
