"""Which DICOMweb resources there are (PS3.18 10), and the PACS's addresses in its answers as ours."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["Resource", "Rewriter", "resource_of"]

_UID = r"(?=[0-9.]{1,64}(?:/|$))[0-9]+(?:\.[0-9]+)*"
_TAG = r"[0-9A-Fa-f]{8}"
_FRAMES = r"[1-9][0-9]{0,8}(?:,[1-9][0-9]{0,8}){0,9999}"
_STUDY, _SERIES = rf"studies/{_UID}", rf"studies/{_UID}/series/{_UID}"
_INSTANCE = rf"{_SERIES}/instances/{_UID}"
_SEARCHES = (
    "studies",
    "series",
    "instances",
    rf"{_STUDY}/series",
    rf"{_STUDY}/instances",
    rf"{_SERIES}/instances",
)
_RETRIEVALS = (
    *(f"{level}(?:/(?:metadata|rendered|thumbnail))?" for level in (_STUDY, _SERIES, _INSTANCE)),
    rf"{_INSTANCE}/frames/{_FRAMES}(?:/(?:rendered|thumbnail))?",
    # The standard leaves the path of bulk data open; Orthanc and dcm4chee name the attribute, and items of
    # sequences by their number.
    rf"{_INSTANCE}/bulk(?:data)?(?:/{_TAG}|/[1-9][0-9]{{0,5}}){{1,32}}",
)
_SEARCH = re.compile("|".join(_SEARCHES))
_RETRIEVAL = re.compile("|".join(_RETRIEVALS))
_STORE = re.compile(rf"studies(?:/{_UID})?")
_TAIL = re.compile(rb"/(?:studies|series|instances)(?:[/?]|$)")
#: A web address in JSON, where slashes may be escaped, in XML, or in a header of a part.
_ADDRESS = re.compile(rb"""https?:(?:\\?/){2}[^"'<>\s]+""")
#: The longest address that is looked for.
_LONGEST = 4096


@dataclass(frozen=True)
class Resource:
    """A resource that DICOMweb names.

    Attributes:
        path: below the service's address; digits, letters and slashes only.
        kind: "search", "retrieve" or "store".
        is_metadata: whether it is described in text and not in pixels.
    """

    path: str
    kind: str
    is_metadata: bool

    @property
    def study(self) -> str | None:
        """Its UID, where the path names one."""
        return self._named("studies", 0)

    @property
    def series(self) -> str | None:
        """As `study`."""
        return self._named("series", 2)

    @property
    def instance(self) -> str | None:
        """As `study`."""
        return self._named("instances", 4)

    def _named(self, level: str, at: int) -> str | None:
        parts = self.path.split("/")
        return parts[at + 1] if len(parts) > at + 1 and parts[at] == level else None


def resource_of(path: str, *, store: bool = False) -> Resource | None:
    """The resource that a path names; None where DICOMweb has none such.

    Args:
        path: below the service's address, without a slash at its start, percent escapes undone.
        store: whether something is to be stored there.
    """
    if store:
        return Resource(path, "store", True) if _STORE.fullmatch(path) else None
    if _SEARCH.fullmatch(path):
        return Resource(path, "search", True)
    if _RETRIEVAL.fullmatch(path):
        return Resource(path, "retrieve", path.endswith("/metadata"))
    return None


class Rewriter:
    """Puts our address in the place of the PACS's.

    A PACS may know itself under another name than we do, so every address counts whose path names a DICOMweb
    resource, and every one of the host that we ask.
    """

    def __init__(self, theirs: str, ours: str) -> None:
        """Args: the service's addresses, without a slash at their ends."""
        parts = urlsplit(theirs)
        self._host = parts.netloc.lower().encode()
        self._path = parts.path.encode()
        self._ours = ours.encode()

    def text(self, data: bytes) -> bytes:
        """JSON, XML, or headers."""
        return _ADDRESS.sub(lambda found: self._own(found[0]), data)

    async def texts(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """`text` of what comes in pieces: an address that goes on in the next one is kept back."""
        rest = b""
        async for chunk in chunks:
            rest += chunk
            cut = _open_end(rest)
            yield self.text(rest[:cut])
            rest = rest[cut:]
        yield self.text(rest)

    async def parts(self, chunks: AsyncIterator[bytes], boundary: str) -> AsyncIterator[bytes]:
        """A multipart message: the headers of its parts, and not a byte of their content."""
        mark = f"--{boundary}\r\n".encode("latin-1")
        rest, in_headers = b"", False
        async for chunk in chunks:
            rest += chunk
            out = []
            while True:
                if in_headers:
                    end = rest.find(b"\r\n\r\n")
                    if end < 0 and len(rest) < 2 * _LONGEST:
                        break
                    end = len(rest) if end < 0 else end + 4
                    out.append(self.text(rest[:end]))
                else:
                    end = rest.find(mark)
                    if end < 0:
                        # The mark itself may be cut in two.
                        keep = max(0, len(rest) - len(mark) + 1)
                        out.append(rest[:keep])
                        rest = rest[keep:]
                        break
                    end += len(mark)
                    out.append(rest[:end])
                rest, in_headers = rest[end:], not in_headers
            if data := b"".join(out):
                yield data
        if rest:
            yield self.text(rest) if in_headers else rest

    def _own(self, address: bytes) -> bytes:
        plain = address.replace(b"\\/", b"/")
        host, _, path = plain.partition(b"://")[2].partition(b"/")
        tail = _TAIL.search(b"/" + path)
        if tail is not None:
            return self._ours + (b"/" + path)[tail.start() :]
        if host.rpartition(b"@")[2].lower() == self._host:
            return self._ours + (b"/" + path).removeprefix(self._path)
        return address


def _open_end(data: bytes) -> int:
    """Where an address may begin that is not complete; the length where none does."""
    tail = data[-_LONGEST:]
    offset = len(data) - len(tail)
    for found in re.finditer(rb"""(?:h|ht|htt|http|https|https?:[^"'<>\s]*)$""", tail):
        return offset + found.start()
    return len(data)
