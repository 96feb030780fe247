import importlib.util
import sys
from pathlib import Path

# pytest runs in importlib mode, so that helpers beside the tests are not on the path.
_spec = importlib.util.spec_from_file_location("dataset_trees", Path(__file__).with_name("trees.py"))
sys.modules["dataset_trees"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["dataset_trees"])
