"""Which PACS, and how to reach it: by the studies' URL and environment variables."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from breastlabel.errors import StudiesError

__all__ = ["PacsSettings", "mirror_folder", "pacs_settings", "require_another_server"]

_PREFIX = "BREASTLABEL_PACS_"
_MODALITY = re.compile(r"[A-Z0-9]{2,16}")
_KEYWORD = re.compile(r"[A-Za-z]{1,64}|[0-9A-Fa-f]{8}")


@dataclass(frozen=True)
class PacsSettings:
    """Where a PACS is and what of it is wanted. Neither its text nor its errors show a secret.

    Attributes:
        url: of its DICOMweb service, without a slash at the end.
        username, password: for basic authentication; None where the PACS asks for none.
        token: for bearer authentication.
        token_file: holds the token instead, and is read anew for each request, since tokens expire.
        client_cert, client_key: PEM files of a client certificate; the key may lie in the certificate's file.
        authority: PEM file of the authorities that vouch for the PACS, instead of the usual ones.
        modalities: whose images are fetched, of DICOM's Modality (0008,0060).
        interval: seconds between two looks for what is new.
        days: fetch only studies that are no older; None for all.
        filters: further matching keys that studies must meet, as QIDO writes them.
        timeout: seconds without an answer, or a further byte of one, after which a request has failed.
        most_bytes: of one object; larger ones are left in the PACS.
        keep_free: bytes of the disk that are left to others, labels above all.
        search_prefix, retrieve_prefix, store_prefix: between URL and resource, where a PACS has such.
    """

    url: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    authority: Path | None = None
    modalities: tuple[str, ...] = ("MG", "US")
    interval: float = 30.0
    days: int | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 30.0
    most_bytes: int = 512 * 10**6
    keep_free: int = 500 * 10**6
    search_prefix: str | None = None
    retrieve_prefix: str | None = None
    store_prefix: str | None = None

    @property
    def key(self) -> str:
        """Tells PACS apart without showing where they are."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def sends_secrets_openly(self) -> bool:
        """Whether credentials go over a network as they are."""
        has_secret = self.username is not None or self.token is not None or self.token_file is not None
        parts = urlsplit(self.url)
        return has_secret and parts.scheme == "http" and not _is_this_machine(parts.hostname or "")

    def bearer(self) -> str | None:
        """The token for the next request.

        Raises:
            StudiesError: its file cannot be read.
        """
        return _read(self.token_file, "TOKEN_FILE") if self.token_file else self.token


def pacs_settings(url: str, environment: Mapping[str, str] | None = None) -> PacsSettings:
    """What the environment (``BREASTLABEL_PACS_...``) says of the PACS at a URL.

    ``MONAI_LABEL_DICOMWEB_USERNAME`` and ``_PASSWORD``, and the stock prefixes, count where ours are not set.

    Raises:
        StudiesError: the URL or a setting cannot be used; the message shows no secret.
    """
    env = os.environ if environment is None else environment
    given = _Given(env)
    username = given.text("USERNAME") or env.get("MONAI_LABEL_DICOMWEB_USERNAME") or None
    password = given.secret("PASSWORD") or env.get("MONAI_LABEL_DICOMWEB_PASSWORD") or None
    token, token_file = given.text("TOKEN"), given.file("TOKEN_FILE")
    if username is not None and (token or token_file):
        raise StudiesError(
            f"one way of authentication is required; got a user name and a token; unset {_PREFIX}USERNAME or "
            f"{_PREFIX}TOKEN"
        )
    if (username is None) != (password is None):
        raise StudiesError(
            f"a user name and a password are required together; got one of them; set both "
            f"{_PREFIX}USERNAME and {_PREFIX}PASSWORD"
        )
    if token_file is not None:
        _read(token_file, "TOKEN_FILE")
    return PacsSettings(
        url=_normal(url),
        username=username,
        password=password,
        token=token,
        token_file=token_file,
        client_cert=given.file("CLIENT_CERT"),
        client_key=given.file("CLIENT_KEY"),
        authority=given.file("CA"),
        modalities=given.modalities(PacsSettings.modalities),
        interval=given.number("INTERVAL", PacsSettings.interval, least=0.2),
        days=None if given.text("DAYS") is None else int(given.number("DAYS", 0, least=0)),
        filters=given.filters(),
        timeout=given.number("TIMEOUT", PacsSettings.timeout, least=0.5),
        most_bytes=int(given.number("MOST_MB", PacsSettings.most_bytes / 1e6, least=1) * 10**6),
        keep_free=int(given.number("KEEP_FREE_MB", PacsSettings.keep_free / 1e6, least=0) * 10**6),
        search_prefix=env.get("MONAI_LABEL_QIDO_PREFIX", "").strip("/") or None,
        retrieve_prefix=env.get("MONAI_LABEL_WADO_PREFIX", "").strip("/") or None,
        store_prefix=env.get("MONAI_LABEL_STOW_PREFIX", "").strip("/") or None,
    )


