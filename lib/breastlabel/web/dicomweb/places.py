"""Where things are: the URLs of studies, series and instances, and what the UIDs in them name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import HTTPException, Path, Request

from breastlabel.catalog.dicom_instance import DicomInstance
from breastlabel.errors import NotFoundError
from breastlabel.imaging.dicom_values import is_uid
from breastlabel.label.access import is_local
from breastlabel.web.own_objects import OwnObjects

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["ROOT", "Uid", "check_uids", "finder", "instance_url", "root_url", "series_url", "study_url"]

#: The path under which the archive is served.
ROOT = "/dicom-web"

Uid = Annotated[str, Path(max_length=64, description="A UID: digits and dots")]


def check_uids(*uids: str | None) -> None:
    """Answer 400 where one is no UID."""
    if not all(uid is None or is_uid(uid) for uid in uids):
        raise HTTPException(400, "UIDs of digits and dots, 64 at most, are required; the URL has another")


def root_url(request: Request) -> str:
    """Where the request found the archive; where a proxy stands before the server, the site says it.

    dicomweb-client names the host without its port; on this machine, without a proxy between, it is known.
    """
    public = os.environ.get("BREASTLABEL_PUBLIC_URL", "").strip().rstrip("/")
    if public.startswith(("http://", "https://")):
        return public + ROOT
    base, server = request.base_url, request.scope.get("server")
    if base.port is None and server and server[1] and is_local(base.hostname or ""):
        forwarded = any(name.startswith("x-forwarded") for name in request.headers)
        if not forwarded and server[1] not in (80, 443):
            base = base.replace(port=server[1])
    return str(base).rstrip("/") + ROOT


def study_url(root: str, study: str) -> str:
    """Where a study is retrieved."""
    return f"{root}/studies/{study}"


def series_url(root: str, study: str, series: str) -> str:
    """Where a series is retrieved."""
    return f"{root}/studies/{study}/series/{series}"


def instance_url(root: str, instance: DicomInstance) -> str:
    """Where an instance is retrieved."""
    series = series_url(root, instance.study_instance_uid, instance.series_instance_uid)
    return f"{series}/instances/{instance.sop_instance_uid}"


def finder(app: BreastLabelApp) -> Callable[..., list[DicomInstance]]:
    """Finds the instances of a study, a series of it or one of that, by UIDs; 404 without any.

    What of our own the caller may not have yet is not found.
    """
    own = OwnObjects(app)

    def find(study: str, series: str | None = None, instance: str | None = None) -> list[DicomInstance]:
        check_uids(study, series, instance)
        if instance is None:
            found = app.catalog.dicom.find(study=study, series=series)
        else:
            one = app.catalog.dicom.instance(instance)
            place = one and (one.study_instance_uid, one.series_instance_uid)
            found = [one] if one is not None and place == (study, series) else []
        if any(one.origin == "ours" for one in found) and (shown := own.shown(study)) is not None:
            found = [one for one in found if one.origin != "ours" or one.series_instance_uid in shown]
        if not found:
            raise NotFoundError("a study, series or instance of the archive is required; there is none here")
        return found

    return find
