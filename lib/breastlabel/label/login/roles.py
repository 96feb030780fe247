"""The roles of people here, and what MONAI Label calls them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from monailabel.config import settings

from breastlabel.errors import UnknownNameError

__all__ = ["Role", "platform_roles", "roles_named"]


class Role(StrEnum):
    """What a person may do; each may also do what those before it may."""

    #: Look: images, the models' answers, the pages.
    READER = "reader"
    #: Save readings, correct.
    ANNOTATOR = "annotator"
    #: Train, judge readings, take images out.
    ADMIN = "admin"


def platform_roles(roles: Iterable[Role]) -> list[str]:
    """MONAI Label's names of all that the roles allow. It compares them one by one, so each is named."""
    allowed: set[str] = set()
    for role in roles:
        allowed.add(settings.MONAI_LABEL_AUTH_ROLE_USER)
        if role in (Role.ANNOTATOR, Role.ADMIN):
            allowed.add(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR)
        if role is Role.ADMIN:
            allowed |= {settings.MONAI_LABEL_AUTH_ROLE_REVIEWER, settings.MONAI_LABEL_AUTH_ROLE_ADMIN}
    return sorted(allowed)


def roles_named(names: Iterable[str], *, strict: bool = False) -> list[Role]:
    """The roles among the names that an identity provider or a file gives.

    Args:
        names: ours, or MONAI Label's (``monailabel-annotator``); its reviewer is an admin here.
        strict: refuse a name that is no role, instead of passing it over: a provider's list names much else.

    Raises:
        UnknownNameError: with ``strict``, a name that is no role.
    """
    known = {role.value: role for role in Role} | {
        settings.MONAI_LABEL_AUTH_ROLE_USER: Role.READER,
        settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR: Role.ANNOTATOR,
        settings.MONAI_LABEL_AUTH_ROLE_REVIEWER: Role.ADMIN,
        settings.MONAI_LABEL_AUTH_ROLE_ADMIN: Role.ADMIN,
    }
    found = []
    for name in names:
        role = known.get(name)
        if role is not None:
            found.append(role)
        elif strict:
            raise UnknownNameError("role", name, [role.value for role in Role])
    return [role for role in Role if role in found]
