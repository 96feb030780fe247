"""DICOMweb's resources, and the PACS's addresses in its answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breastlabel.web.pacs.addresses import Rewriter, resource_of

OURS = "http://reader.example.org:8000/dicom-web"
THEIRS = "https://pacs.local:8443/pacs/dicom-web"
REWRITER = Rewriter(THEIRS, OURS)
INSTANCE = "studies/1.2/series/3.4/instances/5.6"


@pytest.mark.parametrize(
    ("path", "kind", "is_metadata"),
    [
        ("studies", "search", True),
        ("series", "search", True),
        ("instances", "search", True),
        ("studies/1.2/series", "search", True),
        ("studies/1.2/instances", "search", True),
        ("studies/1.2/series/3.4/instances", "search", True),
        ("studies/1.2", "retrieve", False),
        ("studies/1.2/metadata", "retrieve", True),
        ("studies/1.2/series/3.4/metadata", "retrieve", True),
        ("studies/1.2/series/3.4/thumbnail", "retrieve", False),
        (INSTANCE, "retrieve", False),
        (f"{INSTANCE}/metadata", "retrieve", True),
        (f"{INSTANCE}/rendered", "retrieve", False),
        (f"{INSTANCE}/frames/1,2,30", "retrieve", False),
        (f"{INSTANCE}/frames/1/rendered", "retrieve", False),
        (f"{INSTANCE}/bulk/7fe00010", "retrieve", False),
        (f"{INSTANCE}/bulkdata/00409096/1/00281052", "retrieve", False),
    ],
)
def test_resources_of_the_standard_are_known(path: str, kind: str, is_metadata: bool) -> None:
    resource = resource_of(path)
    assert resource is not None
    assert (resource.path, resource.kind, resource.is_metadata) == (path, kind, is_metadata)


def test_objects_are_stored_in_studies_only() -> None:
    assert resource_of("studies", store=True)
    assert resource_of("studies/1.2", store=True)
    for path in ("", "series", "studies/1.2/series", "studies/", "studies/x"):
        assert resource_of(path, store=True) is None


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "/",
            "studies/",
            "studies//1.2",
            "/studies",
            "studies/1.2/",
            "Studies",
            "system",
            "studies/..",
            ".",
        ),
        *("studies/1..2", "studies/.1", "studies/1.2.", "studies/1.2\n", "studies/1.2 ", "studies/１.２"),
        *(f"studies/{'1' * 65}", "studies/1.2?x=y", "studies/1.2#", "studies/1.2/series/3.4/instances/../x"),
        *(f"{INSTANCE}/frames/0", f"{INSTANCE}/frames/1,", f"{INSTANCE}/frames/", f"{INSTANCE}/bulk"),
        *(
            f"{INSTANCE}/bulk/../x",
            f"{INSTANCE}/bulk/{'1/' * 40}1",
            f"{INSTANCE}/rendered/x",
            "http://x/studies",
        ),
    ],
)
def test_nothing_else_is_a_resource(path: str) -> None:
    assert resource_of(path) is None


@given(st.text(max_size=40))
def test_a_resource_holds_nothing_that_could_lead_elsewhere(text: str) -> None:
    for path in (text, f"studies/{text}", f"{INSTANCE}/{text}"):
        for store in (False, True):
            resource = resource_of(path, store=store)
            if resource is not None:
                assert set(resource.path) <= set("abcdefghijklmnopqrstuvwxyzABCDEF0123456789./,")
                assert "//" not in resource.path
                assert ".." not in resource.path


@pytest.mark.parametrize(
    "theirs",
    [
        f"{THEIRS}/{INSTANCE}/bulk/7fe00010",
        f"http://inner.example/another/base/{INSTANCE}/bulk/7fe00010",
        f"http://pacs/{INSTANCE}/bulk/7fe00010",
    ],
)
def test_an_address_of_a_resource_becomes_ours_whatever_the_pacs_calls_itself(theirs: str) -> None:
    told = json.dumps([{"7FE00010": {"vr": "OW", "BulkDataURI": theirs}, "00081190": {"Value": [theirs]}}])
    for text in (told, told.replace("/", "\\/")):
        (entry,) = json.loads(REWRITER.text(text.encode()))
        assert entry["7FE00010"]["BulkDataURI"] == f"{OURS}/{INSTANCE}/bulk/7fe00010"
        assert entry["00081190"]["Value"] == [f"{OURS}/{INSTANCE}/bulk/7fe00010"]


def test_other_text_stays_as_it_is() -> None:
    told = json.dumps({"00081030": {"Value": ["see https://guidelines.example.org/birads", "http", "Größe"]}})
    assert REWRITER.text(told.encode()) == told.encode()
    assert REWRITER.text(f'"{THEIRS}/bulk/77"'.encode()) == f'"{OURS}/bulk/77"'.encode()
    assert REWRITER.text(b'"https://pacs.local:8443/elsewhere"') == f'"{OURS}/elsewhere"'.encode()
    xml = f"<DicomAttribute><Value>{THEIRS}/studies/1.2</Value></DicomAttribute>"
    assert REWRITER.text(xml.encode()) == xml.replace(THEIRS, OURS).encode()


async def _pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


@given(
    st.integers(1, 90), st.lists(st.sampled_from(["studies/1.2", f"{INSTANCE}/bulk/7fe00010"]), max_size=5)
)
def test_the_answer_is_the_same_however_it_is_cut_into_pieces(size: int, paths: list[str]) -> None:
    told = json.dumps([{"htt": "h", "BulkDataURI": f"{THEIRS}/{path}"} for path in paths]).encode()
    assert asyncio.run(_joined(REWRITER.texts(_pieces(told, size)))) == REWRITER.text(told)


@given(st.integers(1, 90), st.binary(max_size=200))
def test_of_a_multipart_message_only_headers_are_rewritten(size: int, pixels: bytes) -> None:
    head = b"--b0undary\r\nContent-Type: application/octet-stream\r\nContent-Location: %s/studies/1.2\r\n\r\n"
    content = pixels + f"{THEIRS}/studies/1.2".encode()
    message = b"".join(head % THEIRS.encode() + content + b"\r\n" for _ in range(2)) + b"--b0undary--\r\n"
    wanted = b"".join(head % OURS.encode() + content + b"\r\n" for _ in range(2)) + b"--b0undary--\r\n"
    assert asyncio.run(_joined(REWRITER.parts(_pieces(message, size), "b0undary"))) == wanted
