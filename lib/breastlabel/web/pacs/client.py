"""What this server asks of a PACS: what studies, series and instances it has, the objects, to keep ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import requests
from dicomweb_client import DICOMwebClient

from breastlabel.errors import BreastLabelError
from breastlabel.imaging.dicom_values import is_uid
from breastlabel.web.pacs.errors import (
    PacsAwayError,
    PacsError,
    PacsMissingError,
    PacsObjectError,
    PacsRefusalError,
)
from breastlabel.web.pacs.settings import PacsSettings
from breastlabel.web.pacs.transport import pacs_session

__all__ = ["Found", "PacsClient", "Place"]

T = TypeVar("T")

_TLS_REASON = re.compile(r"\[SSL: ([A-Z0-9_]+)\]")
#: So few that no server refuses to give as many at once, and so many that one question mostly suffices.
_PAGE = 200
#: The least number of results at which a server may have held others back.
_SMALLEST_CAP = 100


class Place(NamedTuple):
    """Where an object is in a PACS: UIDs of study, series and instance."""

    study: str
    series: str
    instance: str


class Found(NamedTuple):
    """What a search says of a study, a series or an instance.

    Attributes:
        uid: its own.
        modality: of a series; empty where not said.
        instances: how many it has; None where not said.
        series: of a study, how many it has; None where not said.
        sop_class: of an instance; empty where not said.
        frames: of an instance; 1 where not said.
    """

    uid: str
    modality: str = ""
    instances: int | None = None
    series: int | None = None
    sop_class: str = ""
    frames: int = 1


class PacsClient:
    """Speaks DICOMweb with one PACS. May be shared by threads: its session keeps nothing but connections.

    Every method raises:
        PacsAwayError: it does not answer.
        PacsRefusalError: it does not let this server in.
        PacsError: it answers what no PACS should.
    """

    def __init__(self, settings: PacsSettings, *, name: str = "") -> None:
        self._web = _Web(
            settings.url,
            session=pacs_session(settings, name=name),
            qido_url_prefix=settings.search_prefix,
            wado_url_prefix=settings.retrieve_prefix,
            stow_url_prefix=settings.store_prefix,
            permissive_uid=True,
        )
        # It leaves the port out of the Host header, and a PACS builds its addresses from that.
        self._web.host = settings.url.split("/")[2]
        # The session repeats what may be repeated.
        self._web.set_http_retry_params(retry=False)

    def studies(self, filters: Mapping[str, str]) -> list[Found]:
        """Studies that meet matching keys, each once, however many there are."""
        fields = ["00201206", "00201208"]
        return self._all(
            lambda page: self._web.search_for_studies(search_filters=dict(filters), fields=fields, **page),
            "0020000D",
        )

    def series(self, study: str) -> list[Found]:
        """The series of a study."""
        fields = ["00080060", "00201209"]
        return self._all(lambda page: self._web.search_for_series(study, fields=fields, **page), "0020000E")

    def instances(self, study: str, series: str) -> list[Found]:
        """The instances of a series."""
        fields = ["00080016", "00280008"]
        return self._all(
            lambda page: self._web.search_for_instances(study, series, fields=fields, **page), "00080018"
        )

    def retrieve(self, place: Place) -> bytes:
        """An object as it is stored: a DICOM file.

        Raises:
            PacsObjectError: the PACS does not give it, or it is too large.
        """
        if not all(map(is_uid, place)):
            raise PacsObjectError("UIDs of a study, a series and an instance are required; got others")
        return _asked(lambda: self._web.file_of(place))

    def has(self, place: Place) -> bool:
        """Whether the PACS has an object: False only where it says that at its address there is none."""
        try:
            _asked(lambda: self._web.ask_for(place))
        except PacsMissingError:
            return False
        except PacsObjectError:
            # Any other fault says nothing of whether it is there.
            pass
        return True

    def store(self, file: Path) -> None:
        """Have the PACS keep a DICOM file.

        Raises:
            PacsObjectError: it does not take it.
        """
        from pydicom import dcmread

        answer = _asked(lambda: self._web.store_instances([dcmread(file)]))
        if len(answer.get("FailedSOPSequence") or ()):
            raise PacsObjectError(
                "a PACS that takes what is stored is required; it refused an object; look at its log"
            )

    def _all(self, ask: Callable[[dict[str, Any]], list[dict[str, Any]]], uid: str) -> list[Found]:
        """Every result, page by page, by servers that page well, badly, or not at all."""
        found: dict[str, Found] = {}
        offset = 0
        while True:
            page = _asked(lambda offset=offset: ask({"limit": _PAGE, "offset": offset}))  # type: ignore[misc]
            before = len(found)
            _keep(found, page, uid)
            if len(found) == before and offset:
                break
            if len(page) < _SMALLEST_CAP or len(page) > _PAGE:
                return list(found.values())
            offset += len(page)
        # Nothing new on a further page: that was all, or the server cannot page. Orthanc 1.10 takes the
        # offset off the first page's results where modalities are asked for.
        _keep(found, _asked(lambda: ask({})), uid)
        return list(found.values())


class _Web(DICOMwebClient):
    """Gives objects as they came: read and written again, a damaged one would be another."""

    def ask_for(self, place: Place) -> None:
        """Raises what the PACS answers where it does not describe an object; what it says is not read."""
        self._http_get(f"{self._address(place)}/metadata", headers={"Accept": "application/dicom+json"})

    def file_of(self, place: Place) -> bytes:
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        response = self._http_get(self._address(place), headers={"Accept": accept})
        # PS3.18 wants a multipart message; some servers send the file alone.
        if response.headers.get("Content-Type", "").lower().startswith("application/dicom"):
            return bytes(response.content)
        parts = [bytes(part) for part in self._decode_multipart_message(response, stream=False)]
        if len(parts) != 1:
            raise PacsObjectError(f"one object is required; the PACS sent {len(parts)}; look at its log")
        return parts[0]

    def _address(self, place: Place) -> str:
        root = f"{self.base_url}/{self.wado_url_prefix}" if self.wado_url_prefix else self.base_url
        return f"{root}/studies/{place.study}/series/{place.series}/instances/{place.instance}"


def _keep(found: dict[str, Found], page: object, uid: str) -> None:
    for entry in page if isinstance(page, list) else ():
        own = _value(entry, uid)
        # What is no UID is never asked for, or written anywhere.
        if not isinstance(own, str) or not is_uid(own):
            continue
        found[own] = Found(
            uid=own,
            modality=str(_value(entry, "00080060") or "").upper(),
            instances=_count(_value(entry, "00201208" if uid == "0020000D" else "00201209")),
            series=_count(_value(entry, "00201206")),
            sop_class=str(_value(entry, "00080016") or ""),
            frames=_count(_value(entry, "00280008")) or 1,
        )


def _value(entry: object, tag: str) -> Any:
    """The first value of an attribute in the DICOM JSON model; None where it has none."""
    element = entry.get(tag) if isinstance(entry, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _count(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError):
        return None


def _asked(ask: Callable[[], T]) -> T:
    """The answer; whatever goes wrong as an error without addresses, names and numbers."""
    try:
        return ask()
    except BreastLabelError:
        raise
    except requests.exceptions.SSLError as error:
        raise PacsRefusalError(
            "a PACS whose certificate can be verified is required; that failed "
            f"({_tls_reason(error)}); set BREASTLABEL_PACS_CA, or "
            "BREASTLABEL_PACS_CLIENT_CERT if it asks for one"
        ) from None
    except requests.exceptions.TooManyRedirects:
        raise PacsRefusalError(
            "the DICOMweb address itself is required; the PACS leads elsewhere (a redirect), where nobody "
            "follows; name the final address with --studies"
        ) from None
    except requests.exceptions.HTTPError as error:
        raise _of_status(error.response.status_code if error.response is not None else 0) from None
    except requests.exceptions.JSONDecodeError as error:
        raise _no_dicomweb(error) from None
    except requests.exceptions.RequestException as error:
        raise PacsAwayError(
            f"a PACS that answers is required; it does not ({type(error).__name__}); see that it runs and is "
            "reached from here"
        ) from None
    except Exception as error:
        # JSON that is none, messages without an end: the text would quote them.
        raise _no_dicomweb(error) from None


def _no_dicomweb(error: Exception) -> PacsError:
    return PacsError(
        f"answers of DICOMweb are required; the PACS gave something else ({type(error).__name__}); "
        "check the path in --studies"
    )


def _of_status(status: int) -> PacsError:
    if status in (401, 403):
        return PacsRefusalError(
            f"credentials that the PACS accepts are required; it refused them ({status}); set "
            "BREASTLABEL_PACS_USERNAME and BREASTLABEL_PACS_PASSWORD, or BREASTLABEL_PACS_TOKEN"
        )
    if status == 508:
        return PacsRefusalError(
            "the DICOMweb address of a PACS is required; got that of this server itself; name the PACS with "
            "--studies, or a folder"
        )
    if status in (408, 429, 502, 503, 504):
        return PacsAwayError(f"a PACS that answers is required; it is busy or down ({status}); wait")
    kind = PacsMissingError if status in (404, 410) else PacsObjectError
    return kind(f"an object or a search that the PACS answers is required; it said {status}; look at its log")


def _tls_reason(error: Exception) -> str:
    """OpenSSL's own word for it; the rest of the text holds the address."""
    named = _TLS_REASON.search(str(error))
    return named[1].lower().replace("_", " ") if named else "TLS"
