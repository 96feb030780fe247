"""Who may call a route, where a login is on: MONAI Label's own roles. Each also notes who calls."""

from __future__ import annotations

from typing import Any

from fastapi import Depends
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC

from breastlabel.label.caller import identify

__all__ = ["ADMIN", "ANNOTATOR", "REVIEWER", "USER", "login_is_on"]

USER: list[Any] = [Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER)), Depends(identify)]
ANNOTATOR: list[Any] = [Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR)), Depends(identify)]
REVIEWER: list[Any] = [Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_REVIEWER)), Depends(identify)]
ADMIN: list[Any] = [Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN)), Depends(identify)]


def login_is_on() -> bool:
    """Whether the server asks who calls."""
    return bool(settings.MONAI_LABEL_AUTH_ENABLE)
