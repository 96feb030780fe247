"""Images that are no DICOM as DICOM: the same pixels, and nothing in the header that the standard forbids."""

from __future__ import annotations

import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from breastlabel.imaging import Density, Laterality, Modality, ViewPosition, read_image
from breastlabel.imaging.dicom_writing import ImageIdentity, written_header, written_image

UIDS = {
    "sop_instance_uid": "2.25.1",
    "series_instance_uid": "2.25.2",
    "study_instance_uid": "2.25.3",
    "patient_id": "key-1",
}
ASYMMETRIC = np.arange(35, dtype=np.float32).reshape(5, 7)


def identity(modality: Modality = Modality.MG, **known: Any) -> ImageIdentity:
    return ImageIdentity(**UIDS, modality=modality, **known)


def mammogram(**known: Any) -> ImageIdentity:
    side = {"laterality": Laterality.L, "view_position": ViewPosition.MLO, "spacing": (0.1, 0.08)}
    return identity(**(side | known))


def written(pixels: np.ndarray[Any, Any], what: ImageIdentity, folder: Path) -> Path:
    path = folder / "written.dcm"
    written_image(pixels, what).save_as(path, write_like_original=False)
    return path


def errors_of(path: Path) -> list[str]:
    """What dciodvfy finds wrong."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is needed: apt-get install dicom3tools")
    done = subprocess.run([program, "-new", str(path)], capture_output=True, text=True, timeout=60)
    lines = (done.stdout + done.stderr).splitlines()
    assert lines
    return [line for line in lines if line.startswith("Error")]


IDENTITIES = {
    "us": identity(Modality.US),
    "us-with-all": identity(
        Modality.US,
        spacing=(0.3, 0.2),
        laterality=Laterality.R,
        acquired=date(2024, 2, 29),
        age=51.4,
        manufacturer="Maker",
        machine="Model",
    ),
    "mg": mammogram(),
    "mg-with-all": mammogram(
        acquired=date(2024, 2, 29), age=51, density=Density.C, implant=False, manufacturer="M", machine="X"
    ),
    "mg-without-side": identity(spacing=(0.1, 0.1), view_position=ViewPosition.CC),
    "mg-without-spacing": identity(laterality=Laterality.R, view_position=ViewPosition.CC),
    "mg-without-anything": identity(),
    **{
        f"mg-{view.value}-{side.value}": mammogram(view_position=view, laterality=side)
        for view in ViewPosition
        for side in Laterality
    },
}


@pytest.mark.parametrize("what", IDENTITIES.values(), ids=IDENTITIES)
def test_the_objects_are_valid(what: ImageIdentity, tmp_path: Path) -> None:
    assert errors_of(written(ASYMMETRIC, what, tmp_path)) == []


@pytest.mark.parametrize("what", [identity(Modality.US), mammogram(), identity()], ids=["us", "mg", "sc"])
@pytest.mark.parametrize("top", [34, 255])
def test_whole_values_stay_what_they_are(what: ImageIdentity, top: int, tmp_path: Path) -> None:
    pixels = np.rint(ASYMMETRIC * (top / 34))
    file = written(pixels, what, tmp_path)
    np.testing.assert_array_equal(pydicom.dcmread(file).pixel_array, pixels)


@pytest.mark.parametrize("top", [300, 4095, 65535])
def test_mammograms_keep_sixteen_bits(top: int, tmp_path: Path) -> None:
    pixels = np.rint(ASYMMETRIC * (top / 34))
    dataset = pydicom.dcmread(written(pixels, mammogram(), tmp_path))
    np.testing.assert_array_equal(dataset.pixel_array, pixels)
    assert dataset.BitsStored == top.bit_length()
    assert dataset.HighBit == dataset.BitsStored - 1


@pytest.mark.parametrize(("what", "top"), [(identity(Modality.US), 255), (mammogram(), 65535)])
@pytest.mark.parametrize("scale", [(1 / 34, 0.0), (100.0, -500.0), (7000.0, 0.0)])
def test_other_values_are_spread_over_the_range(
    what: ImageIdentity, top: int, scale: tuple[float, float], tmp_path: Path
) -> None:
    pixels = ASYMMETRIC * scale[0] + scale[1]
    found = pydicom.dcmread(written(pixels, what, tmp_path)).pixel_array
    np.testing.assert_allclose(found, ASYMMETRIC * (top / 34), atol=0.51)


def test_a_luminance_is_rounded_and_not_spread(tmp_path: Path) -> None:
    pixels = ASYMMETRIC * 5 + np.float32(0.3)
    found = pydicom.dcmread(written(pixels, identity(Modality.US), tmp_path)).pixel_array
    np.testing.assert_array_equal(found, ASYMMETRIC * 5)


def test_our_own_reader_sees_the_image_that_was_written(tmp_path: Path) -> None:
    known = mammogram(acquired=date(2024, 2, 29), age=51, implant=True)
    image = read_image(written(ASYMMETRIC * 100, known, tmp_path))
    assert (image.modality, image.laterality, image.view_position) == ("MG", "L", "MLO")
    assert image.spacing == pytest.approx((0.1, 0.08))
    assert (image.acquisition_date, image.age, image.implant) == (date(2024, 2, 29), 51.0, True)
    # The window spans the image, so that the order of greys is the same and both ends are reached.
    assert (image.pixels.min(), image.pixels.max()) == (image.pixels[0, 0], image.pixels[-1, -1])
    assert np.all(np.diff(image.pixels.ravel()) > 0)


def test_an_ultrasound_image_states_its_spacing_in_a_region(tmp_path: Path) -> None:
    image = read_image(written(ASYMMETRIC, identity(Modality.US, spacing=(0.3, 0.2)), tmp_path))
    assert image.spacing == pytest.approx((0.3, 0.2))
    np.testing.assert_array_equal(image.pixels, ASYMMETRIC)
    assert read_image(written(ASYMMETRIC, identity(Modality.US), tmp_path)).spacing is None


def test_what_lacks_side_view_or_spacing_says_no_more_than_is_known(tmp_path: Path) -> None:
    for missing in ("laterality", "view_position", "spacing"):
        dataset = written_image(ASYMMETRIC, mammogram(**{missing: None}))
        assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
        assert dataset.Modality == "MG"
    image = read_image(written(ASYMMETRIC, mammogram(laterality=None), tmp_path))
    assert (image.modality, image.laterality, image.view_position) == ("MG", None, "MLO")
    assert image.spacing == pytest.approx((0.1, 0.08))


def test_the_patient_is_the_key_and_fits(tmp_path: Path) -> None:
    for key in ("folder:a" * 20, "back\\slash", "müller^x=y"):
        what = ImageIdentity(**(UIDS | {"patient_id": key}), modality=Modality.US)
        dataset = pydicom.dcmread(written(ASYMMETRIC, what, tmp_path))
        assert len(dataset.PatientID) <= 64
        assert "\\" not in dataset.PatientID
        assert str(dataset.PatientName) == dataset.PatientID
    first, second = (
        written_header(ImageIdentity(**(UIDS | {"patient_id": "k" * 70 + end}), modality=Modality.US), (2, 2))
        for end in "ab"
    )
    assert first.PatientID != second.PatientID


def test_odd_sizes_are_filled_up(tmp_path: Path) -> None:
    dataset = written_image(ASYMMETRIC[:, :5], identity(Modality.US))
    assert len(dataset.PixelData) == 26
    np.testing.assert_array_equal(
        pydicom.dcmread(written(ASYMMETRIC[:, :5], identity(Modality.US), tmp_path)).pixel_array,
        ASYMMETRIC[:, :5],
    )
