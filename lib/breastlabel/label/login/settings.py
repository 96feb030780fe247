"""The one setting that turns the login on, and what goes with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from monailabel.config import settings

from breastlabel.errors import BreastLabelError
from breastlabel.label.login.oidc import OpenIdProvider
from breastlabel.label.login.service import Login
from breastlabel.label.login.sessions import Sessions, signing_key
from breastlabel.label.login.users import UserFile

__all__ = ["LOGIN", "Login", "login_from_environment"]

#: The address of an OpenID Connect provider, or the path of a file of users.
LOGIN = "BREASTLABEL_LOGIN"
_CLIENT_ID, _CLIENT_SECRET = "BREASTLABEL_LOGIN_CLIENT_ID", "BREASTLABEL_LOGIN_CLIENT_SECRET"
_HOURS, _PUBLIC_URL, _HOSTS = "BREASTLABEL_LOGIN_HOURS", "BREASTLABEL_PUBLIC_URL", "BREASTLABEL_ALLOWED_HOSTS"


def login_from_environment(site: Path, environment: Mapping[str, str] | None = None) -> Login | None:
    """The login that the environment asks for; None for none.

    MONAI Label's own ``MONAI_LABEL_AUTH_ENABLE`` turns it on as well, with its realm as the provider.

    Args:
        site: where the secret lies that signs sessions.
        environment: this process's, if not given.

    Raises:
        BreastLabelError: a setting cannot be used.
    """
    environment = os.environ if environment is None else environment
    wanted = environment.get(LOGIN, "").strip()
    if wanted.lower() in ("", "off", "0", "none"):
        if not settings.MONAI_LABEL_AUTH_ENABLE:
            return None
        wanted = settings.MONAI_LABEL_AUTH_REALM_URI
    public_url = environment.get(_PUBLIC_URL, "").strip().rstrip("/") or None
    if public_url is not None and urlsplit(public_url).scheme not in ("http", "https"):
        raise BreastLabelError(
            f"{_PUBLIC_URL} must be the http(s) address under which browsers reach the server; got another; "
            "for example https://breastlabel.hospital.example"
        )
    provider = users = None
    if wanted.startswith(("https://", "http://")):
        provider = OpenIdProvider(
            wanted,
            client_id=environment.get(_CLIENT_ID, "").strip() or settings.MONAI_LABEL_AUTH_CLIENT_ID,
            client_secret=environment.get(_CLIENT_SECRET) or None,
            name_claim=settings.MONAI_LABEL_AUTH_TOKEN_USERNAME,
            roles_claim=settings.MONAI_LABEL_AUTH_TOKEN_ROLES,
        )
    else:
        users = UserFile(Path(wanted).expanduser())
        # A mistyped path must not show only when the first reader comes.
        users.users()
    hosts = [h.strip() for h in environment.get(_HOSTS, "").split(",") if h.strip()]
    if public_url is not None:
        hosts.append(urlsplit(public_url).hostname or "")
    return Login(
        Sessions(signing_key(site / "login.key"), hours=_hours(environment.get(_HOURS, "8"))),
        users=users,
        provider=provider,
        public_url=public_url,
        hosts=hosts,
    )


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0.1 <= hours <= 24 * 30:
        raise BreastLabelError(f"{_HOURS} must be hours from 0.1 to 720; got '{text[:20]}'; 8 is the default")
    return hours
