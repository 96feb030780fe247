"""What a PACS holds of our own, kept from readers who have not read the images yet."""

from __future__ import annotations

import json
from typing import Any

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool

from breastlabel.findings.dicom_identity import is_our_uid
from breastlabel.web.own_objects import OwnObjects
from breastlabel.web.pacs.addresses import Resource

__all__ = ["Screen", "screen_for"]

_SERIES, _INSTANCE = "0020000E", "00080018"


class Screen:
    """Of one request, where first readings are blinded.

    Args:
        shown: series of ours that its reader may have.
    """

    def __init__(self, resource: Resource, shown: frozenset[str]) -> None:
        self._resource, self._shown = resource, shown

    def check(self) -> None:
        """Before the PACS is asked.

        Raises:
            HTTPException: 404 where what is asked for is withheld, 409 where it cannot be told from the rest.
        """
        asked = self._resource
        if self._hides(asked.series, asked.instance):
            raise HTTPException(404, "an object of the PACS is required; there is none here")
        if asked.kind == "retrieve" and asked.series is None and not asked.is_metadata:
            raise HTTPException(
                409,
                "one series at a time is required where first readings are blinded; a whole study was asked "
                "for; search for its series",
            )

    def of_answer(self, data: bytes) -> bytes:
        """What is found, or described, without what is withheld.

        Raises:
            HTTPException: 502 where it is not the DICOM JSON model.
        """
        try:
            found = json.loads(data)
            kept = [one for one in found if not self._hides(_uid(one, _SERIES), _uid(one, _INSTANCE))]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise HTTPException(
                502, "the DICOM JSON model is required of the PACS; it gave another"
            ) from None
        return json.dumps(kept, ensure_ascii=False).encode()

    def _hides(self, series: str | None, instance: str | None) -> bool:
        series = series or self._resource.series
        ours = is_our_uid(series or "") or is_our_uid(instance or "")
        return ours and series not in self._shown


async def screen_for(own: OwnObjects, resource: Resource) -> Screen | None:
    """None where nothing is withheld."""
    if not own.is_on:
        return None
    shown = await run_in_threadpool(own.shown, resource.study)
    return None if shown is None else Screen(resource, shown)


def _uid(item: Any, tag: str) -> str | None:
    values = item.get(tag, {}).get("Value")
    return str(values[0]) if values else None
