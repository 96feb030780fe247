"""Image and label files of every kind that breastlabel reads and writes.

All arrays are in index space, (rows, cols), exactly as SimpleITK shows the file: ``array[row, col]`` is
``GetPixel(col, row)``. An image and its label map are paired in index space and never resampled: 3D Slicer
saves labels of PNG images with an LPS to RAS flip in the affine, while their pixels stay where they were.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.errors import BreastLabelError, InvalidImageError, InvalidLabelError, NotFoundError
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.imaging.image import BreastImage, Geometry, LabelArray
from breastlabel.imaging.raster import RASTER_SUFFIXES, png_bytes, raster_space, read_raster
from breastlabel.imaging.stored import StoredImage, to_grey, without_alpha
from breastlabel.imaging.vocabulary import LesionClass, Modality
from breastlabel.imaging.volumes import NIFTI_SUFFIXES, NRRD_SUFFIXES, nifti_bytes, nrrd_bytes, read_volume

__all__ = [
    "IMAGE_SUFFIXES",
    "binary_mask",
    "image_space",
    "image_stem",
    "is_dicom",
    "read_image",
    "read_mask",
    "write_image",
    "write_mask",
]

DICOM_SUFFIXES = (".dcm", ".dicom")
IMAGE_SUFFIXES: tuple[str, ...] = (*RASTER_SUFFIXES, *NIFTI_SUFFIXES, *NRRD_SUFFIXES, *DICOM_SUFFIXES)
"""Suffixes of files that can be read as images, lower case. DICOM files without a suffix are read too."""

_LABEL_VALUES = [int(value) for value in LesionClass]


def image_stem(path: Path | str) -> str:
    """The file's name without its image suffix: ``a.b.nii.gz`` -> ``a.b``; other names stay whole."""
    # Not by way of `Path`, which takes four times as long: a folder has tens of thousands of names.
    name = os.path.basename(path)
    suffix = _suffix(name)
    return name[: len(name) - len(suffix)] if suffix else name


def read_image(path: Path | str, *, modality: Modality | None = None) -> BreastImage:
    """Read one breast image.

    Args:
        path: PNG, JPEG, TIFF, BMP, PGM, NIfTI, NRRD or a DICOM still.
        modality: what the task analyses; by default a DICOM file's own, else ultrasound. For ``MG``
            films and captures (RG, CR, DX, OT, Secondary Capture) are accepted too.

    Returns:
        Grey float32 pixels in the file's own units, colour by luminance, alpha ignored.

    Raises:
        NotFoundError: no such file.
        InvalidImageError: damaged, several frames or slices, too large, constant, not finite, encrypted,
            or of another modality.
    """
    file = _existing(path)
    suffix = _suffix(file.name)
    try:
        if is_dicom(file):
            from breastlabel.imaging.dicom import read_dicom

            return read_dicom(file, modality=modality)
        stored = _read_stored(file, suffix)
        return BreastImage(
            pixels=to_grey(stored.array),
            modality=modality or Modality.US,
            spacing=stored.spacing,
            geometry=stored.geometry,
        )
    except InvalidImageError as error:
        raise _naming_the_file(error, file.name) from error


def is_dicom(path: Path | str) -> bool:
    """Whether a file is read as DICOM: by its suffix, or by its first bytes where it has none."""
    suffix = _suffix(Path(path).name)
    return suffix in DICOM_SUFFIXES or (not suffix and _has_dicom_magic(Path(path)))


def image_space(path: Path | str) -> tuple[tuple[int, int], Geometry]:
    """(rows, cols) and space of an image; of stills and DICOM files from the header alone.

    Raises:
        NotFoundError: no such file.
        InvalidImageError: as `read_image`, for what is read.
    """
    file = _existing(path)
    if _suffix(file.name) in RASTER_SUFFIXES:
        return raster_space(file)
    if is_dicom(file):
        from breastlabel.imaging.dicom import dicom_space

        return dicom_space(file)
    image = read_image(file)
    return image.shape, image.geometry


def read_mask(path: Path | str, *, shape: tuple[int, int] | None = None) -> LabelArray:
    """Read a label map: 0 nothing, 1 benign, 2 malignant.

    Args:
        path: one slice in PNG, TIFF, BMP, NIfTI or NRRD; palette images give their indices.
        shape: (rows, cols) of the image that it must fit.

    Returns:
        uint8 (rows, cols) in the file's index order, whatever flips its affine carries.

    Raises:
        NotFoundError: no such file.
        InvalidLabelError: damaged, another size, or values other than 0, 1 and 2.
    """
    file = _existing(path)
    array = without_alpha(_stored_label(file, palette_indices=True))
    if array.ndim == 3:
        if any(not np.array_equal(array[:, :, 0], array[:, :, c]) for c in range(1, array.shape[2])):
            raise InvalidLabelError(
                f"a label map with one value a pixel is required; {file.name} is in colour; "
                "save it as a grey label map with the values 0, 1 and 2"
            )
        array = array[:, :, 0]
    _check_shape(array, shape, file.name)
    return _label_array(array, file.name)


