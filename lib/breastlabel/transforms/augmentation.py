"""Random changes of prepared images and their masks, in batches, on any device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from breastlabel.errors import UnknownNameError
from breastlabel.transforms.configuration import arguments_from_config, config_of
from breastlabel.transforms.geometric import PADDINGS, Motion, moved
from breastlabel.transforms.photometric import Appearance, repainted
from breastlabel.transforms.splines import MARGIN

__all__ = ["Augmentation", "AugmentationParameters"]

_LARGEST_ELASTIC = 0.4


@dataclass(frozen=True)
class AugmentationParameters:
    """What was drawn for a batch; applying it twice gives the same result twice.

    Attributes:
        motion: flips, affine map, displacement: for images and masks.
        appearance: intensities: for images only.
    """

    motion: Motion
    appearance: Appearance

    def __len__(self) -> int:
        return len(self.motion.flip_horizontal)

    def __getitem__(self, items: slice) -> AugmentationParameters:
        """The parameters of some of the batch's items."""
        return AugmentationParameters(self.motion[items], self.appearance[items])


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Draw parameters for a batch, then apply them: masks always move with their images.

    Random crops are a zoom above 1 with a shift. Every ``*_probability`` is per image; ranges are uniform.

    Attributes:
        horizontal_flip: probability to mirror left and right.
        vertical_flip: probability to mirror near and far; unphysical in ultrasound, but in P1.
        affine_probability: of rotation, zoom, stretch and shift together.
        rotation: largest angle, in degrees, either way.
        zoom: (smallest, largest) magnification.
        stretch: largest ratio between the magnifications of columns and rows, at least 1.
        shift: largest translation, as a fraction of each side.
        padding: what comes in at the borders, for images and masks alike: ``zeros``, ``border``,
            ``reflection``.
        elastic_probability: of a smooth displacement.
        elastic: its largest size, as a fraction of the distance of its control points, at most 0.4, so that
            it never folds (Choi and Lee, Injectivity conditions of 2D and 3D uniform cubic B-spline
            functions, Graphical Models 62, 2000: below 0.48).
        elastic_cells: control cells along each axis.
        tone_probability: of brightness, contrast and gamma together.
        brightness: largest amount added, on the scale of [0, 1].
        contrast: (smallest, largest) factor about the image's mean.
        gamma: (smallest, largest) exponent, drawn on a logarithmic scale.
        gain_probability: of a smooth gain over depth and, half as strong, over width (time gain compensation,
            shadowing).
        gain: its largest deviation from 1.
        blur_probability: of a Gaussian blur.
        blur: its largest sigma, in pixels, at most 1.5.
        speckle_probability: of multiplicative noise, correlated over about two pixels as speckle is.
        speckle: its largest standard deviation.
        noise_probability: of additive Gaussian noise.
        noise: its largest standard deviation.
    """

    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    affine_probability: float = 0.9
    rotation: float = 15.0
    zoom: tuple[float, float] = (0.9, 1.1)
    stretch: float = 1.0
    shift: float = 0.1
    padding: str = "zeros"
    elastic_probability: float = 0.0
    elastic: float = 0.3
    elastic_cells: int = 4
    tone_probability: float = 0.8
    brightness: float = 0.1
    contrast: tuple[float, float] = (0.8, 1.2)
    gamma: tuple[float, float] = (0.8, 1.25)
    gain_probability: float = 0.0
    gain: float = 0.3
    blur_probability: float = 0.0
    blur: float = 1.0
    speckle_probability: float = 0.0
    speckle: float = 0.2
    noise_probability: float = 0.0
    noise: float = 0.04

    def __post_init__(self) -> None:
        if self.padding not in PADDINGS:
            raise UnknownNameError("padding", self.padding, PADDINGS)
        probabilities = ["horizontal_flip", "vertical_flip"]
        probabilities += [f"{part}_probability" for part in _PARTS]
        for name in probabilities:
            _require(0 <= getattr(self, name) <= 1, name, "a probability in [0, 1]", getattr(self, name))
        for name in ("zoom", "contrast", "gamma"):
            low, high = getattr(self, name)
            object.__setattr__(self, name, (float(low), float(high)))
            _require(0 < low <= high, name, "(smallest, largest), above 0", (low, high))
        for name in ("rotation", "brightness", "speckle", "noise"):
            _require(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        _require(self.stretch >= 1, "stretch", "at least 1", self.stretch)
        _require(0 <= self.shift < 1, "shift", "in [0, 1)", self.shift)
        _require(0 <= self.elastic <= _LARGEST_ELASTIC, "elastic", "in [0, 0.4]", self.elastic)
        _require(self.elastic_cells >= 1, "elastic_cells", "at least 1", self.elastic_cells)
        _require(0 <= self.gain <= 0.6, "gain", "in [0, 0.6]", self.gain)
        _require(0 <= self.blur <= 1.5, "blur", "in [0, 1.5]", self.blur)

    @classmethod
    def paper(cls) -> Augmentation:
        """P1's section III.B: flips, +-15 degrees, crop, zoom, shift, brightness, contrast."""
        return cls(vertical_flip=0.5, zoom=(0.9, 1.25), brightness=0.15, gamma=(1.0, 1.0))

    @classmethod
    def strong(cls) -> Augmentation:
        """For long training: wider ranges, elastic deformation, gain, blur, speckle and noise."""
        return cls(
            rotation=20.0,
            zoom=(0.8, 1.3),
            stretch=1.2,
            elastic_probability=0.4,
            brightness=0.15,
            contrast=(0.65, 1.4),
            gamma=(0.65, 1.5),
            gain_probability=0.3,
            blur_probability=0.2,
            speckle_probability=0.3,
            noise_probability=0.2,
        )

    def draw(
        self, n: int, size: tuple[int, int], generator: torch.Generator | None = None
    ) -> AugmentationParameters:
        """Parameters for `n` images of `size` (rows, cols), on the generator's device.

        The same generator state gives the same parameters.
        """
        device = generator.device if generator is not None else torch.device("cpu")

        def uniform(*shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device) * (high - low) + low

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, device=device)

        def chosen(probability: float) -> Tensor:
            return torch.rand(n, generator=generator, device=device) < probability

        flip_horizontal, flip_vertical = chosen(self.horizontal_flip), chosen(self.vertical_flip)
        affine = chosen(self.affine_probability)
        angle = torch.deg2rad(uniform(n) * self.rotation) * affine
        zoom = torch.where(affine, uniform(n, low=self.zoom[0], high=self.zoom[1]), 1.0)
        stretch = torch.where(affine, self.stretch ** (uniform(n) / 2), 1.0)
        shift = uniform(n, 2) * self.shift * affine[:, None]
        control = None
        if self.elastic_probability > 0 and self.elastic > 0:
            points = self.elastic_cells + MARGIN
            elastic = chosen(self.elastic_probability)
            # In grid_sample's units an image is 2 wide, so a control cell is 2 / cells.
            control = uniform(n, 2, points, points) * (2 * self.elastic / self.elastic_cells)
            control = control * elastic[:, None, None, None]
        motion = Motion(
            padding=self.padding,
            flip_horizontal=flip_horizontal,
            flip_vertical=flip_vertical,
            angle=angle,
            magnification=torch.stack([zoom * stretch, zoom / stretch], dim=1),
            shift=shift,
            control=control,
        )

        brightness = contrast = gamma = gain = blur = speckle = noise = None
        if self.tone_probability > 0:
            tone = chosen(self.tone_probability)
            brightness = uniform(n) * self.brightness * tone
            contrast = torch.where(tone, uniform(n, low=self.contrast[0], high=self.contrast[1]), 1.0)
            low, high = self.gamma
            gamma = torch.where(tone, low * (high / low) ** uniform(n, low=0.0), 1.0)
        if self.gain_probability > 0:
            strength = chosen(self.gain_probability) * self.gain
            gain = uniform(n, 2, _GAIN_CELLS + MARGIN) * strength[:, None, None]
        if self.blur_probability > 0:
            blur = uniform(n, low=0.3 * self.blur, high=self.blur) * chosen(self.blur_probability)
        if self.speckle_probability > 0:
            strength = uniform(n, low=0.0) * self.speckle * chosen(self.speckle_probability)
            # Drawn at half the resolution: neighbouring pixels of real speckle are correlated.
            grains = normal(n, 1, (size[0] + 1) // 2, (size[1] + 1) // 2)
            speckle = grains * strength[:, None, None, None]
        if self.noise_probability > 0:
            strength = uniform(n, low=0.0) * self.noise * chosen(self.noise_probability)
            noise = normal(n, 1, *size) * strength[:, None, None, None]
        appearance = Appearance(
            brightness=brightness,
            contrast=contrast,
            gamma=gamma,
            gain=gain,
            blur=blur,
            speckle=speckle,
            noise=noise,
        )
        return AugmentationParameters(motion, appearance)

    @staticmethod
    def apply(parameters: AugmentationParameters, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Move images and masks, and change the images' appearance.

        Args:
            parameters: from `draw`, for as many images.
            images: (B, C, H, W) in [0, 1].
            masks: (B, M, H, W), 0 or 1 each; sampled as the images are, then cut at one half.

        Returns:
            float32 images in [0, 1] and float32 masks of 0 and 1, on the images' device. An image for which
            nothing was drawn comes back as it was, bit by bit.

        Raises:
            InvalidImageError: images or parameters of another shape.
            InvalidLabelError: masks that do not lie on the images.
        """
        images, masks = moved(parameters.motion.to(images.device), images, masks)
        return repainted(parameters.appearance.to(images.device), images), masks

    def __call__(
        self, images: Tensor, masks: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """`draw` and `apply` in one."""
        rows, cols = images.shape[-2:]
        return self.apply(self.draw(len(images), (rows, cols), generator), images, masks)

    def config(self) -> dict[str, Any]:
        """JSON values from which `from_config` makes an equal object."""
        return config_of(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Augmentation:
        """The inverse of `config`; options left out have their defaults.

        Raises:
            UnknownNameError: an unknown option.
        """
        return cls(**arguments_from_config(cls, config))


_PARTS = ("affine", "elastic", "tone", "gain", "blur", "speckle", "noise")
_GAIN_CELLS = 2


def _require(valid: bool, name: str, what: str, came: object) -> None:
    if not valid:
        raise ValueError(f"{name} must be {what}; got {came}")
