"""One breast image in memory, and where its pixels lie in the file's own space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from breastlabel.errors import InvalidImageError
from breastlabel.imaging.vocabulary import Density, Laterality, Modality, ViewPosition

__all__ = ["BreastImage", "FloatArray", "Geometry", "LabelArray"]

FloatArray = npt.NDArray[np.float32]
LabelArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Geometry:
    """Where a 2D image lies in patient space, in ITK's convention (LPS, millimetres).

    Axes are (column index x, row index y, slice z), so that ``spacing[0]`` is the distance between
    columns. A file without a geometry of its own (PNG, JPEG) has unit spacing at the origin, exactly as
    SimpleITK reads it, so that a mask written with this geometry lies over the image in every viewer.

    Attributes:
        spacing: distances between columns, rows, slices.
        origin: LPS position of the centre of pixel (row 0, column 0).
        direction: 9 direction cosines, row-major, columns are the axes' directions.
    """

    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class BreastImage:
    """One image of one breast.

    Attributes:
        pixels: float32 (rows, cols), in the file's own units, never NaN, never constant.
        spacing: (between rows, between columns) in mm; None where the file does not know it.
        geometry: the file's own space, for writing a mask that lies over the image.
        patient_key: a key for grouping that is not the patient's identifier.
        acquisition_date: None where unknown.
        age: in years.
        metadata: what else is known (``dual_panel``, ``doppler``, ...), plain JSON values.
    """

    pixels: FloatArray
    modality: Modality
    spacing: tuple[float, float] | None = None
    geometry: Geometry = field(default_factory=Geometry)
    laterality: Laterality | None = None
    view_position: ViewPosition | None = None
    patient_key: str | None = None
    study_key: str | None = None
    acquisition_date: date | None = None
    age: float | None = None
    density: Density | None = None
    implant: bool | None = None
    manufacturer: str | None = None
    machine_id: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or min(self.pixels.shape) < 1:
            raise InvalidImageError(
                f"one grey image (rows, cols) is required; got an array of shape {self.pixels.shape}; "
                "give a still image, or one frame of a cine loop"
            )
        if self.pixels.dtype != np.float32:
            raise InvalidImageError(f"pixels must be float32; got {self.pixels.dtype}; convert them first")
        if not bool(np.isfinite(self.pixels).all()):
            raise InvalidImageError(
                "every pixel must be a finite number; the image holds NaN or infinity; export it again"
            )
        if float(self.pixels.min()) == float(self.pixels.max()):
            raise InvalidImageError(
                f"an image with contrast is required; all pixels are {float(self.pixels.flat[0]):g}; "
                "export it again"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        rows, cols = self.pixels.shape
        return rows, cols
