"""The app in the test's own process, as the platform's loader builds it, and a client on the same machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from breastlabel.label.app import BreastLabelApp
from breastlabel.label.server import build_server

__all__ = ["built_app", "local_client"]

_MAIN = Path(__file__).parents[1] / "apps" / "breast" / "main.py"


@contextmanager
def built_app(studies: Path, folder: Path, **conf: str) -> Iterator[BreastLabelApp]:
    """The app over a studies folder; it is closed at the end.

    Args:
        folder: for what the platform writes beside the app; made if it is not there.
        conf: as ``--conf``.
    """
    from monailabel.config import settings

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(_MAIN, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(folder / "sessions"))
        app = BreastLabelApp(str(folder), str(studies), conf)
        try:
            yield app
        finally:
            app.close()


def local_client(app: BreastLabelApp) -> TestClient:
    """A client on this machine; what the server does wrong comes as its answer, as it does to anybody."""
    return TestClient(
        build_server(app),
        base_url="http://127.0.0.1:8000",
        client=("127.0.0.1", 50000),
        raise_server_exceptions=False,
    )
