"""Modality LUT, VOI and inversion against the formulas of PS3.3 C.11."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from breastlabel.imaging.dicom_grey import grey_pixels


def described(dtype: Any = np.uint16, bits: int = 12, **tags: Any) -> Dataset:
    dataset = Dataset()
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * np.dtype(dtype).itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(np.dtype(dtype).kind == "i")
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def table(values: list[int], *, first: int = 0, bits: int = 12) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", values)
    return Sequence([item])


STORED = np.array([[0, 1000, 2047], [2048, 3000, 4095]], np.uint16)


def greys(dataset: Dataset, *, displayed: bool = True, stored: Any = STORED) -> tuple[Any, str | None]:
    return grey_pixels(stored, dataset, displayed=displayed)


@pytest.mark.parametrize(
    ("function", "formula"),
    [
        (None, lambda x: np.clip((x - (2000 - 0.5)) / (1000 - 1) + 0.5, 0, 1)),
        ("LINEAR", lambda x: np.clip((x - (2000 - 0.5)) / (1000 - 1) + 0.5, 0, 1)),
        ("LINEAR_EXACT", lambda x: np.clip((x - 2000) / 1000 + 0.5, 0, 1)),
        ("SIGMOID", lambda x: 1 / (1 + np.exp(-4 * (x - 2000) / 1000))),
    ],
)
def test_the_first_window_is_applied(function: str | None, formula: Any) -> None:
    tags = {} if function is None else {"VOILUTFunction": function}
    dataset = described(WindowCenter=[2000, 1], WindowWidth=[1000, 2], **tags)
    pixels, applied = greys(dataset)
    np.testing.assert_allclose(pixels, 4095 * formula(STORED.astype(float)), rtol=1e-5, atol=1e-3)
    assert applied == "window"
    raw, applied = greys(dataset, displayed=False)
    np.testing.assert_array_equal(raw, STORED)
    assert applied is None


def test_a_window_counts_in_the_units_after_rescale() -> None:
    dataset = described(RescaleSlope=2, RescaleIntercept=-100, WindowCenter=1900, WindowWidth=4000)
    dataset.VOILUTFunction = "LINEAR_EXACT"
    share = np.clip((STORED * 2.0 - 100 - 1900) / 4000 + 0.5, 0, 1)
    np.testing.assert_allclose(greys(dataset)[0], -100 + 8190 * share, rtol=1e-5, atol=1e-3)


def test_a_window_after_a_negative_slope_keeps_much_bright() -> None:
    dataset = described(RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(greys(dataset)[0], 4095 - STORED, atol=1)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    np.testing.assert_allclose(greys(dataset)[0], STORED, atol=1)


def test_a_voi_lut_comes_before_a_window() -> None:
    dataset = described(VOILUTSequence=table([0, 100, 4000], first=2047), WindowCenter=5, WindowWidth=5)
    pixels, applied = greys(dataset)
    # Below the first value mapped the first entry counts, above the last the last.
    np.testing.assert_array_equal(pixels, [[0, 0, 0], [100, 4000, 4000]])
    assert applied == "lut"


def test_a_table_of_bytes_is_read_in_either_width() -> None:
    for bits, data in ((8, bytes([5, 9])), (12, np.array([5, 9], "<u2").tobytes())):
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [2, 1000, bits])
        item.add_new("LUTData", "OW", data)
        pixels, _ = greys(described(VOILUTSequence=Sequence([item])))
        np.testing.assert_array_equal(pixels, [[5, 5, 9], [9, 9, 9]])


def test_a_modality_lut_comes_before_the_window() -> None:
    dataset = described(ModalityLUTSequence=table([7, 70, 700], first=2046, bits=10))
    np.testing.assert_array_equal(greys(dataset)[0], [[7, 7, 70], [700, 700, 700]])
    dataset.PhotometricInterpretation = "MONOCHROME1"
    np.testing.assert_array_equal(greys(dataset)[0], 1023 - np.array([[7, 7, 70], [700, 700, 700]]))


@pytest.mark.parametrize("shape", [None, "INVERSE"])
def test_monochrome1_is_mirrored_once_and_after_the_window(shape: str | None) -> None:
    tags = {} if shape is None else {"PresentationLUTShape": shape}
    window = {"WindowCenter": 2048, "WindowWidth": 1000}
    plain, _ = greys(described(**window))
    inverted, _ = greys(described(PhotometricInterpretation="MONOCHROME1", **window, **tags))
    np.testing.assert_allclose(inverted, 4095 - plain, atol=1e-3)


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 2000, "WindowWidth": 0.5},
        {"WindowCenter": 2000, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 2000, "WindowWidth": 100, "VOILUTFunction": "CUBIC"},
        {"WindowCenter": 90_000, "WindowWidth": 10},
    ],
)
def test_a_window_that_shows_nothing_is_not_applied(window: dict[str, Any]) -> None:
    pixels, applied = greys(described(**window))
    np.testing.assert_array_equal(pixels, STORED)
    assert applied == "ignored"


def test_bits_beside_the_stored_ones_mean_nothing() -> None:
    overlaid = STORED | 0xF000
    np.testing.assert_array_equal(greys(described(), stored=overlaid)[0], STORED)
    shifted = described()
    shifted.HighBit = 15
    np.testing.assert_array_equal(greys(shifted, stored=STORED << 4)[0], STORED)


def test_signed_values_keep_their_sign() -> None:
    stored = np.array([[-2048, -1], [0, 2047]], np.int16)
    np.testing.assert_array_equal(greys(described(np.int16), stored=stored)[0], stored)
    unextended = (stored & 0x0FFF).astype(np.int16)
    np.testing.assert_array_equal(greys(described(np.int16), stored=unextended)[0], stored)


def test_wide_integers_need_no_table() -> None:
    stored = np.array([[0, 70_000]], np.uint32)
    dataset = described(np.uint32, bits=32, RescaleSlope=0.5)
    np.testing.assert_array_equal(greys(dataset, stored=stored)[0], [[0, 35_000]])


def test_a_table_without_entries_is_an_error() -> None:
    with pytest.raises(ValueError, match="look-up table with entries of 1 to 16 bits"):
        greys(described(ModalityLUTSequence=table([1, 2], bits=40)))
