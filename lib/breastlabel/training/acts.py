"""Trainings and promotions in the site's audit trail."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breastlabel.errors import BreastLabelError

__all__ = ["record_act"]

logger = logging.getLogger(__name__)


def record_act(
    studies: Path,
    action: str,
    details: Mapping[str, Any],
    *,
    author: str | None = None,
    client_id: str | None = None,
) -> None:
    """Note a training, promotion, refusal or rollback in the catalog's audit.

    It follows the act, which stands also where the catalog cannot be written; a warning tells of that.

    Args:
        action: ``model.train``, ``model.promote``, ``model.refuse`` or ``model.rollback``.
        details: the model, versions, reason; plain JSON values without identifiers.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from breastlabel.catalog import Catalog

    try:
        with Catalog.open(studies) as catalog:
            catalog.audit.append(action, author=author, client_id=client_id, details=details)
    except (BreastLabelError, SQLAlchemyError, OSError) as error:
        logger.warning("%s is missing in the audit (%s)", action, type(error).__name__)
