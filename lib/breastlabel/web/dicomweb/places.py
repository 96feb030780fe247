"""Where things are: the URLs of studies, series and instances, and the UIDs in them."""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Path, Request

from breastlabel.catalog.dicom_instance import DicomInstance, is_uid

__all__ = ["ROOT", "Uid", "check_uids", "instance_url", "root_url", "series_url", "study_url"]

#: The path under which the archive is served.
ROOT = "/dicom-web"

Uid = Annotated[str, Path(max_length=64, description="A UID: digits and dots")]


def check_uids(*uids: str | None) -> None:
    """Answer 400 where one is no UID."""
    if not all(uid is None or is_uid(uid) for uid in uids):
        raise HTTPException(400, "UIDs of digits and dots, 64 at most, are required; the URL has another")


def root_url(request: Request) -> str:
    """Where the request found the archive."""
    return str(request.base_url).rstrip("/") + ROOT


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
