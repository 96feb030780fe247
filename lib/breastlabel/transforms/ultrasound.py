"""The preparation of breast ultrasound, P1's section III.A: enhance, smooth, resize."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np

from breastlabel.errors import InvalidImageError, InvalidLabelError, UnknownNameError
from breastlabel.transforms.configuration import arguments_from_config, config_of
from breastlabel.transforms.diffusion import LARGEST_STABLE_STEP, perona_malik
from breastlabel.transforms.geometry import FITS, ResizedGeometry
from breastlabel.transforms.prepared import Prepared

if TYPE_CHECKING:
    from breastlabel.imaging.image import FloatArray, LabelArray

__all__ = ["Prepared", "UltrasoundPreparation"]


@dataclass(frozen=True, kw_only=True)
class UltrasoundPreparation:
    """P1's chain; each step can be switched. One object for training, validation and inference.

    In order: scale to [0, 1]; histogram equalisation; CLAHE; Gaussian; anisotropic diffusion; resize. All
    steps but the last work at the source's resolution, where P1's 3 x 3 kernel removes speckle and not the
    lesion's margin, and before any padding, which would enter the histograms.

    The scale is the image's own: the lower and upper percentile go to 0 and 1. So an exam gives the same
    input as 8-bit PNG, 16-bit NIfTI or rescaled DICOM, and a burned-in caption or calliper, a fraction of a
    percent of the pixels and usually pure white, does not darken the tissue.

    Attributes:
        size: (rows, cols) of the prepared image.
        fit: ``stretch`` as in P1, or ``letterbox``, which keeps the lesion's proportions.
        percentiles: (lower, upper) in 0..100; (0, 100) is plain min-max.
        histogram_equalization: over the whole image, in 256 levels.
        clahe: contrast-limited adaptive histogram equalisation, in 256 levels.
        clahe_clip: highest bin of a tile's histogram, in multiples of its mean bin.
        clahe_tiles: tiles along each axis.
        gaussian: a 3 x 3 Gaussian, 1/4, 1/2, 1/4 along each axis.
        anisotropic_diffusion: Perona-Malik, see `diffusion.perona_malik`.
        diffusion_iterations: its number of steps.
        diffusion_kappa: its edge threshold, on the scale of [0, 1].
        diffusion_step: its time step, at most 0.25.
    """

    name: ClassVar[str] = "ultrasound"

    size: tuple[int, int] = (224, 224)
    fit: str = "stretch"
    percentiles: tuple[float, float] = (0.5, 99.5)
    histogram_equalization: bool = False
    clahe: bool = True
    clahe_clip: float = 2.0
    clahe_tiles: int = 8
    gaussian: bool = True
    anisotropic_diffusion: bool = False
    diffusion_iterations: int = 10
    diffusion_kappa: float = 0.1
    diffusion_step: float = 0.2

    def __post_init__(self) -> None:
        rows, cols = self.size
        low, high = self.percentiles
        object.__setattr__(self, "size", (int(rows), int(cols)))
        object.__setattr__(self, "percentiles", (float(low), float(high)))
        if self.fit not in FITS:
            raise UnknownNameError("fit", self.fit, FITS)
        if min(self.size) < 1:
            raise ValueError(f"size must be (rows, cols), each at least 1; got {self.size}")
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must be 0 <= lower < upper <= 100; got {self.percentiles}")
        if self.clahe_clip <= 0 or self.clahe_tiles < 1:
            raise ValueError(
                f"clahe_clip must be above 0 and clahe_tiles at least 1; "
                f"got {self.clahe_clip:g} and {self.clahe_tiles}"
            )
        if self.diffusion_iterations < 0 or self.diffusion_kappa <= 0:
            raise ValueError(
                "diffusion_iterations must be at least 0 and diffusion_kappa above 0; "
                f"got {self.diffusion_iterations} and {self.diffusion_kappa:g}"
            )
        if not 0 < self.diffusion_step <= LARGEST_STABLE_STEP:
            raise ValueError(f"diffusion_step must lie in (0, 0.25]; got {self.diffusion_step:g}")

    def __call__(self, pixels: FloatArray) -> Prepared:
        """Prepare one grey image (rows, cols) in any unit.

        Raises:
            InvalidImageError: not two-dimensional, empty, not finite, or constant.
        """
        image = self.enhance(pixels)
        geometry = self.geometry((image.shape[0], image.shape[1]))
        return Prepared(geometry.apply(image), geometry)

    def enhance(self, pixels: FloatArray) -> FloatArray:
        """All steps but the resize: float32 (rows, cols) in [0, 1] at the source's size."""
        image = _scaled(pixels, self.percentiles)
        if self.histogram_equalization or self.clahe:
            levels = np.rint(image * 255).astype(np.uint8)
            if self.histogram_equalization:
                levels = cv2.equalizeHist(levels)
            if self.clahe:
                tiles = (self.clahe_tiles, self.clahe_tiles)
                levels = cv2.createCLAHE(clipLimit=self.clahe_clip, tileGridSize=tiles).apply(levels)
            image = levels.astype(np.float32) / np.float32(255)
        if self.gaussian:
            image = cv2.GaussianBlur(image, (3, 3), 0)
        if self.anisotropic_diffusion:
            image = perona_malik(
                image,
                iterations=self.diffusion_iterations,
                kappa=self.diffusion_kappa,
                step=self.diffusion_step,
            )
        return np.clip(image, 0, 1)

    def mask(self, mask: LabelArray) -> LabelArray:
        """A label map (rows, cols) of an image, as uint8 (H, W) on the prepared image's pixels.

        Raises:
            InvalidLabelError: not two-dimensional or empty.
        """
        if mask.ndim != 2 or min(mask.shape) < 1:
            raise InvalidLabelError(
                f"a label map (rows, cols) is required; got an array of shape {mask.shape}; "
                "give the mask of one still image"
            )
        return self.geometry(mask.shape).apply_mask(mask.astype(np.uint8, copy=False))

    def geometry(self, source_shape: tuple[int, ...]) -> ResizedGeometry:
        """The resize that an image of this shape (rows, cols) gets.

        Raises:
            InvalidImageError: the shape is not two-dimensional, or empty.
        """
        if len(source_shape) != 2 or min(source_shape) < 1:
            raise InvalidImageError(
                f"a grey image (rows, cols) is required; got an array of shape {source_shape}; "
                "give one still image"
            )
        return ResizedGeometry((source_shape[0], source_shape[1]), self.size, self.fit)

    def config(self) -> dict[str, Any]:
        """JSON values from which `from_config` makes an equal object; stored in the checkpoint."""
        return {"name": self.name, **config_of(self)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> UltrasoundPreparation:
        """The inverse of `config`; options left out have their defaults.

        Raises:
            UnknownNameError: an unknown option, or another preparation's name.
        """
        if config.get("name", cls.name) != cls.name:
            raise UnknownNameError("the preparation's name", config["name"], [cls.name])
        return cls(**arguments_from_config(cls, config))


def _scaled(pixels: FloatArray, percentiles: tuple[float, float]) -> FloatArray:
    if pixels.ndim != 2 or min(pixels.shape) < 1:
        raise InvalidImageError(
            f"a grey image (rows, cols) is required; got an array of shape {pixels.shape}; "
            "give one still image, colour converted to grey"
        )
    values = pixels.astype(np.float32, copy=False)
    least, most = float(values.min()), float(values.max())
    if not np.isfinite([least, most]).all():
        raise InvalidImageError("every pixel must be a finite number; got NaN or infinity; export it again")
    if least == most:
        raise InvalidImageError(
            f"an image with contrast is required; all pixels are {least:g}; export the image again"
        )
    low, high = (float(value) for value in np.percentile(values, percentiles))
    if low == high:
        # Nearly all pixels are equal, as in a small image within a large empty frame.
        low, high = least, most
    scaled: FloatArray = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return scaled
