from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.errors import InvalidLabelError
from breastlabel.imaging import Geometry, write_image
from breastlabel.label.segments import LABELS, read_segments

STORED = np.array([[0, 5, 5], [0, 0, 3]], np.uint8)


@pytest.fixture
def label(tmp_path: Path) -> Path:
    path = tmp_path / "label.nii.gz"
    write_image(path, STORED, geometry=Geometry())
    return path


def test_names_say_what_a_value_means(label: Path) -> None:
    info = [{"name": "malignant", "idx": 5}, {"name": "benign", "idx": 3}]
    expected = [[0, 2, 2], [0, 0, 1]]
    assert read_segments(label, shape=(2, 3), label_info=info).tolist() == expected
    assert read_segments(label, shape=(2, 3), label_info=info[::-1]).tolist() == expected


def test_names_may_be_capitalised_and_values_may_be_text(label: Path) -> None:
    info = [{"name": " Malignant ", "idx": "5"}, {"name": "BENIGN", "idx": "3"}]
    assert read_segments(label, shape=(2, 3), label_info=info).tolist() == [[0, 2, 2], [0, 0, 1]]


def test_background_is_nothing_and_several_segments_may_share_a_name(label: Path) -> None:
    info = [{"name": "background", "idx": 5}, {"name": "benign", "idx": 3}, {"name": "benign", "idx": 9}]
    assert read_segments(label, shape=(2, 3), label_info=info).tolist() == [[0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ([{"name": "cyst", "idx": 5}], "benign or malignant; got 'cyst'"),
        ([{"name": "benign", "idx": 5}], "3 is not"),
        ([{"name": "benign", "idx": 5}, {"name": "malignant", "idx": 5}], "5 has several"),
        ([{"name": "benign"}], "label_info must be a list"),
        ([7], "label_info must be a list"),
        ([{"name": "benign", "idx": "x"}], "label_info must be a list"),
        (None, "3"),
        ([], "3"),
    ],
)
def test_what_cannot_be_understood_is_refused(label: Path, info: Any, message: str) -> None:
    with pytest.raises(InvalidLabelError, match=message):
        read_segments(label, shape=(2, 3), label_info=info)


def test_another_size_is_refused_with_both_sizes(label: Path) -> None:
    info = [{"name": "benign", "idx": 5}, {"name": "benign", "idx": 3}]
    with pytest.raises(InvalidLabelError, match=r"3 x 2 .* got 2 x 3"):
        read_segments(label, shape=(3, 2), label_info=info)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.integers(1, 255), min_size=2, max_size=2, unique=True), flipped=st.booleans())
def test_any_values_in_any_order(
    values: list[int], flipped: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("label") / "label.nrrd"
    benign, malignant = values
    write_image(path, np.array([[benign, 0, malignant]], np.uint8), geometry=Geometry())
    info = [{"name": name, "idx": value} for name, value in zip(LABELS, values, strict=True)]
    read = read_segments(path, shape=(1, 3), label_info=info[::-1] if flipped else info)
    assert read.tolist() == [[1, 0, 2]]
