"""Reading and writing of raster, NIfTI and NRRD files."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from breastlabel.errors import InvalidImageError, InvalidLabelError, NotFoundError
from breastlabel.imaging import (
    Geometry,
    Modality,
    binary_mask,
    image_stem,
    read_image,
    read_mask,
    write_image,
    write_mask,
)
from breastlabel.imaging.files import image_space

VOLUMES = (".nrrd", ".nii.gz", ".nii")
ROTATED = Geometry(
    spacing=(0.1, 0.2, 1.0),
    origin=(3.0, -4.0, 5.0),
    direction=(0.6, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, 1.0),
)


def itk_array(path: Path) -> np.ndarray:
    """(rows, cols[, channels]) as SimpleITK shows a one-slice file."""
    image = SimpleITK.ReadImage(str(path))
    array = SimpleITK.GetArrayFromImage(image)
    return array[0] if image.GetDimension() == 3 else array


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.png", "a"),
        ("a.b.nii.gz", "a.b"),
        ("x/Y.NRRD", "Y"),
        ("c.nii", "c"),
        ("plain", "plain"),
        (".png", ".png"),
    ],
)
def test_stem_is_the_name_without_image_suffix(name: str, stem: str) -> None:
    assert image_stem(name) == stem


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pgm"])
def test_grey_rasters_keep_values_and_have_no_spacing(tmp_path: Path, grey: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(grey).save(path)
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, grey)
    assert image.spacing is None
    assert image.geometry == Geometry()
    assert image.modality is Modality.US


def test_jpeg_is_read(tmp_path: Path, grey: np.ndarray) -> None:
    Image.fromarray(np.kron(grey, np.ones((8, 8), np.uint8))).save(tmp_path / "a.jpg", quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert np.abs(image.pixels[4::8, 4::8] - grey).max() < 6


def test_colour_becomes_luminance_and_alpha_is_ignored(tmp_path: Path) -> None:
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[0, 0] = (200, 100, 50, 0)
    rgba[1, 2] = (0, 0, 255, 9)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png").pixels
    assert pixels[0, 0] == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=1e-3)
    assert pixels[1, 2] == pytest.approx(0.114 * 255, abs=1e-3)


def test_equal_channels_give_the_channel_exactly(tmp_path: Path, grey: np.ndarray) -> None:
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, grey)


@pytest.mark.parametrize("mode", ["1", "LA", "P", "CMYK"])
def test_other_raster_modes_are_read(tmp_path: Path, grey: np.ndarray, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture = Image.fromarray(np.where(grey > 100, 255, 0).astype(np.uint8))
    picture.convert("RGB" if mode in ("CMYK", "P") else "L").convert(mode).save(path)
    np.testing.assert_array_equal(read_image(path).pixels > 127, grey > 100)


def test_sixteen_bits_are_kept_in_grey_and_colour(tmp_path: Path, grey: np.ndarray) -> None:
    import cv2

    deep = grey.astype(np.uint16) * 257 + 1
    Image.fromarray(deep).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png").pixels, deep)
    cv2.imwrite(str(tmp_path / "colour.png"), np.stack([deep] * 3, axis=-1))
    np.testing.assert_array_equal(read_image(tmp_path / "colour.png").pixels, deep)


@pytest.mark.parametrize("suffix", VOLUMES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_volumes_round_trip_values_type_and_space(
    tmp_path: Path, grey: np.ndarray, suffix: str, dtype: type
) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, grey.astype(dtype), geometry=ROTATED)
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, grey)
    assert itk_array(path).dtype == dtype
    assert image.spacing == (0.2, 0.1)
    np.testing.assert_allclose(image.geometry.origin, ROTATED.origin, atol=1e-6)
    np.testing.assert_allclose(image.geometry.direction, ROTATED.direction, atol=1e-6)


def test_itk_sees_the_written_space(tmp_path: Path, grey: np.ndarray) -> None:
    for suffix in VOLUMES:
        write_image(tmp_path / f"a{suffix}", grey, geometry=ROTATED)
        seen = SimpleITK.ReadImage(str(tmp_path / f"a{suffix}"))
        assert seen.GetSize() == (7, 5, 1)
        np.testing.assert_allclose(seen.GetSpacing(), ROTATED.spacing, atol=1e-6)
        np.testing.assert_allclose(seen.GetOrigin(), ROTATED.origin, atol=1e-6)
        np.testing.assert_allclose(seen.GetDirection(), ROTATED.direction, atol=1e-6)


@pytest.mark.parametrize("suffix", VOLUMES)
def test_two_dimensional_files_of_others_are_read(tmp_path: Path, grey: np.ndarray, suffix: str) -> None:
    flat = SimpleITK.GetImageFromArray(grey)
    flat.SetSpacing((0.1, 0.2))
    SimpleITK.WriteImage(flat, str(tmp_path / f"a{suffix}"))
    image = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(image.pixels, grey)
    assert image.spacing == (0.2, 0.1)
    np.testing.assert_allclose(image.geometry.spacing, (0.1, 0.2, 1.0), atol=1e-6)


def test_nibabels_two_dimensional_file_is_read_in_index_order(tmp_path: Path, grey: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(grey.T, np.diag([0.1, 0.2, 1, 1])), tmp_path / "a.nii.gz")
    image = read_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(image.pixels, grey)
    np.testing.assert_array_equal(image.pixels, itk_array(tmp_path / "a.nii.gz"))
    assert image.spacing == (0.2, 0.1)


@pytest.mark.parametrize("endianness", ["<", ">"])
def test_nifti_2_is_read_with_its_scaling(tmp_path: Path, endianness: str) -> None:
    header = nibabel.Nifti2Header(endianness=endianness)
    header.set_data_dtype(np.int16)
    stored = nibabel.Nifti2Image(np.array([[1, 3], [5, 7], [9, 11]]), np.diag([0.1, 0.2, 1, 1]), header)
    stored.header.set_slope_inter(2, 1)
    nibabel.save(stored, tmp_path / "a.nii.gz")
    image = read_image(tmp_path / "a.nii.gz")
    assert image.pixels.tolist() == [[3, 11, 19], [7, 15, 23]]
    assert image.spacing == (0.2, 0.1)


def test_nibabel_finds_the_space_of_what_was_written(tmp_path: Path, grey: np.ndarray) -> None:
    turned = Geometry((0.1, 0.2, 3.0), (4.0, 5.0, 6.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    write_image(tmp_path / "a.nii", grey, geometry=turned)
    found = nibabel.load(tmp_path / "a.nii")
    # Columns run along patient y, rows against x, in LPS; NIfTI's x and y point the other way.
    expected = [[0, -0.2, 0, -4], [0.1, 0, 0, -5], [0, 0, 3, 6], [0, 0, 0, 1]]
    np.testing.assert_allclose(found.get_sform(), np.array(expected) * 1.0, atol=1e-6)
    np.testing.assert_allclose(found.get_qform(), found.get_sform(), atol=1e-6)


def test_nifti_in_metres_is_given_in_millimetres(tmp_path: Path, grey: np.ndarray) -> None:
    volume = nibabel.Nifti1Image(grey.T[:, :, None], np.diag([0.0001, 0.0002, 0.001, 1]))
    volume.header.set_xyzt_units("meter")
    nibabel.save(volume, tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii").spacing == pytest.approx((0.2, 0.1))


def test_nifti_without_a_space_gets_itks(tmp_path: Path, grey: np.ndarray) -> None:
    volume = nibabel.Nifti1Image(grey.T[:, :, None], None)
    volume.header.set_zooms((0.1, 0.2, 1))
    nibabel.save(volume, tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    seen = SimpleITK.ReadImage(str(tmp_path / "a.nii"))
    np.testing.assert_allclose(image.geometry.direction, seen.GetDirection())
    np.testing.assert_allclose(image.geometry.origin, seen.GetOrigin())


def test_nifti_colour_is_read(tmp_path: Path) -> None:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    data = np.zeros((3, 2, 1), kind)
    data["R"][2, 1] = 100
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii.gz")
    pixels = read_image(tmp_path / "a.nii.gz").pixels
    assert pixels.shape == (2, 3)
    assert pixels[1, 2] == pytest.approx(29.9, abs=1e-3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".nii.gz", ".nrrd"])
def test_an_images_space_is_that_of_the_image_read(tmp_path: Path, suffix: str, grey: np.ndarray) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix in VOLUMES:
        write_image(path, grey, geometry=Geometry((0.1, 0.2, 1.0)))
    else:
        Image.fromarray(grey.astype(np.uint8)).save(path, dpi=(254, 127))
    image = read_image(path)
    assert image_space(path) == (image.shape, image.geometry)


def test_the_space_of_a_still_needs_none_of_its_pixels(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    assert image_space(tmp_path / "a.png") == ((40, 50), Geometry())


def test_unit_spacing_means_unknown(tmp_path: Path, grey: np.ndarray) -> None:
    write_image(tmp_path / "a.nrrd", grey, geometry=Geometry())
    assert read_image(tmp_path / "a.nrrd").spacing is None


def test_jpeg_resolution_is_no_spacing_but_places_the_mask(
    tmp_path: Path, grey: np.ndarray, mask: np.ndarray
) -> None:
    Image.fromarray(grey).save(tmp_path / "a.jpg", dpi=(300, 300))
    image = read_image(tmp_path / "a.jpg")
    assert image.spacing is None
    write_mask(tmp_path / "m.nrrd", mask, geometry=image.geometry)
    shown = SimpleITK.ReadImage(str(tmp_path / "a.jpg")).GetSpacing()
    np.testing.assert_allclose(SimpleITK.ReadImage(str(tmp_path / "m.nrrd")).GetSpacing()[:2], shown)


def _png(mode: str, grey: np.ndarray, path: Path) -> Path:
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    array = grey if channels == 1 else np.stack([grey, grey // 2, grey // 3, 255 - grey][:channels], axis=-1)
    Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("suffix", VOLUMES)
@pytest.mark.parametrize("source", ["L", "RGB", "RGBA", "nifti2d", "nrrd-rotated"])
def test_written_mask_lies_on_the_images_pixels(
    tmp_path: Path, grey: np.ndarray, mask: np.ndarray, source: str, suffix: str
) -> None:
    """By physical points in SimpleITK, by affines in nibabel, by index in both."""
    if source == "nifti2d":
        path = tmp_path / "image.nii.gz"
        nibabel.save(nibabel.Nifti1Image(grey.T, np.diag([0.1, 0.2, 1, 1])), path)
    elif source == "nrrd-rotated":
        path = tmp_path / "image.nrrd"
        write_image(path, grey, geometry=ROTATED)
    else:
        path = _png(source, grey, tmp_path / "image.png")
    image = read_image(path)
    label_file = tmp_path / f"label{suffix}"
    write_mask(label_file, mask, geometry=image.geometry)

    pixels = SimpleITK.ReadImage(str(path))
    labels = SimpleITK.ReadImage(str(label_file))
    for row, col in np.argwhere(mask):
        point = pixels.TransformIndexToPhysicalPoint((int(col), int(row), 0)[: pixels.GetDimension()])
        index = labels.TransformPhysicalPointToIndex((*point, 0.0)[:3])
        assert labels.GetPixel(*index) == mask[row, col]
    np.testing.assert_array_equal(itk_array(label_file), mask)

    if suffix != ".nrrd":
        volume_file = tmp_path / "volume.nii.gz"
        write_image(volume_file, image.pixels, geometry=image.geometry)
        volume, label = nibabel.load(volume_file), nibabel.load(label_file)
        np.testing.assert_allclose(label.affine, volume.affine, atol=1e-6)
        if source == "nifti2d":
            np.testing.assert_allclose(label.affine, nibabel.load(path).affine, atol=1e-6)
        values = np.asarray(label.dataobj)
        assert values.shape == (7, 5, 1)
        np.testing.assert_array_equal(values[:, :, 0].T, mask)


@pytest.mark.parametrize("suffix", [*VOLUMES, ".png"])
def test_an_empty_mask_round_trips(tmp_path: Path, suffix: str) -> None:
    empty = np.zeros((5, 7), np.uint8)
    write_mask(tmp_path / f"m{suffix}", empty, geometry=Geometry())
    np.testing.assert_array_equal(read_mask(tmp_path / f"m{suffix}", shape=(5, 7)), empty)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 9),
    cols=st.integers(1, 9),
    spacing=st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)),
    angle=st.floats(-3, 3),
    seed=st.integers(0, 99),
    suffix=st.sampled_from((*VOLUMES, ".png")),
)
def test_masks_round_trip_over_sizes_and_spacings(
    tmp_path: Path, rows: int, cols: int, spacing: tuple[float, float], angle: float, seed: int, suffix: str
) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (rows, cols)).astype(np.uint8)
    c, s = float(np.cos(angle)), float(np.sin(angle))
    geometry = Geometry((*spacing, 1.0), (1.0, 2.0, 3.0), (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0))
    path = tmp_path / f"m{suffix}"
    write_mask(path, labels, geometry=geometry)
    np.testing.assert_array_equal(read_mask(path, shape=(rows, cols)), labels)


def test_a_slicer_label_of_a_png_is_paired_by_index(
    tmp_path: Path, grey: np.ndarray, mask: np.ndarray
) -> None:
    """Slicer saves the label of a PNG with x and y flipped in the affine; its pixels stay in place."""
    Image.fromarray(grey).save(tmp_path / "image.png")
    nibabel.save(
        nibabel.Nifti1Image(mask.T[:, :, None], np.diag([1.0, 1.0, 1.0, 1.0])), tmp_path / "label.nii.gz"
    )
    labels = SimpleITK.ReadImage(str(tmp_path / "label.nii.gz"))
    assert labels.GetDirection()[:5] == (-1, 0, 0, 0, -1)
    shape = read_image(tmp_path / "image.png").shape
    np.testing.assert_array_equal(read_mask(tmp_path / "label.nii.gz", shape=shape), mask)


def test_float_and_palette_and_equal_channel_label_maps_are_read(tmp_path: Path, mask: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(mask.T.astype(np.float64), np.eye(4)), tmp_path / "f.nii.gz")
    palette = Image.fromarray(mask, mode="P")
    palette.putpalette([0, 0, 0, 0, 255, 0, 255, 0, 0])
    palette.save(tmp_path / "p.png")
    Image.fromarray(np.stack([mask] * 3, axis=-1)).save(tmp_path / "c.png")
    for name in ("f.nii.gz", "p.png", "c.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), mask)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
def test_binary_masks_of_any_mode(tmp_path: Path, mask: np.ndarray, mode: str) -> None:
    drawn = Image.fromarray(np.where(mask > 0, 255, 0).astype(np.uint8))
    drawn.convert(mode).save(tmp_path / "m.png")
    np.testing.assert_array_equal(binary_mask(tmp_path / "m.png", shape=mask.shape), mask > 0)


def test_binary_mask_takes_any_colour_and_ignores_alpha(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, 0] = (0, 0, 0, 255)
    rgba[0, 1] = (0, 7, 0, 0)
    rgba[0, 2] = (255, 0, 0, 255)
    Image.fromarray(rgba).save(tmp_path / "m.png")
    assert binary_mask(tmp_path / "m.png").tolist() == [[False, True, True]]


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none named gone\.png"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(NotFoundError, match="check the path"):
        read_mask(tmp_path / "gone.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("kept", [0, 4, 0.6])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    if suffix in VOLUMES:
        write_image(path, noise, geometry=Geometry())
    else:
        Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(InvalidImageError, match=rf"a{suffix} .*(damaged|truncated).*export it again"):
        read_image(path)
    with pytest.raises(InvalidLabelError, match=rf"a{suffix}"):
        read_mask(path)


def test_constant_and_nan_images_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 9, np.uint8)).save(tmp_path / "c.png")
    with pytest.raises(InvalidImageError, match=r"c\.png: an image with contrast is required"):
        read_image(tmp_path / "c.png")
    holed = np.ones((4, 4), np.float32)
    holed[1, 1] = np.nan
    write_image(tmp_path / "n.nrrd", holed, geometry=Geometry())
    with pytest.raises(InvalidImageError, match=r"n\.nrrd: .*finite"):
        read_image(tmp_path / "n.nrrd")


def test_several_slices_or_frames_are_refused(tmp_path: Path, grey: np.ndarray) -> None:
    for suffix in VOLUMES:
        path = tmp_path / f"v{suffix}"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.stack([grey] * 3)), str(path))
        with pytest.raises(InvalidImageError, match=r"one slice is required; .* is 7 x 5 x 3; save the one"):
            read_image(path)
    frames = [Image.fromarray(grey), Image.fromarray(grey[::-1])]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(InvalidImageError, match="has 2 frames; save one"):
        read_image(tmp_path / "a.tif")


def _huge_png(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_absurdly_large_images_are_refused_before_decoding(tmp_path: Path) -> None:
    _huge_png(tmp_path / "a.png")
    (tmp_path / "a.nrrd").write_bytes(
        b"NRRD0004\ntype: uchar\ndimension: 2\nsizes: 20000 20000\nencoding: raw\n\n" + b"\0" * 16
    )
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((20_000, 20_000))
    header["magic"] = b"n+1"
    (tmp_path / "a.nii").write_bytes(header.binaryblock + b"\0" * 20)
    for name in ("a.png", "a.nrrd", "a.nii"):
        with pytest.raises(InvalidImageError, match="at most 150 megapixels can be read"):
            read_image(tmp_path / name)


def test_zero_size_volume_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((0, 4), np.uint8), np.eye(4)), tmp_path / "z.nii")
    with pytest.raises(InvalidImageError, match="with pixels is required"):
        read_image(tmp_path / "z.nii")


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InvalidImageError, match=r"a file of type \.png, .*got notes\.txt; convert"):
        read_image(tmp_path / "notes.txt")


def test_masks_of_another_size_value_or_colour_are_refused(tmp_path: Path, mask: np.ndarray) -> None:
    write_mask(tmp_path / "m.nrrd", mask, geometry=Geometry())
    with pytest.raises(InvalidLabelError, match=r"7 x 5 \(rows x cols, as the image\).*m\.nrrd is 5 x 7"):
        read_mask(tmp_path / "m.nrrd", shape=(7, 5))
    Image.fromarray(mask * 100).save(tmp_path / "v.png")
    with pytest.raises(InvalidLabelError, match=r"v\.png holds 100, 200; map the values"):
        read_mask(tmp_path / "v.png")
    Image.fromarray(np.stack([mask, mask * 0, mask], axis=-1)).save(tmp_path / "c.png")
    with pytest.raises(InvalidLabelError, match=r"c\.png is in colour"):
        read_mask(tmp_path / "c.png")
    with pytest.raises(InvalidLabelError, match=r"holds 3, 4; map"):
        write_mask(tmp_path / "w.nrrd", mask + 2, geometry=Geometry())
    with pytest.raises(InvalidLabelError, match=r"got w\.jpg; rename"):
        write_mask(tmp_path / "w.jpg", mask, geometry=Geometry())
    assert not (tmp_path / "w.nrrd").exists()


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, mask: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.nrrd"
    write_mask(path, mask, geometry=Geometry())
    before = path.read_bytes()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_mask(path, np.zeros_like(mask), geometry=Geometry())
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.nrrd"]


def test_equal_content_gives_equal_files(tmp_path: Path, mask: np.ndarray) -> None:
    for suffix in VOLUMES:
        write_mask(tmp_path / f"a{suffix}", mask, geometry=ROTATED)
        write_mask(tmp_path / f"b{suffix}", mask, geometry=ROTATED)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_png_needs_whole_numbers(tmp_path: Path, grey: np.ndarray) -> None:
    with pytest.raises(InvalidImageError, match="PNG needs uint8 or uint16"):
        write_image(tmp_path / "a.png", grey / 2, geometry=Geometry())


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_a_label_map_is_packed_as_runs_that_every_reader_unpacks(tmp_path: Path, suffix: str) -> None:
    mask = np.zeros((300, 200), np.uint8)
    mask[40:90, 50:120] = 2
    write_mask(tmp_path / f"m{suffix}", mask, geometry=Geometry(spacing=(0.1, 0.2, 1.0)))
    assert (tmp_path / f"m{suffix}").stat().st_size < 2000
    read = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / f"m{suffix}")))
    assert np.array_equal(read[0], mask)
    first = (tmp_path / f"m{suffix}").read_bytes()
    write_mask(tmp_path / f"m{suffix}", mask, geometry=Geometry(spacing=(0.1, 0.2, 1.0)))
    assert (tmp_path / f"m{suffix}").read_bytes() == first, "nothing in it tells the time"


def test_nifti_in_several_gzip_members_is_read_whole(tmp_path: Path) -> None:
    pixels = np.arange(600, dtype=np.int16).reshape(20, 30)
    write_image(tmp_path / "a.nii.gz", pixels, geometry=Geometry())
    whole = gzip.decompress((tmp_path / "a.nii.gz").read_bytes())
    members = [gzip.compress(whole[:100]), gzip.compress(whole[100:700]), gzip.compress(whole[700:])]
    (tmp_path / "b.nii.gz").write_bytes(b"".join(members))
    assert np.array_equal(read_image(tmp_path / "b.nii.gz").pixels, pixels)


def test_nothing_behind_the_pixels_of_a_nifti_is_unpacked(tmp_path: Path) -> None:
    pixels = np.arange(600, dtype=np.int16).reshape(20, 30)
    write_image(tmp_path / "a.nii.gz", pixels, geometry=Geometry())
    whole = gzip.decompress((tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(whole + bytes(50_000_000)))
    tracemalloc.start()
    assert np.array_equal(read_image(tmp_path / "b.nii.gz").pixels, pixels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
