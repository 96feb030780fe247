"""One thread a process, and no tracking store, which takes MLflow seconds to make."""

import os
from pathlib import Path

import pytest

_HERE = Path(__file__).parent

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("BREASTLABEL_TRACKING", "off")

pytest_plugins = ["tests.e2e.browser", "tests.orthanc", "tests.postgres"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two processes share the tests, those of one file stay together, for they share what they set up.

    Those that start servers and a browser are one group: two of these at once would wait for each other.
    """
    for item in items:
        place = item.path.relative_to(_HERE)
        item.add_marker(pytest.mark.xdist_group(place.parts[0] if place.parts[0] == "e2e" else str(place)))
