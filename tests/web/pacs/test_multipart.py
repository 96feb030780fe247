"""The parts of a message."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breastlabel.web.pacs.multipart import boundary_of, parts_of


def parts(message: bytes, boundary: str = "b0undary") -> list[bytes]:
    with tempfile.TemporaryFile() as file:
        file.write(message)
        return list(parts_of(file, boundary))


@given(st.lists(st.binary(max_size=300).filter(lambda data: b"--b0undary" not in data), max_size=4))
def test_the_parts_come_out_as_they_went_in(contents: list[bytes]) -> None:
    head = b"--b0undary\r\nContent-Type: application/dicom\r\n\r\n"
    message = b"".join(head + content + b"\r\n" for content in contents) + b"--b0undary--"
    assert parts(message) == contents
    assert parts(b"a preamble\r\n" + message + b"\r\nan epilogue") == contents


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"no parts at all",
        b"--b0undary",
        b"--b0undary\r\nContent-Type: x",
        b"--b0undary\r\nContent-Type: x\r\n\r\nwithout an end",
        b"--b0undary\r\nno empty line\r\n--b0undary--",
        b"--b0undary\r\n" + b"x" * 9000 + b"\r\n\r\ncontent\r\n--b0undary--",
    ],
)
def test_a_damaged_message_has_no_parts(message: bytes) -> None:
    assert parts(message) == []


def test_the_boundary_stands_in_the_content_type() -> None:
    assert boundary_of('multipart/related; type="application/dicom"; boundary="a b"') == "a b"
    assert boundary_of("Multipart/Related; boundary=ab-1") == "ab-1"
    for content_type in ("", "multipart/related", "multipart/form-data; boundary=ab", "application/dicom"):
        assert boundary_of(content_type) is None
    assert boundary_of('multipart/related; boundary="a\x01b"') is None
