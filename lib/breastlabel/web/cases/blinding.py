"""A blinded first reading: the reader says what they see before they are told what the AI does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from breastlabel.label.options import Options

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["BLINDED_VARIABLE", "is_blinded"]

#: Set to 1 for a blinded first reading; ``--conf blinded true|false`` counts more.
BLINDED_VARIABLE = "BREASTLABEL_BLINDED"


def is_blinded(app: BreastLabelApp) -> bool:
    """Whether readers see the AI's results only after their own.

    Raises:
        BadRequestError: the setting is neither true nor false.
    """
    set_to = app.conf.get("blinded") or os.environ.get(BLINDED_VARIABLE)
    return bool(Options({"blinded": set_to}).flag("blinded", False))
