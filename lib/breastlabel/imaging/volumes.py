"""NIfTI and NRRD files of one slice: pixels together with their space.

NIfTI goes through nibabel, NRRD is read by SimpleITK; both keep a file's own index order, so that
``array[row, col]`` here is ``image[col, row]`` there. NRRD is written here, in the few header lines that
the format asks for, so that a file is a pure function of its content and can be written atomically.
"""

from __future__ import annotations

import gzip
import io
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.image import Geometry
from breastlabel.imaging.stored import StoredImage, check_size

__all__ = ["NIFTI_SUFFIXES", "NRRD_SUFFIXES", "itk_geometry", "nifti_bytes", "nrrd_bytes", "read_volume"]

NIFTI_SUFFIXES = (".nii", ".nii.gz")
NRRD_SUFFIXES = (".nrrd",)

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# The header's 348 bytes, and four that say that no extension follows.
_NIFTI_DATA = 352
_NIFTI_1_HEADER, _NIFTI_2_HEADER = 348, 540
_UNIT_IN_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_NRRD_TYPES = {"u1": "unsigned char", "u2": "unsigned short", "i2": "short", "f4": "float"}


def read_volume(path: Path, *, suffix: str) -> StoredImage:
    """Read a 2D file, or a 3D file of one slice, grey or RGB(A).

    Unit spacing in both directions is what converters write when they know nothing: no breast image
    has pixels of one millimetre. It is reported as unknown.

    Raises:
        InvalidImageError: damaged, several slices or time points, or too large.
    """
    return _read_nifti(path, suffix) if suffix in NIFTI_SUFFIXES else _read_nrrd(path)


def nifti_bytes(pixels: npt.NDArray[Any], geometry: Geometry, *, compress: bool, runs: bool = False) -> bytes:
    """(rows, cols) as a NIfTI-1 volume of one slice.

    Args:
        runs: the pixels are long runs of one value, as a label map's are, and packed as such.
    """
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    data = _new_nifti_header(native.shape, native.dtype, geometry) + native.tobytes()
    return _gzipped(data, runs=runs) if compress else data


def nrrd_bytes(pixels: npt.NDArray[Any], geometry: Geometry, *, runs: bool = False) -> bytes:
    """(rows, cols) as a gzipped NRRD volume of one slice, http://teem.sourceforge.net/nrrd/format.html.

    Args:
        runs: as for `nifti_bytes`.
    """
    kind = pixels.dtype.str[1:]
    matrix = _matrix(geometry)

    def vector(values: npt.NDArray[np.float64]) -> str:
        return "(" + ",".join(repr(float(value)) for value in values) + ")"

    header = "\n".join(
        [
            "NRRD0004",
            f"type: {_NRRD_TYPES[kind]}",
            "dimension: 3",
            "space: left-posterior-superior",
            f"sizes: {pixels.shape[1]} {pixels.shape[0]} 1",
            "space directions: " + " ".join(vector(matrix[:3, axis]) for axis in range(3)),
            "kinds: domain domain domain",
            "endian: little",
            "encoding: gzip",
            f"space origin: {vector(matrix[:3, 3])}",
            "\n",
        ]
    )
    little = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False)
    return header.encode("ascii") + _gzipped(little.tobytes(), runs=runs)


def itk_geometry(path: Path) -> Geometry | None:
    """The space that SimpleITK gives a file, from its header; None where SimpleITK cannot read it."""
    try:
        return _itk_reader_geometry(_itk_reader(path))
    except RuntimeError:
        return None


def _gzipped(data: bytes, *, runs: bool) -> bytes:
    """The same bytes for the same data, whatever the time."""
    if not runs:
        return gzip.compress(data, compresslevel=6, mtime=0)
    # zlib then looks for nothing but runs, in half the time; 16 more window bits say gzip.
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS, strategy=zlib.Z_RLE)
    return packer.compress(data) + packer.flush()


def _matrix(geometry: Geometry) -> npt.NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(geometry.direction, (3, 3)) * np.asarray(geometry.spacing)
    matrix[:3, 3] = geometry.origin
    return matrix


def _known_spacing(spacing: tuple[float, float, float]) -> tuple[float, float] | None:
    across, down, _ = spacing
    return None if across == 1.0 and down == 1.0 else (down, across)


def _check_single(sizes: tuple[int, ...], name: str) -> None:
    if len(sizes) < 2 or any(size != 1 for size in sizes[2:]):
        shown = " x ".join(str(size) for size in sizes)
        raise InvalidImageError(
            f"one slice is required; {name} is {shown}; save the one slice to analyse as its own file"
        )


def _damaged(name: str, error: Exception) -> InvalidImageError:
    reason = str(error).strip().splitlines()
    return InvalidImageError(
        f"a readable NIfTI or NRRD image is required; {name} is damaged or of another format"
        f"{' (out of memory)' if isinstance(error, MemoryError) or not reason else ''}; export it again"
    )


def _whole(path: Path, header: Any, suffix: str) -> io.BytesIO | None:
    """A gzipped file's content up to the end of the pixels, unpacked at once; None where it is not gzipped.

    In the small pieces that nibabel asks for it takes half as long again.
    """
    if not suffix.endswith(".gz"):
        return None
    count = int(np.prod(header.get_data_shape(), dtype=np.int64))
    wanted = int(header.get_data_offset()) + count * int(header.get_data_dtype().itemsize)
    packed, parts, length = path.read_bytes(), [], 0
    while packed and length < wanted:
        # A gzip file may have several members.
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        part = unpacker.decompress(packed, wanted - length)
        parts.append(part)
        length += len(part)
        packed = unpacker.unused_data
        if not unpacker.eof:
            break
    return io.BytesIO(parts[0] if len(parts) == 1 else b"".join(parts))


