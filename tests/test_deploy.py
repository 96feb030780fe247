"""The compose file says what the programs understand, and leaves nothing open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from breastlabel.web.ohif import release

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


def test_every_image_is_pinned(services: dict[str, Any]) -> None:
    images = [service["image"] for service in services.values() if "image" in service]
    images += re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) == 4
    assert all(re.search(r":[\w.-]*\d", image) and not image.endswith("latest") for image in images), images


def test_only_dicom_is_reached_from_other_machines(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert sorted(published) == ["127.0.0.1:8000:8000", "4242:4242"]


def test_every_secret_is_asked_for_and_none_is_written_down(services: dict[str, Any]) -> None:
    example = (DEPLOY / "site.env.example").read_text()
    names = re.findall(r"^(\w+)=", example, re.MULTILINE)
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == set(names)
    for service in services.values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name or "URL" in name:
                assert "${" in value, name
    assert re.findall(r"PASSWORD=(.+)", example) == []
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"deploy/site.env", "deploy/users.json"} <= set(ignored)


def test_every_setting_is_one_that_the_documents_name(services: dict[str, Any]) -> None:
    documents = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    ours = [name for name in services["breastlabel"]["environment"] if name.startswith("BREASTLABEL_")]
    assert len(ours) == 5
    for name in ours:
        assert name in documents or name.removeprefix("BREASTLABEL_PACS") in documents, name


def test_volumes_and_secrets_are_declared(services: dict[str, Any]) -> None:
    whole = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    used = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", ())}
    assert used == set(whole["volumes"])
    assert {name for service in services.values() for name in service.get("secrets", ())} == set(
        whole["secrets"]
    )


def test_the_image_takes_the_viewer_that_the_source_checks() -> None:
    assert f"{release.PACKAGE}@{release.VERSION}" in (DEPLOY / "Dockerfile").read_text()
