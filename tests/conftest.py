"""One thread a process, and no tracking store, which takes MLflow seconds to make."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("BREASTLABEL_TRACKING", "off")

pytest_plugins = ["tests.e2e.browser", "tests.orthanc", "tests.postgres"]
