"""The answer that is a picture of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request, Response

from breastlabel.catalog.dicom_instance import DicomInstance
from breastlabel.web.dicomweb.accept import accepted, not_acceptable
from breastlabel.web.dicomweb.rendered import PICTURES, Rendering, picture

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["picture_answer"]

_THUMBNAIL = "256,256"


def picture_answer(
    app: BreastLabelApp, request: Request, found: DicomInstance, number: int, *, small: bool
) -> Response:
    """The picture in a type that the client accepts; the query gives window, size and quality.

    Args:
        number: of the frame, from 1 on.
        small: a thumbnail, unless the query asks for another size.
    """
    ranges = [
        media._replace(multipart=False) if media.media == "*/*" else media for media in accepted(request)
    ]
    single = [media for media in ranges if not media.multipart]
    media = next((kind for wanted in single for kind in PICTURES if wanted.fits(kind)), None)
    if media is None:
        raise not_acceptable(PICTURES)
    query = request.query_params
    rendering = Rendering.parsed(
        window=query.get("window"),
        viewport=query.get("viewport", _THUMBNAIL if small else None),
        quality=query.get("quality"),
    )
    data = picture(app.archive.file_of(found), number, media, rendering)
    return Response(data, media_type=media, headers={"Cache-Control": "private, max-age=3600"})
