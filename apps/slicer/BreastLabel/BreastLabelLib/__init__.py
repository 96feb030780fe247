"""What the module does that is not 3D Slicer's: talking to the server, and what to show of its answers."""

from BreastLabelLib.reading import FindingRow, ReadingClock, breast_lines, finding_rows, four_up
from BreastLabelLib.server import BreastLabelServer, ServerError

__all__ = [
    "BreastLabelServer",
    "FindingRow",
    "ReadingClock",
    "ServerError",
    "breast_lines",
    "finding_rows",
    "four_up",
]
