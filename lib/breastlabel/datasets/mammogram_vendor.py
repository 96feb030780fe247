"""The machines of mammography phantoms: attenuation -> stored pixels, as a few invented vendors show it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from breastlabel.datasets.mammogram_breast import Field

__all__ = ["Machine", "MachineStyle", "burn_marker", "develop"]


@dataclass(frozen=True)
class MachineStyle:
    """How a site's machine shows a breast; all makers are invented.

    Attributes:
        field_mm: height of the detector.
        bits: stored, of 16 allocated.
        inverted: MONOCHROME1: the smallest stored value is white.
        toe: attenuation that is shown as black.
        span: attenuation between black and white; smaller is harder.
        gamma: of the display curve.
        blur: of the detector, standard deviation in mm.
        sharpening: unsharp masking that the maker applies.
        noise: standard deviation at a grey of one half, as a share of the range; for pixels of 0.1 mm.
        floor: what air is stored as, and ``ceiling`` what white is, as shares of the range.
        marker: "text" or "plate", a bright plate with dark letters.
    """

    manufacturer: str
    model: str
    field_mm: float
    bits: int
    inverted: bool
    toe: float
    span: float
    gamma: float
    blur: float
    sharpening: float
    noise: float
    floor: float
    ceiling: float
    marker: str


class Machine(StrEnum):
    """Named machines."""

    ALPHA = "alpha"
    BETA = "beta"
    GAMMA = "gamma"
    DELTA = "delta"

    @property
    def style(self) -> MachineStyle:
        """The settings."""
        return _STYLES[self]


_STYLES = {
    Machine.ALPHA: MachineStyle(
        "Phantom Alpha", "Alpha 2000", 240, 12, False, 0.05, 1.05, 1.0, 0.05, 0.5, 0.022, 0.0, 0.97, "text"
    ),
    Machine.BETA: MachineStyle(
        "Phantom Beta", "Beta Film", 236, 14, True, 0.02, 1.15, 0.85, 0.10, 0.9, 0.030, 0.02, 1.0, "plate"
    ),
    Machine.GAMMA: MachineStyle(
        "Phantom Gamma", "Gamma G3", 248, 12, False, 0.10, 0.90, 1.25, 0.04, 0.2, 0.018, 0.04, 0.9, "text"
    ),
    Machine.DELTA: MachineStyle(
        "Phantom Delta",
        "Delta Select",
        244,
        14,
        False,
        0.0,
        1.25,
        0.75,
        0.07,
        1.3,
        0.026,
        0.01,
        0.85,
        "plate",
    ),
}


def develop(
    rng: np.random.Generator,
    attenuation: Field,
    inside: npt.NDArray[np.bool_],
    machine: MachineStyle,
    spacing: float,
) -> Field:
    """The picture for display, float32 (rows, cols) in whole numbers of 0 to 2 ** bits - 1, bright is dense.

    Exposure and contrast vary a little from image to image.
    """
    sigma = machine.blur / spacing
    shown = cv2.GaussianBlur(attenuation, (0, 0), sigma) if sigma > 0.25 else attenuation
    wide = cv2.GaussianBlur(shown, (0, 0), max(0.5 / spacing, 0.8))
    shown = shown + np.float32(0.3 * machine.sharpening) * (shown - wide)
    toe = machine.toe + rng.normal(0, 0.015)
    grey = (shown - np.float32(toe)) / np.float32(machine.span * rng.uniform(0.94, 1.06))
    # A curve with a shoulder: white is approached and never reached, at the cost of contrast in dense tissue.
    np.clip(grey, 0, None, out=grey)
    grey = (1 - np.exp(-1.45 * grey)) ** np.float32(machine.gamma)
    # Quantum noise averages out over larger pixels, but not all of it: part is correlated.
    sd = machine.noise * min(1.0, (0.1 / spacing) ** 0.5)
    noise = rng.standard_normal(grey.shape, np.float32) * np.float32(sd)
    grey = np.where(inside, grey + noise * (0.5 + grey), np.abs(noise) * np.float32(0.25))
    top = 2**machine.bits - 1
    grey = machine.floor + (machine.ceiling - machine.floor) * np.clip(grey, 0, 1)
    return np.asarray(np.rint(grey * top), np.float32)


def burn_marker(
    pixels: Field, inside: npt.NDArray[np.bool_], text: str, machine: MachineStyle, spacing: float
) -> None:
    """Write a view's name into the air at the upper corner away from the chest wall, in place.

    Args:
        pixels: with the chest wall at the side where it is to be shown; the letters are not mirrored later.
    """
    rows, cols = pixels.shape
    height = max(round(7 / spacing), 5)
    scale = height / 22
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    pad = max(1, height // 3)
    box = (height + 2 * pad, min(width + 2 * pad, cols))
    at_left = inside[:, : cols // 2].sum() < inside[:, cols // 2 :].sum()
    top = max(0, round(0.04 * rows))
    left = round(0.03 * cols) if at_left else cols - box[1] - round(0.03 * cols)
    left = max(left, 0)
    white = np.float32(machine.ceiling * (2**machine.bits - 1))
    black = np.float32(machine.floor * (2**machine.bits - 1))
    letters = np.zeros(box, np.uint8)
    thick = max(1, round(height / 9))
    cv2.putText(letters, text, (pad, box[0] - pad), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
    ink = letters.astype(np.float32) / 255
    if machine.marker == "plate":
        ink = 0.85 - 0.75 * ink
    window = (slice(top, top + box[0]), slice(left, left + box[1]))
    free = ~inside[window]
    ink = ink[: free.shape[0], : free.shape[1]]
    pixels[window] = np.where(
        free, np.rint(np.maximum(pixels[window], black + ink * (white - black))), pixels[window]
    )
