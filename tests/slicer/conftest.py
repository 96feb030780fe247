"""The Slicer module's own library, found as Slicer finds it: by the module's folder on the path."""

import sys
from pathlib import Path

MODULE = Path(__file__).parents[2] / "apps" / "slicer" / "BreastLabel"
sys.path.insert(0, str(MODULE))
