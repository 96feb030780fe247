"""The public DICOM samples, where they are at hand: set BREASTLABEL_TEST_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Laterality, Modality, ViewPosition, read_image

FOLDER = Path(os.environ.get("BREASTLABEL_TEST_DATA", "nowhere")) / "dicom"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not FOLDER.is_dir(), reason="set BREASTLABEL_TEST_DATA to the folder that holds dicom"
    ),
]


def test_one_film_in_two_codecs_is_one_film() -> None:
    wavelet, cosine = (read_image(FOLDER / f"MG1_{c}.dcm", modality=Modality.MG) for c in ("J2KI", "JPLY"))
    for image in (wavelet, cosine):
        assert image.shape == (4664, 3064)
        assert (image.laterality, image.view_position, image.age) == (Laterality.L, ViewPosition.MLO, 75)
    assert np.corrcoef(wavelet.pixels.ravel(), cosine.pixels.ravel())[0, 1] > 0.999


def test_a_calibrated_spacing_counts() -> None:
    image = read_image(FOLDER / "MG_Explicit_Little.dcm")
    assert image.spacing == (0.25, 0.25)
    assert (image.laterality, image.view_position) == (Laterality.R, ViewPosition.CC)


def test_half_a_film_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = (FOLDER / "MG1_J2KI.dcm").read_bytes()
    (tmp_path / "half.dcm").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidImageError, match=r"^[^\n]*half\.dcm[^\n]*$"):
        read_image(tmp_path / "half.dcm", modality=Modality.MG)
