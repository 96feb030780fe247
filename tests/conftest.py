"""One thread a process, and no tracking store, which takes MLflow seconds to make."""

import os
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("BREASTLABEL_TRACKING", "off")

pytest_plugins = ["tests.e2e.browser", "tests.orthanc", "tests.postgres"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where two processes share the tests, those of one file stay together, for they share what they set up.

    All that start servers and a browser are one group: two of these at once would wait for each other.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "e2e" if "/e2e/" in file else file

    return ByFile(config, log)
