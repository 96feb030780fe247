"""What a client accepts: media ranges with transfer syntaxes (PS3.18 8.7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from fastapi import HTTPException, Request

__all__ = ["ANY", "JSON_TYPE", "MediaRange", "accepted", "check_json", "not_acceptable"]

ANY = "*"
JSON_TYPE = "application/dicom+json"
_PART = re.compile(r'((?:[^,"]|"[^"]*")+)')
_PARAMETER = re.compile(r';\s*([\w-]+)\s*=\s*("[^"]*"|[^;]*)')


class MediaRange(NamedTuple):
    """One range of an Accept header.

    Attributes:
        media: such as ``application/dicom``; the type within where it is a multipart.
        multipart: whether it is to come as ``multipart/related``.
        syntax: the transfer syntax's UID, ``*`` for whatever is stored, or None where none is named.
    """

    media: str
    multipart: bool
    syntax: str | None

    def fits(self, media: str) -> bool:
        """Whether a media type is in this range."""
        kind, _, _ = self.media.partition("/")
        return self.media in (media, "*/*") or self.media == f"{kind}/*" == f"{media.partition('/')[0]}/*"


def accepted(request: Request) -> list[MediaRange]:
    """What a request accepts, best first; anything where it does not say.

    The query parameter ``accept`` counts more than the header: it is for links, where no header can be set.
    """
    said = ",".join(request.query_params.getlist("accept")) or ",".join(request.headers.getlist("accept"))
    if not said.strip():
        return [MediaRange("*/*", True, None)]
    ranges = [found for part in _PART.findall(said) if (found := _range(part)) is not None]
    ranges.sort(key=lambda found: -found[0])
    return [media for _, media in ranges]


def check_json(request: Request) -> None:
    """Answer 406 to a client that takes no JSON."""
    if not any(
        not media.multipart and (media.fits(JSON_TYPE) or media.fits("application/json"))
        for media in (m._replace(multipart=False) if m.media == "*/*" else m for m in accepted(request))
    ):
        raise not_acceptable([JSON_TYPE])


def not_acceptable(offered: Sequence[str]) -> HTTPException:
    """The answer to a client that takes none of what there is."""
    return HTTPException(
        406,
        f"one of {', '.join(offered)} has to be acceptable; the request asks for others; change its Accept",
    )


def _range(text: str) -> tuple[float, MediaRange] | None:
    media = text.partition(";")[0].strip().lower()
    if "/" not in media:
        return None
    found = {name.lower(): value.strip().strip('"') for name, value in _PARAMETER.findall(text)}
    try:
        quality = float(found.get("q", "1"))
    except ValueError:
        quality = 1.0
    if quality <= 0:
        return None
    multipart = media == "multipart/related"
    if multipart:
        media = found.get("type", "*/*").lower()
    return quality, MediaRange(media, multipart or media == "*/*", found.get("transfer-syntax"))
