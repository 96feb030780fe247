"""Whether images are read by the AI before anybody asks."""

from __future__ import annotations

import os
from collections.abc import Mapping

from breastlabel.label.options import Options

__all__ = ["READ_ON_ARRIVAL", "reads_on_arrival"]

#: Set to 0 to let no image be read before somebody asks; ``--conf read_on_arrival true|false`` counts more.
READ_ON_ARRIVAL = "BREASTLABEL_READ_ON_ARRIVAL"


def reads_on_arrival(conf: Mapping[str, str] | None = None) -> bool:
    """As configured; true where nobody says anything.

    Raises:
        BadRequestError: the setting is neither true nor false.
    """
    set_to = (conf or {}).get("read_on_arrival") or os.environ.get(READ_ON_ARRIVAL)
    return bool(Options({"read_on_arrival": set_to}).flag("read_on_arrival", True))
