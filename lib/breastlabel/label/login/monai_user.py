"""The user of a request as MONAI Label's role checks want them."""

from __future__ import annotations

from fastapi import HTTPException, Request
from monailabel.endpoints.user.auth import DEFAULT_USER
from monailabel.endpoints.user.auth import User as PlatformUser

from breastlabel.label.login.guard import user_of
from breastlabel.label.login.roles import platform_roles

__all__ = ["current_user", "user_without_login"]


async def current_user(request: Request) -> PlatformUser:
    """In the place of the platform's `get_current_user`, which refuses every valid token under PyJWT 2."""
    user = user_of(request.scope)
    if user is None:
        raise HTTPException(401, "a login is required; log in first")
    return PlatformUser(username=user.name, name=user.name, roles=platform_roles(user.roles))


async def user_without_login() -> PlatformUser:
    """Where there is no login, everybody may do everything."""
    return DEFAULT_USER
