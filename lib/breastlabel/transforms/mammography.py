"""The preparation of mammograms: the breast alone, chest wall to the left, in the tissue's own scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np

from breastlabel.errors import InvalidImageError, UnknownNameError
from breastlabel.transforms.breast import BreastRegion, isolate_breast, looks_like_mammogram
from breastlabel.transforms.configuration import arguments_from_config, config_of
from breastlabel.transforms.cropped_geometry import CroppedGeometry
from breastlabel.transforms.equalization import equalized_within, locally_equalized_within
from breastlabel.transforms.geometry import FITS, LEFT
from breastlabel.transforms.pectoral import without_pectoral
from breastlabel.transforms.prepared import Prepared

if TYPE_CHECKING:
    import numpy.typing as npt

    from breastlabel.imaging.image import FloatArray

__all__ = ["MammographyPreparation"]


@dataclass(frozen=True, kw_only=True)
class MammographyPreparation:
    """One object for training, validation and inference.

    In order: isolate the breast (`breast.isolate_breast`), without the pectoral muscle; crop to it and turn
    it so that the chest wall is at the left; resize; scale the tissue's percentiles to [0, 1]; equalise
    where asked; set all that is not breast to 0. So labels, film borders and the side do not tell the network
    anything, and an exam gives the same input as 8-bit PNG, film or 16-bit DICOM.

    Where the crop lies depends on the pixels: masks go through the geometry of the prepared image.

    Attributes:
        size: (rows, cols) of the prepared image.
        fit: ``letterbox-left`` keeps the proportions and the chest wall at the left edge; ``stretch`` fills
            `size`; ``letterbox`` centres.
        margin: around the breast, as a share of its longer side, but not at the chest wall.
        percentiles: (lower, upper) of the tissue in 0..100; (0, 100) is plain min-max.
        histogram_equalization: of the tissue, in 256 levels (P0's option).
        pectoral: whether the pectoral muscle stays; else it is set to 0 where its edge is sure, but for what
            lies over it and is much brighter (`pectoral.without_pectoral`).
        clahe: contrast-limited adaptive histogram equalisation of the tissue.
        clahe_clip: highest bin of a tile's histogram, in multiples of its mean bin.
        clahe_tiles: tiles along each axis.
        check: whether an image unlike any mammogram is refused (`breast.looks_like_mammogram`).
        isolate: whether the breast is cut out and turned; else the whole image is prepared as it lies, with
            all that is in it (P4's "direct fusion"), and ``margin`` and ``pectoral`` mean nothing.
    """

    name: ClassVar[str] = "mammography"

    size: tuple[int, int] = (512, 384)
    fit: str = LEFT
    margin: float = 0.02
    pectoral: bool = False
    percentiles: tuple[float, float] = (0.5, 99.8)
    histogram_equalization: bool = False
    clahe: bool = False
    clahe_clip: float = 2.0
    clahe_tiles: int = 8
    check: bool = True
    isolate: bool = True

    def __post_init__(self) -> None:
        rows, cols = self.size
        low, high = self.percentiles
        object.__setattr__(self, "size", (int(rows), int(cols)))
        object.__setattr__(self, "percentiles", (float(low), float(high)))
        if self.fit not in (*FITS, LEFT):
            raise UnknownNameError("fit", self.fit, (*FITS, LEFT))
        if min(self.size) < 1:
            raise ValueError(f"size must be (rows, cols), each at least 1; got {self.size}")
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must be 0 <= lower < upper <= 100; got {self.percentiles}")
        if not 0 <= self.margin <= 0.5:
            raise ValueError(f"margin must lie in [0, 0.5]; got {self.margin:g}")
        if self.clahe_clip <= 0 or self.clahe_tiles < 1:
            raise ValueError(
                f"clahe_clip must be above 0 and clahe_tiles at least 1; "
                f"got {self.clahe_clip:g} and {self.clahe_tiles}"
            )

    def __call__(self, pixels: FloatArray) -> Prepared:
        """Prepare one mammogram (rows, cols) in any unit, tissue brighter than the background.

        Raises:
            InvalidImageError: not two-dimensional, not finite, without a breast, or unlike a mammogram.
        """
        region = isolate_breast(pixels)
        reason = looks_like_mammogram(region) if self.check else None
        if reason is not None:
            raise InvalidImageError(
                f"a mammogram of one whole breast is required; {reason}; spot views, specimens and other "
                "pictures are not analysable"
            )
        if not self.isolate:
            whole = CroppedGeometry(
                region.source_shape, self.size, (0, 0, *region.source_shape), fit=self.fit
            )
            return Prepared(self._scaled(whole.apply(pixels), _inside(whole)), whole)
        geometry = CroppedGeometry(
            region.source_shape, self.size, region.box(self.margin), region.chest_wall_right, self.fit
        )
        tissue = _tissue_on(geometry, region if self.pectoral else without_pectoral(region))
        image = geometry.apply(pixels)
        return Prepared(self._scaled(image, tissue), geometry)

    def _scaled(self, image: FloatArray, tissue: npt.NDArray[np.bool_]) -> FloatArray:
        low, high = (float(value) for value in np.percentile(image[tissue], self.percentiles))
        if low == high:
            raise InvalidImageError(
                f"a breast with contrast is required; its pixels are {low:g} nearly all; export it again"
            )
        scaled = np.clip((image - np.float32(low)) / np.float32(high - low), 0, 1)
        if self.histogram_equalization:
            scaled = equalized_within(scaled, tissue)
        if self.clahe:
            scaled = locally_equalized_within(scaled, tissue, clip=self.clahe_clip, tiles=self.clahe_tiles)
        return np.where(tissue, scaled, np.float32(0))

    def config(self) -> dict[str, Any]:
        """JSON values from which `from_config` makes an equal object; stored in the checkpoint."""
        return {"name": self.name, **config_of(self)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> MammographyPreparation:
        """The inverse of `config`; options left out have their defaults.

        Raises:
            UnknownNameError: an unknown option, or another preparation's name.
        """
        if config.get("name", cls.name) != cls.name:
            raise UnknownNameError("the preparation's name", config["name"], [cls.name])
        return cls(**arguments_from_config(cls, config))


def _inside(geometry: CroppedGeometry) -> npt.NDArray[np.bool_]:
    """Where the prepared image shows the source, and is no padding."""
    top, left, height, width = geometry.resized.window
    inside = np.zeros(geometry.size, bool)
    inside[top : top + height, left : left + width] = True
    return inside


def _tissue_on(geometry: CroppedGeometry, region: BreastRegion) -> npt.NDArray[np.bool_]:
    """The breast's mask on the prepared pixels, true at one pixel or more."""
    rows, cols = region.source_shape
    mask_rows, mask_cols = region.mask.shape
    top, left, height, width = geometry.box
    window_top, window_left, window_height, window_width = geometry.resized.window
    # Prepared pixel centres -> the crop's -> the source's -> the reduced copy's, one affine map.
    along = (np.arange(window_width) + 0.5) * width / window_width
    if geometry.flipped:
        along = width - along
    x = (left + along) * mask_cols / cols - 0.5
    y = (top + (np.arange(window_height) + 0.5) * height / window_height) * mask_rows / rows - 0.5
    grid_x, grid_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    sampled = cv2.remap(
        region.mask.astype(np.float32), grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    tissue = np.zeros(geometry.size, bool)
    window = tissue[window_top : window_top + window_height, window_left : window_left + window_width]
    window[:] = sampled >= 0.5
    if not window.any():
        window[:] = True
    return tissue