# A folder's images are of few sizes, and nibabel takes longer over a header than over the pixels.
@lru_cache(maxsize=64)
def _new_nifti_header(shape: tuple[int, ...], dtype: np.dtype[Any], geometry: Geometry) -> bytes:
    import nibabel

    affine = _LPS_TO_RAS @ _matrix(geometry)
    header = nibabel.Nifti1Header()
    header.set_data_shape((shape[1], shape[0], 1))
    header.set_data_dtype(dtype)
    header.set_xyzt_units("mm")
    header.set_sform(affine, code="scanner")
    header.set_qform(affine, code="scanner")
    header["magic"], header["vox_offset"] = b"n+1", _NIFTI_DATA
    block: bytes = header.binaryblock
    return block.ljust(_NIFTI_DATA, b"\0")


def _read_nifti(path: Path, suffix: str) -> StoredImage:
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        with gzip.open(path) if suffix.endswith(".gz") else path.open("rb") as file:
            size = file.peek(4)[:4]
            is_2 = _NIFTI_2_HEADER in (int.from_bytes(size, "little"), int.from_bytes(size, "big"))
            header, geometry = _nifti_header(file.read(_NIFTI_2_HEADER if is_2 else _NIFTI_1_HEADER))
            sizes = tuple(int(size) for size in header.get_data_shape())
            check_size(sizes, path.name)
            # The fifth axis of NIfTI holds vectors, which is how some writers store colour.
            channels = sizes[4] if len(sizes) == 5 and sizes[4] in (3, 4) else 1
            _check_single(sizes[:4] if channels > 1 else sizes, path.name)
            array = np.asanyarray(header.data_from_fileobj(_whole(path, header, suffix) or file))
        # Without a stated space each library invents its own; viewers show ITK's.
        geometry = geometry or itk_geometry(path) or _nifti_geometry(header)
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        WrapStructError,
        HeaderDataError,
        MemoryError,
    ) as error:
        if isinstance(error, InvalidImageError):
            raise
        raise _damaged(path.name, error) from error
    if array.dtype.names:  # NIfTI's RGB24 and RGBA32 types
        array = np.stack([array[name] for name in array.dtype.names], axis=-1)
        channels = array.shape[-1]
    if np.iscomplexobj(array):
        raise InvalidImageError(f"real pixel values are required; {path.name} is complex; export magnitudes")
    flat = array.reshape(sizes[0], sizes[1], channels).swapaxes(0, 1)
    return StoredImage(flat[:, :, 0] if channels == 1 else flat, geometry, _known_spacing(geometry.spacing))


@lru_cache(maxsize=64)
def _nifti_header(block: bytes) -> tuple[Any, Geometry | None]:
    """A file's checked header, which nobody may change, and the space that it states, if it does."""
    import nibabel

    is_2 = len(block) == _NIFTI_2_HEADER
    header = (nibabel.Nifti2Header if is_2 else nibabel.Nifti1Header)(block)
    stated = int(header["qform_code"]) != 0 or int(header["sform_code"]) != 0
    return header, _nifti_geometry(header) if stated else None


def _nifti_geometry(header: Any) -> Geometry:
    unit = _UNIT_IN_MM.get(header.get_xyzt_units()[0], 1.0)
    in_mm = np.diag([unit, unit, unit, 1.0])
    affine: npt.NDArray[np.float64] = in_mm @ _LPS_TO_RAS @ header.get_best_affine()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or (spacing == 0).any():
        raise InvalidImageError(
            "a NIfTI affine with finite, nonzero spacing is required; got another; repair the file's header"
        )
    # float32 in the header: the seventh digit of a spacing is noise.
    spacing = np.array([float(f"{value:.7g}") for value in spacing], np.float64)
    direction: npt.NDArray[np.float64] = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return _geometry(spacing, affine[:3, 3], direction)


def _geometry(
    spacing: npt.NDArray[np.float64], origin: npt.NDArray[np.float64], direction: npt.NDArray[np.float64]
) -> Geometry:
    x, y, z = (float(value) for value in spacing)
    a, b, c = (float(value) for value in origin)
    # Adding zero turns -0.0 into 0.0.
    return Geometry((x, y, z), (a + 0.0, b + 0.0, c + 0.0), tuple(float(v) + 0.0 for v in direction.flat))


def _itk_reader(path: Path) -> Any:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _itk_reader_geometry(reader: Any) -> Geometry:
    """ITK's 2D or 3D space as a 3D one."""
    n = int(reader.GetDimension())
    spacing, origin, direction = np.ones(3), np.zeros(3), np.eye(3)
    used = min(n, 3)
    spacing[:used] = reader.GetSpacing()[:used]
    origin[:used] = reader.GetOrigin()[:used]
    direction[:used, :used] = np.reshape(reader.GetDirection(), (n, n))[:used, :used]
    return _geometry(spacing, origin, direction)


def _read_nrrd(path: Path) -> StoredImage:
    import SimpleITK

    try:
        reader = _itk_reader(path)
        sizes = tuple(int(size) for size in reader.GetSize())
        check_size(sizes, path.name)
        _check_single(sizes, path.name)
        geometry = _itk_reader_geometry(reader)
        array = np.asarray(SimpleITK.GetArrayFromImage(reader.Execute()))
        channels = int(reader.GetNumberOfComponents())
    except (RuntimeError, MemoryError) as error:
        raise _damaged(path.name, error) from error
    array = array.reshape(sizes[1], sizes[0], channels)
    return StoredImage(array[:, :, 0] if channels == 1 else array, geometry, _known_spacing(geometry.spacing))
