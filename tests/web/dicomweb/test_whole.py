"""A file that was cut off anywhere is told from a whole one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian
from tests.imaging.mammograms import LOSSLESS, film, mammogram

from breastlabel.imaging.dicom_writing import dicom_bytes
from breastlabel.web.dicomweb.whole import is_whole


def nested(syntax: str) -> bytes:
    """With sequences of defined and of undefined length, nested, and one that is empty."""
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "one"
    outer.ViewModifierCodeSequence = [inner, inner]
    dataset = mammogram(film(), syntax=syntax, ViewCodeSequence=[outer], AcquisitionContextSequence=[])
    dataset["ViewCodeSequence"].is_undefined_length = True
    dataset.ViewCodeSequence[0].is_undefined_length_sequence_item = True
    dataset.ViewCodeSequence[0]["ViewModifierCodeSequence"].is_undefined_length = True
    return dicom_bytes(dataset)


FILES = {syntax: nested(syntax) for syntax in LOSSLESS}


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_whole_files_are_whole(tmp_path: Path, syntax: str) -> None:
    file = tmp_path / "a.dcm"
    file.write_bytes(FILES[syntax])
    assert is_whole(file, syntax)
    if syntax.name != "Deflated Explicit VR Little Endian":
        file.write_bytes(FILES[syntax] + b"\0" * 104)
        assert is_whole(file, syntax)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cut_files_are_not(tmp_path: Path, data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from(LOSSLESS))
    whole = FILES[syntax]
    file = tmp_path / "a.dcm"
    # A deflated stream is filled up to an even length.
    size = data.draw(st.integers(0, len(whole) - 2))
    file.write_bytes(whole[:size])
    if is_whole(file, syntax):
        # Between two elements, which no one can tell from a file that ends there; never within the pixels.
        assert _is_boundary(whole, size, syntax)


def _is_boundary(whole: bytes, size: int, syntax: str) -> bool:
    """Whether a top-level element begins there."""
    order: Literal["big", "little"] = "big" if syntax == ExplicitVRBigEndian else "little"
    group, element = (int.from_bytes(whole[at : at + 2], order) for at in (size, size + 2))
    return (group << 16) + element in pydicom.dcmread(io.BytesIO(whole))


def test_noise_is_not(tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    for content in (b"", b"\0" * 132, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 400):
        file.write_bytes(content)
        assert not is_whole(file, "1.2.840.10008.1.2.1")