def mirror_folder(settings: PacsSettings, environment: Mapping[str, str] | None = None) -> Path:
    """The studies folder of a PACS: ``BREASTLABEL_HOME``, else one of its own among the user's data."""
    env = os.environ if environment is None else environment
    home = env.get("BREASTLABEL_HOME")
    if home:
        return Path(home).absolute()
    data = env.get("XDG_DATA_HOME")
    root = Path(data) if data else Path.home() / ".local" / "share"
    return root.absolute() / "breastlabel" / "pacs" / settings.key


def require_another_server(settings: PacsSettings, port: int) -> None:
    """See that the URL is not that of the server itself, which would wait for its own answers.

    Args:
        port: that the server listens on.

    Raises:
        StudiesError: it is.
    """
    parts = urlsplit(settings.url)
    asked = parts.port or (443 if parts.scheme == "https" else 80)
    if asked == port and _is_this_machine(parts.hostname or ""):
        raise StudiesError(
            f"the DICOMweb address of a PACS is required; got that of this server itself (port {port}); "
            "name the PACS with --studies, or a folder"
        )


def _is_this_machine(host: str) -> bool:
    try:
        found = {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    addresses = [ipaddress.ip_address(address) for address in found]
    if any(a.is_loopback or a.is_unspecified for a in addresses):
        return True
    # A socket can be bound to an address of this machine, and to no other.
    return any(_can_bind(str(address)) for address in addresses)


def _can_bind(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _normal(url: str) -> str:
    """The URL in one spelling, so that one PACS has one folder.

    Raises:
        StudiesError: it is none of a web service, or carries what does not belong there.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.scheme.lower() not in ("http", "https"):
        raise StudiesError(
            "the DICOMweb address of a PACS is required, as in https://pacs.example.org/dicom-web; "
            "got one that cannot be read; check --studies"
        )
    # The address stands in the process list and in logs.
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise StudiesError(
            "a PACS address without user name, password and query is required; got one with them; "
            f"set {_PREFIX}USERNAME and {_PREFIX}PASSWORD instead"
        )
    shown = f"[{host}]" if ":" in host else host
    scheme = parts.scheme.lower()
    if port is not None and port != {"http": 80, "https": 443}[scheme]:
        shown = f"{shown}:{port}"
    return f"{scheme}://{shown}{parts.path.rstrip('/')}"


class _Given:
    """Reads ``BREASTLABEL_PACS_...``, and says which of them cannot be used."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str) -> str | None:
        return self._environment.get(_PREFIX + name, "").strip() or None

    def secret(self, name: str) -> str | None:
        """As it stands, or the content of the file that ``..._FILE`` names."""
        file = self.file(f"{name}_FILE")
        return _read(file, f"{name}_FILE") if file else self._environment.get(_PREFIX + name) or None

    def file(self, name: str) -> Path | None:
        value = self.text(name)
        if value is None:
            return None
        path = Path(value).expanduser()
        if not path.is_file():
            raise StudiesError(
                f"{_PREFIX}{name} must name an existing file; there is none at '{value}'; check it"
            )
        return path

    def number(self, name: str, default: float, *, least: float) -> float:
        value = self.text(name)
        try:
            number = default if value is None else float(value)
        except ValueError:
            number = float("nan")
        if not least <= number < float("inf"):
            raise StudiesError(f"{_PREFIX}{name} must be a number from {least:g}; got '{value}'; change it")
        return number

    def modalities(self, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.text("MODALITIES")
        if value is None:
            return default
        names = tuple(dict.fromkeys(name.strip().upper() for name in value.split(",") if name.strip()))
        if not names or not all(_MODALITY.fullmatch(name) for name in names):
            raise StudiesError(
                f"{_PREFIX}MODALITIES must be DICOM modalities with commas between, as in MG,US; "
                f"got '{value}'; change it"
            )
        return names

    def filters(self) -> dict[str, str]:
        value = self.text("FILTER")
        if value is None:
            return {}
        pairs = dict(parse_qsl(value))
        if not pairs or not all(_KEYWORD.fullmatch(name) for name in pairs):
            raise StudiesError(
                f"{_PREFIX}FILTER must be matching keys of studies, as in StudyDescription=*mamm*; "
                f"got '{value}'; change it"
            )
        return pairs


def _read(file: Path, name: str) -> str:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StudiesError(
            f"{_PREFIX}{name} must name a readable text file; got {type(error).__name__}; "
            "check its permissions"
        ) from None
    if not text:
        raise StudiesError(f"{_PREFIX}{name} must name a file with a secret in it; got an empty one; fill it")
    return text
