"""DICOM stills, written here with known pixels."""

from __future__ import annotations

from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Laterality, Modality, ViewPosition, read_image, write_mask
from breastlabel.imaging.dicom import opaque_key

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"


def write_dicom(path: Path, pixels: np.ndarray, *, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> Path:
    """A minimal still; uint8 or uint16, grey or (rows, cols, 3)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = MAMMOGRAPHY if tags.get("Modality") == "MG" else ULTRASOUND
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid()
    dataset.Modality, dataset.PatientID, dataset.PatientName = "US", "SECRET-4711", "DOE^JANE"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = pixels.tobytes()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    dataset.save_as(path, write_like_original=False)
    return path


def region(
    kind: int = 1, *, box: tuple[int, int, int, int] = (0, 0, 6, 3), delta: float = 0.008, units: int = 3
) -> Dataset:
    """One item of SequenceOfUltrasoundRegions."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, kind, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = box[:2]
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box[2:]
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = units
    item.PhysicalDeltaX, item.PhysicalDeltaY = delta, delta * 1.5
    return item


@pytest.fixture
def pixels() -> np.ndarray:
    return (np.arange(24).reshape(4, 6) * 9).astype(np.uint8)


def test_grey_ultrasound_keeps_its_pixels_and_hides_the_patient(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(
        tmp_path / "a.dcm", pixels, PatientAge="045Y", StudyDate="20240229", ManufacturerModelName="M1"
    )
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.modality is Modality.US
    assert (image.age, image.acquisition_date, image.machine_id) == (45.0, date(2024, 2, 29), "M1")
    assert image.spacing is None
    assert image.metadata == {"dual_panel": False, "doppler": False}
    assert image.patient_key == opaque_key("SECRET-4711")
    assert "4711" not in repr(image)
    assert "DOE" not in repr(image)


def test_a_file_without_suffix_is_recognised(tmp_path: Path, pixels: np.ndarray) -> None:
    assert read_image(write_dicom(tmp_path / "IM0001", pixels)).shape == (4, 6)


def test_monochrome1_is_inverted_once(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(path).pixels, 255.0 - pixels)
    itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
    np.testing.assert_array_equal(read_image(path).pixels, itk)


def test_twelve_bit_monochrome1_is_mirrored_about_its_own_scale(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        pixels.astype(np.uint16),
        Modality="MG",
        PhotometricInterpretation="MONOCHROME1",
        BitsStored=12,
        HighBit=11,
    )
    np.testing.assert_array_equal(read_image(path).pixels, 4095.0 - pixels)


def test_rgb_becomes_luminance(tmp_path: Path, pixels: np.ndarray) -> None:
    rgb = np.stack([pixels, pixels // 2, pixels * 0], axis=-1)
    expected = 0.299 * rgb[:, :, 0] + 0.587 * rgb[:, :, 1]
    np.testing.assert_allclose(read_image(write_dicom(tmp_path / "a.dcm", rgb)).pixels, expected, atol=1e-3)
    planar = write_dicom(
        tmp_path / "p.dcm", rgb, PlanarConfiguration=1, PixelData=np.moveaxis(rgb, 2, 0).tobytes()
    )
    np.testing.assert_allclose(read_image(planar).pixels, expected, atol=1e-3)


def test_ybr_full_becomes_its_luminance(tmp_path: Path, pixels: np.ndarray) -> None:
    ybr = np.stack([pixels, np.full_like(pixels, 128), np.full_like(pixels, 128)], axis=-1)
    path = write_dicom(tmp_path / "a.dcm", ybr, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_allclose(read_image(path).pixels, pixels, atol=1)


def test_colour_jpeg_becomes_luminance(tmp_path: Path) -> None:
    rgb = np.zeros((32, 48, 3), np.uint8)
    rgb[:16, :, 0], rgb[16:, :, 2] = 200, 220
    stream = BytesIO()
    Image.fromarray(rgb).save(stream, format="JPEG", quality=95)
    path = write_dicom(
        tmp_path / "a.dcm",
        rgb,
        syntax=JPEGBaseline8Bit,
        PhotometricInterpretation="YBR_FULL_422",
        PixelData=encapsulate([stream.getvalue()]),
    )
    dataset = pydicom.dcmread(path)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    image = read_image(path)
    assert image.pixels[4, 24] == pytest.approx(0.299 * 200, abs=4)
    assert image.pixels[28, 24] == pytest.approx(0.114 * 220, abs=4)


def test_palette_colour_is_looked_up(tmp_path: Path) -> None:
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    tables = {}
    for colour, values in {"Red": (0, 100, 255), "Green": (0, 100, 0), "Blue": (0, 100, 0)}.items():
        tables[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, 8]
        tables[f"{colour}PaletteColorLookupTableData"] = bytes((*values, 0))
    path = write_dicom(tmp_path / "a.dcm", indices, PhotometricInterpretation="PALETTE COLOR", **tables)
    np.testing.assert_allclose(read_image(path).pixels, [[0, 100], [0.299 * 255, 100]], atol=0.01)


def test_rescale_and_window_are_applied(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(
        tmp_path / "a.dcm", pixels, Modality="MG", RescaleSlope=2, RescaleIntercept=-5, RescaleType="US"
    )
    np.testing.assert_array_equal(read_image(path).pixels, pixels * 2.0 - 5)
    windowed = write_dicom(tmp_path / "w.dcm", pixels, WindowCenter=50.5, WindowWidth=101)
    # PS3.3 C.11.2.1.2.1: linear from 0 at c - 0.5 - (w - 1)/2 = 0 to full scale at 100.
    np.testing.assert_allclose(read_image(windowed).pixels, np.clip(pixels / 100, 0, 1) * 255, atol=1e-3)


def test_spacing_comes_from_the_ultrasound_region(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, SequenceOfUltrasoundRegions=Sequence([region()]))
    assert read_image(path).spacing == pytest.approx((0.12, 0.08))


def test_regions_in_other_units_give_no_spacing(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, SequenceOfUltrasoundRegions=Sequence([region(units=4)]))
    assert read_image(path).spacing is None


def test_dual_panels_and_doppler_are_recognised(tmp_path: Path, pixels: np.ndarray) -> None:
    left, right = region(box=(0, 0, 2, 3)), region(box=(3, 0, 5, 3))
    dual = read_image(
        write_dicom(tmp_path / "a.dcm", pixels, SequenceOfUltrasoundRegions=Sequence([left, right]))
    )
    assert dual.metadata == {"dual_panel": True, "doppler": False}
    assert dual.spacing == pytest.approx((0.12, 0.08))
    right.PhysicalDeltaX = 0.02
    unequal = read_image(
        write_dicom(tmp_path / "b.dcm", pixels, SequenceOfUltrasoundRegions=Sequence([left, right]))
    )
    assert unequal.spacing is None
    flow = read_image(
        write_dicom(tmp_path / "c.dcm", pixels, SequenceOfUltrasoundRegions=Sequence([region(), region(2)]))
    )
    assert flow.metadata == {"dual_panel": False, "doppler": True}
    assert flow.spacing == pytest.approx((0.12, 0.08))


def test_a_mask_lies_over_the_dicom_image(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        pixels,
        SequenceOfUltrasoundRegions=Sequence([region()]),
    )
    labels = np.zeros((4, 6), np.uint8)
    labels[2, 1:5] = 2
    write_mask(tmp_path / "m.nrrd", labels, geometry=read_image(path).geometry)
    image, mask = SimpleITK.ReadImage(str(path)), SimpleITK.ReadImage(str(tmp_path / "m.nrrd"))
    for row, col in np.argwhere(labels):
        point = image.TransformIndexToPhysicalPoint((int(col), int(row), 0))
        assert mask.GetPixel(*mask.TransformPhysicalPointToIndex(point)) == 2


def test_mammogram_tags_are_read(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        pixels,
        Modality="MG",
        ImageLaterality="L",
        ViewPosition="MLO",
        BreastImplantPresent="NO",
        ImagerPixelSpacing=[0.1, 0.2],
        EstimatedRadiographicMagnificationFactor=2,
    )
    image = read_image(path, modality=Modality.MG)
    assert (image.laterality, image.view_position) == (Laterality.L, ViewPosition.MLO)
    assert image.implant is False
    assert image.spacing == pytest.approx((0.05, 0.1))


@pytest.mark.parametrize("film", ["RG", "CR", "DX", "OT", "SC"])
def test_films_are_mammograms_only_when_asked_for(tmp_path: Path, pixels: np.ndarray, film: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, Modality=film)
    assert read_image(path, modality=Modality.MG).modality is Modality.MG
    with pytest.raises(
        InvalidImageError, match=rf"modality US or MG is required; a\.dcm is {film}; choose a mam"
    ):
        read_image(path)
    with pytest.raises(InvalidImageError, match=rf"modality US is required; a\.dcm is {film}"):
        read_image(path, modality=Modality.US)


def test_another_modality_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    with pytest.raises(
        InvalidImageError, match=r"DICOM modality MG is required; a\.dcm is US; choose the task"
    ):
        read_image(path, modality=Modality.MG)
    with pytest.raises(InvalidImageError, match=r"modality US or MG is required; b\.dcm is CT"):
        read_image(write_dicom(tmp_path / "b.dcm", pixels, Modality="CT"))


def test_cine_loops_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, NumberOfFrames=3, PixelData=pixels.tobytes() * 3)
    with pytest.raises(
        InvalidImageError, match=r"a still image is required; a\.dcm has 3 frames; save the frame"
    ):
        read_image(path)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95, 0.999])
def test_truncated_files_are_refused(tmp_path: Path, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    path = write_dicom(tmp_path / "a.dcm", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InvalidImageError, match=r"a\.dcm .*(truncated|damaged)"):
        read_image(path)


def test_truncated_header_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidImageError, match=r"a\.dcm"):
            read_image(path)


def test_unknown_transfer_syntax_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    whole = path.read_bytes()
    known = ExplicitVRLittleEndian.encode() + b"\0"
    path.write_bytes(whole.replace(known, b"1.2.840.10008.1.9.9\0", 1))
    with pytest.raises(InvalidImageError, match=r"a\.dcm .*unknown transfer syntax; export it uncompressed"):
        read_image(path)


def test_encrypted_images_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    item = Dataset()
    item.EncryptedContentTransferSyntaxUID = ExplicitVRLittleEndian
    item.EncryptedContent = b"\1\2\3\4"
    path = write_dicom(tmp_path / "a.dcm", pixels, EncryptedAttributesSequence=Sequence([item]))
    dataset = pydicom.dcmread(path)
    del dataset.Rows, dataset.Columns, dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(InvalidImageError, match=r"a\.dcm is encrypted; export it decrypted"):
        read_image(path)


def test_absurd_sizes_are_refused_before_decoding(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, Rows=60_000, Columns=60_000)
    with pytest.raises(InvalidImageError, match="at most 150 megapixels"):
        read_image(path)
    with pytest.raises(InvalidImageError, match="with pixels is required"):
        read_image(write_dicom(tmp_path / "b.dcm", pixels, Rows=0))


def test_a_report_without_pixels_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(InvalidImageError, match="pixel data are required"):
        read_image(path)


def test_text_is_not_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_text("not an image")
    with pytest.raises(InvalidImageError, match=r"readable DICOM file is required; a\.dcm"):
        read_image(tmp_path / "a.dcm")


def test_constant_dicom_is_refused_by_name(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", np.full((4, 4), 7, np.uint8))
    with pytest.raises(InvalidImageError, match=r"a\.dcm: an image with contrast"):
        read_image(path)


def test_malformed_values_are_not_quoted_in_warnings(
    tmp_path: Path, pixels: np.ndarray, recwarn: pytest.WarningsRecorder
) -> None:
    path = write_dicom(tmp_path / "a.dcm", pixels, PatientAge="045Y")
    path.write_bytes(path.read_bytes().replace(b"045Y", b"JANE"))
    recwarn.clear()
    assert read_image(path).age is None
    assert not any("JANE" in str(warning.message) for warning in recwarn)
