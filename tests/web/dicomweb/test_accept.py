"""Accept headers as clients write them."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from breastlabel.web.dicomweb.accept import MediaRange, accepted


def asked(accept: str, query: str = "") -> list[MediaRange]:
    scope = {
        "type": "http",
        "headers": [(b"accept", accept.encode())] if accept else [],
        "query_string": query.encode(),
    }
    return accepted(Request(scope))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", [MediaRange("*/*", True, None)]),
        ("application/dicom+json", [MediaRange("application/dicom+json", False, None)]),
        (
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            [MediaRange("application/octet-stream", True, "*")],
        ),
        (
            'multipart/related; type="image/jp2"; transfer-syntax=1.2.3, multipart/related; type="a/b";q=0.2',
            [MediaRange("image/jp2", True, "1.2.3"), MediaRange("a/b", True, None)],
        ),
        (
            "image/jpeg;q=0.2,image/png;q=0.9",
            [MediaRange("image/png", False, None), MediaRange("image/jpeg", False, None)],
        ),
        ('MULTIPART/Related;TYPE="Application/DICOM"', [MediaRange("application/dicom", True, None)]),
        ("image/png;q=0", []),
        ("image/png;q=very", [MediaRange("image/png", False, None)]),
        ("nonsense", []),
    ],
)
def test_headers(accept: str, expected: list[MediaRange]) -> None:
    assert asked(accept) == expected


def test_the_query_counts_more() -> None:
    assert asked("image/jpeg", "accept=image/png") == [MediaRange("image/png", False, None)]


def test_ranges() -> None:
    assert MediaRange("image/*", False, None).fits("image/png")
    assert not MediaRange("image/*", False, None).fits("application/png")
    assert MediaRange("*/*", False, None).fits("application/dicom")
    assert not MediaRange("image/png", False, None).fits("image/jpeg")
