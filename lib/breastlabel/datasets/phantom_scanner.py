"""The scanner of an ultrasound phantom: tissue -> speckled, log-compressed 8-bit picture.

Speckle is the magnitude of a circular complex Gaussian field seen through the pulse (Goodman 1975: Rayleigh
amplitudes), averaged over a few looks as in spatial compounding; the beam widens away from its focus.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from breastlabel.datasets.phantom_tissue import Field, Tissue, View

__all__ = ["ScannerStyle", "Style", "scan"]


@dataclass(frozen=True)
class ScannerStyle:
    """How a site's scanner is built and set.

    Attributes:
        gain: dB added to everything.
        dynamic_range: dB between black and white; smaller is harder.
        axial: pulse length (standard deviation) in mm.
        lateral: beam width at the focus (standard deviation) in mm.
        looks: independent pictures that are averaged.
        gamma: of the grey map.
        penetration: further loss in dB per mm of depth that the time gain does not make up for.
        noise: electronic noise at the bottom of the picture in dB.
    """

    gain: float = 0.0
    dynamic_range: float = 52.0
    axial: float = 0.09
    lateral: float = 0.17
    looks: int = 3
    gamma: float = 1.1
    penetration: float = 0.0
    noise: float = -44.0


class Style(StrEnum):
    """Named scanners; ``PORTABLE`` and ``BRIGHT`` are shifted against ``REFERENCE``, as other sites are."""

    REFERENCE = "reference"
    PORTABLE = "portable"
    BRIGHT = "bright"

    @property
    def scanner(self) -> ScannerStyle:
        """The settings."""
        return _SCANNERS[self]


_SCANNERS = {
    Style.REFERENCE: ScannerStyle(),
    Style.PORTABLE: ScannerStyle(
        gain=-3, dynamic_range=47, axial=0.14, lateral=0.3, looks=2, gamma=1.0, penetration=0.15, noise=-34
    ),
    Style.BRIGHT: ScannerStyle(gain=9, dynamic_range=68, axial=0.08, lateral=0.13, looks=5, gamma=0.85),
}


def scan(
    rng: np.random.Generator, tissue: Tissue, view: View, scanner: ScannerStyle
) -> npt.NDArray[np.uint8]:
    """The picture, uint8 (rows, cols); gain, time gain and range vary a little from image to image."""
    z, _ = view.grid()
    loss = np.cumsum(tissue.attenuation + scanner.penetration, axis=0, dtype=np.float32) * view.spacing
    # The beam is wide: shadows have soft flanks.
    loss = ndimage.gaussian_filter1d(loss, max(0.25 / view.spacing, 0.6), axis=1)
    # Behind a strong absorber, reverberation and noise keep the picture from going darker without end.
    loss = np.where(loss > 0, 30 * np.tanh(loss / 30), 12 * np.tanh(loss / 12))
    amplitude = np.power(10, (tissue.echo - loss) / 20).astype(np.float32)
    envelope = _speckle(rng, amplitude, view, scanner)
    floor = 10 ** ((scanner.noise - 14 * (1 - z / view.depth)) / 20)
    envelope = np.hypot(envelope, floor * np.abs(rng.standard_normal(view.shape, np.float32)))
    sliders = np.interp(z[:, 0], np.linspace(0, view.depth, 8), rng.normal(0, 1.3, 8)).astype(np.float32)
    decibel = 20 * np.log10(envelope + 1e-6) + sliders[:, None] + scanner.gain + rng.normal(0, 2.5)
    span = scanner.dynamic_range * rng.uniform(0.93, 1.08)
    shown = np.clip(decibel / span + 0.72, 0, 1) ** scanner.gamma
    return np.asarray(np.rint(shown * 255), np.uint8)


def _speckle(rng: np.random.Generator, amplitude: Field, view: View, scanner: ScannerStyle) -> Field:
    """The envelope's amplitude, with the beam in focus at two fifths of the depth and wider elsewhere."""
    z, _ = view.grid()
    axial = max(scanner.axial / view.spacing, 0.45)
    narrow = max(scanner.lateral / view.spacing, 0.5)
    wide = 2.1 * narrow
    defocus = np.minimum(np.abs(z / view.depth - 0.4) / 0.6, 1.0).astype(np.float32)
    total = np.zeros(view.shape, np.float32)
    for _ in range(scanner.looks):
        parts = []
        for _ in range(2):  # real and imaginary
            field = amplitude * rng.standard_normal(view.shape, np.float32)
            field = ndimage.gaussian_filter1d(field, axial, axis=0, truncate=3)
            near = ndimage.gaussian_filter1d(field, narrow, axis=1, truncate=3) * _unit_power(narrow)
            far = ndimage.gaussian_filter1d(field, wide, axis=1, truncate=3) * _unit_power(wide)
            parts.append((near + (far - near) * defocus) * _unit_power(axial))
        total += np.hypot(parts[0], parts[1])
    return total / scanner.looks


def _unit_power(sigma: float) -> float:
    """What a Gaussian filter of white noise must be multiplied with to keep the noise's power."""
    reach = np.arange(-int(3 * sigma + 0.5), int(3 * sigma + 0.5) + 1)
    kernel = np.exp(-0.5 * (reach / sigma) ** 2)
    kernel /= kernel.sum()
    return float(1 / np.sqrt(np.square(kernel).sum()))
