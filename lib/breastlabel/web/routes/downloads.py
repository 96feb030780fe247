"""Answers that are a DICOM file to keep."""

from __future__ import annotations

from fastapi.responses import Response

__all__ = ["dicom_download"]


def dicom_download(content: bytes, name: str) -> Response:
    """A file under the name ``breastlabel-<name>``, which says nothing of the patient.

    No cache keeps it: whoever logs in next at the same machine may not be allowed to see it.
    """
    headers = {
        "Content-Disposition": f'attachment; filename="breastlabel-{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, media_type="application/dicom", headers=headers)