def binary_mask(path: Path | str, *, shape: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
    """Read an outline mask of any kind: True where its colour is not black.

    1-bit, 0/255 grey and colour count alike, and transparency does not count. JPEG masks count from
    half brightness on, because compression leaves faint values around outlines.

    Returns:
        bool (rows, cols).

    Raises:
        NotFoundError: no such file.
        InvalidLabelError: damaged, or another size than ``shape``.
    """
    file = _existing(path)
    array = without_alpha(_stored_label(file, palette_indices=False))
    if array.ndim == 3:
        array = array.max(axis=2)
    _check_shape(array, shape, file.name)
    faint = 127 if file.suffix.lower() in (".jpg", ".jpeg") else 0
    return np.asarray(np.abs(array.astype(np.float32)) > faint, np.bool_)


def write_mask(path: Path | str, mask: npt.NDArray[Any], *, geometry: Geometry) -> None:
    """Write a label map that lies over its image in every viewer.

    ``.nrrd``, ``.nii.gz`` and ``.nii`` become a 3D volume of one slice in the image's space; ``.png`` a grey
    image. The file appears whole or not at all, and is on disk when this returns.

    Args:
        path: where to write; its folder is made.
        mask: (rows, cols) with the values 0, 1 and 2.
        geometry: the image's.

    Raises:
        InvalidLabelError: another shape, other values, or another suffix.
        OSError: it cannot be written; an older file is left as it was.
    """
    target = Path(path)
    if mask.ndim != 2:
        raise InvalidLabelError(
            f"a label map (rows, cols) is required; got shape {mask.shape}; take one slice"
        )
    _write(target, _label_array(mask, target.name), geometry, InvalidLabelError, runs=True)


def write_image(path: Path | str, pixels: npt.NDArray[Any], *, geometry: Geometry) -> None:
    """Write grey pixels as a volume of one slice (``.nrrd``, ``.nii.gz``, ``.nii``) or as ``.png``.

    uint8, uint16 and (not for PNG) int16 and float32 are kept; other types become float32.

    Raises:
        InvalidImageError: another shape or suffix, or float pixels for a PNG.
        OSError: it cannot be written; an older file is left as it was.
    """
    target = Path(path)
    if pixels.ndim != 2 or min(pixels.shape) < 1:
        raise InvalidImageError(
            f"one grey image (rows, cols) is required; got an array of shape {pixels.shape}"
        )
    kept = pixels if pixels.dtype.str[1:] in ("u1", "u2", "i2", "f4") else pixels.astype(np.float32)
    if _suffix(target.name) == ".png" and kept.dtype.kind != "u":
        raise InvalidImageError(
            f"a PNG needs uint8 or uint16 pixels; got {pixels.dtype}; write .nrrd instead"
        )
    _write(target, kept, geometry, InvalidImageError)


def _suffix(name: str) -> str:
    """The longest known image suffix of a file name, lower case; empty where there is none."""
    lower = name.lower()
    found = [suffix for suffix in IMAGE_SUFFIXES if lower.endswith(suffix) and len(lower) > len(suffix)]
    return max(found, key=len, default="")


def _existing(path: Path | str) -> Path:
    file = Path(path)
    if not file.is_file():
        raise NotFoundError(f"an image file is required; there is none named {file.name}; check the path")
    return file


def _has_dicom_magic(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _read_stored(file: Path, suffix: str, *, palette_indices: bool = False) -> StoredImage:
    if suffix in RASTER_SUFFIXES:
        return read_raster(file, palette_indices=palette_indices)
    if suffix in NIFTI_SUFFIXES or suffix in NRRD_SUFFIXES:
        return read_volume(file, suffix=suffix)
    raise InvalidImageError(
        f"a file of type {', '.join(IMAGE_SUFFIXES)} is required; got {file.name}; convert it first"
    )


def _stored_label(file: Path, *, palette_indices: bool) -> npt.NDArray[Any]:
    try:
        return _read_stored(file, _suffix(file.name), palette_indices=palette_indices).array
    except InvalidImageError as error:
        raise InvalidLabelError(str(_naming_the_file(error, file.name))) from error


def _naming_the_file(error: InvalidImageError, name: str) -> InvalidImageError:
    message = str(error)
    return InvalidImageError(message if name in message else f"{name}: {message}")


def _check_shape(array: npt.NDArray[Any], shape: tuple[int, int] | None, name: str) -> None:
    if shape is not None and array.shape != tuple(shape):
        raise InvalidLabelError(
            f"a label map of {shape[0]} x {shape[1]} (rows x cols, as the image) is required; {name} is "
            f"{array.shape[0]} x {array.shape[1]}; draw it on the image itself"
        )


def _label_array(array: npt.NDArray[Any], name: str) -> LabelArray:
    if array.dtype == np.uint8 and (array.size == 0 or array.max() <= _LABEL_VALUES[-1]):
        return np.ascontiguousarray(array)
    known = np.logical_or.reduce([array == value for value in _LABEL_VALUES])
    if not known.all():
        others = ", ".join(f"{float(value):g}" for value in np.unique(array[~known])[:3])
        raise InvalidLabelError(
            f"label values 0 (nothing), 1 (benign) and 2 (malignant) are required; {name} holds {others}; "
            "map the values first"
        )
    return np.ascontiguousarray(array, dtype=np.uint8)


def _write(
    target: Path,
    pixels: npt.NDArray[Any],
    geometry: Geometry,
    error: type[BreastLabelError],
    *,
    runs: bool = False,
) -> None:
    suffix = _suffix(target.name)
    if suffix in NRRD_SUFFIXES:
        data = nrrd_bytes(pixels, geometry, runs=runs)
    elif suffix in NIFTI_SUFFIXES:
        data = nifti_bytes(pixels, geometry, compress=suffix == ".nii.gz", runs=runs)
    elif suffix == ".png":
        data = png_bytes(pixels)
    else:
        raise error(
            f"a name ending in .nrrd, .nii.gz, .nii or .png is required; got {target.name}; rename it"
        )
    write_bytes_atomically(target, data)
