"""The healthy tissue of a mammography phantom: fat, gland, ligaments, ducts, vessels, skin, pectoral muscle.

Maps are of attenuation in units in which a fully compressed breast of fat has 0.3 and one of gland about 1;
what lies above each other adds up, so that a lesion over dense tissue has little contrast left once a display
curve saturates. The gland is a solid (a disc that narrows towards the nipple, broken up by noise at all
scales), which both views project; finer texture belongs to a view. All of it hangs on the breast and not on
the pixel grid, so that two exams of one breast show the same pattern.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from breastlabel.datasets.mammogram_breast import EXTENT, Field, Frame, Projection
from breastlabel.imaging.vocabulary import Density, ViewPosition

__all__ = ["GlandSolid", "Texture", "Tissue", "draw_gland", "draw_tissue"]

_STEP = 4.0
_NODES = (32, 56, 56)  # behind, lateral, up
_MOST_NODES = 320
_FILL = {Density.A: -1.5, Density.B: -0.85, Density.C: -0.2, Density.D: 0.45}
_AMOUNT = {Density.A: 0.5, Density.B: 0.72, Density.C: 0.92, Density.D: 1.08}


@dataclass(frozen=True)
class GlandSolid:
    """The share of gland, float32 (behind, lateral, up) on nodes 4 mm apart; see `Place`."""

    share: Field


@dataclass(frozen=True)
class Texture:
    """Random fields that hang on a breast: equal keys and names give equal fields in whatever frame."""

    key: tuple[int, ...]

    def noise(self, name: int, frame: Frame, period: float, *, stretch: float = 1.0) -> Field:
        """A smooth field with about unit variance; ``period`` in mm, along ``u`` times ``stretch``."""
        rng = np.random.default_rng([*self.key, name])
        step_v, step_u = period / 2, period * stretch / 2
        # Fine fields repeat after some centimetres, which nobody sees.
        nodes = (min(int(EXTENT / step) + 4, _MOST_NODES) for step in (step_v, step_u))
        grid = rng.standard_normal(tuple(nodes), np.float32)
        factor = _factor(period / frame.spacing)
        seen = frame.coarser(factor).sample(
            grid, origin=(-EXTENT / 2, 0.0), step=(step_v, step_u), repeat=True
        )
        return 1.25 * frame.enlarged(seen, factor)

    def octaves(
        self, name: int, frame: Frame, periods: tuple[float, ...], *, slope: float, stretch: float = 1.0
    ) -> Field:
        """Noise at several scales, with about unit variance; ``slope`` is the amplitude's, by period.

        Periods finer than two pixels are left out.
        """
        amplitudes = [(period / periods[0]) ** slope for period in periods]
        total = np.zeros(frame.shape, np.float32)
        for i, (period, amplitude) in enumerate(zip(periods, amplitudes, strict=True)):
            if period >= 1.6 * frame.spacing:
                total += np.float32(amplitude) * self.noise(name + i, frame, period, stretch=stretch)
        return total / np.float32(np.hypot.reduce(amplitudes))


@dataclass(frozen=True)
class Tissue:
    """One view of a breast without lesions; all (rows, cols).

    Attributes:
        attenuation: see the module.
        inside: the breast and what is shown of the chest wall, bool.
    """

    attenuation: Field
    inside: npt.NDArray[np.bool_]


def draw_gland(seed: tuple[int, ...], projection: Projection) -> GlandSolid:
    """The gland of a breast; the same for all its views and dates."""
    breast = projection.breast
    rng = np.random.default_rng([*seed, 101])
    behind, lateral, up = (
        (np.arange(n, dtype=np.float32) + 0.5) * _STEP - offset
        for n, offset in zip(_NODES, (0.0, _NODES[1] * _STEP / 2, _NODES[2] * _STEP / 2), strict=True)
    )
    b, x, z = behind[:, None, None], lateral[None, :, None], up[None, None, :]
    width = 0.52 * (breast.lateral + breast.medial) / 2
    # A disc around the nipple line that widens from the nipple backwards.
    narrow = np.clip(0.35 + 0.65 * b / (0.35 * breast.depth), 0.2, 1.0)
    across = np.hypot(x - breast.gland_shift[0] * narrow, z - breast.gland_shift[1] * narrow) / (
        width * narrow
    )
    along = np.abs(b - 0.42 * breast.depth) / (0.44 * breast.depth)
    body = 1.0 - across**2 - along**3
    share = 1 / (1 + np.exp(-np.clip(4.5 * (body + 1.15 * _cloud(rng) + _FILL[breast.density]), -30, 30)))
    return GlandSolid(np.asarray(share, np.float32))


def draw_tissue(projection: Projection, gland: GlandSolid, frame: Frame, texture: Texture) -> Tissue:
    """One view of a breast, in a frame."""
    u, v = frame.grid()
    # Nodes of the curves are fine enough for any pixel; the skin is a function of v alone.
    line = np.linspace(-EXTENT, EXTENT, 2401, dtype=np.float32)
    skin = np.interp(v, line, projection.skin(line, top=frame.top)).astype(np.float32)
    inside = (u < skin) & (u > -40)
    rim = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5) * np.float32(frame.spacing)
    thickness = 1 - np.exp(-rim / 4.5)
    breast = projection.breast

    projected = _projected(projection, gland, frame)
    fine = texture.octaves(10, frame, (36, 19, 10, 5.4, 2.9, 1.5, 0.8, 0.4), slope=0.62, stretch=1.35)
    cover = np.clip((rim - 3) / 9, 0, 1)
    lobes = np.exp(np.minimum(0.62 * fine - 0.15, 0.9))
    fibrous = projected * lobes * cover * np.float32(_AMOUNT[breast.density])
    attenuation = 0.30 * thickness + 0.80 * fibrous
    attenuation *= 1 + 0.05 * texture.octaves(20, frame, (9.0, 4.0, 1.8, 0.8), slope=0.4)
    attenuation += _strands(projection, frame, texture) * (0.30 + projected) * cover
    attenuation += _vessels(projection, frame, texture) * cover
    attenuation += 0.07 * np.exp(-(((rim - 0.9) / 0.9) ** 2))

    edge = np.interp(v, line, projection.muscle(line, top=frame.top)).astype(np.float32) - u
    if projection.view is ViewPosition.MLO:
        edge += 1.2 * texture.noise(30, frame, 26.0)
        fibres = texture.noise(31, frame, 7.0, stretch=3.5)
        within = 1 / (1 + np.exp(np.clip(-edge / 0.9, -30, 30)))
        muscle = 0.30 + 0.12 * np.clip(edge / 45, 0, 1) + 0.02 * fibres
        attenuation += within * (muscle - 0.3 * fibrous)
    return Tissue(np.where(inside, attenuation, 0).astype(np.float32), inside)


def _factor(pixels: float) -> int:
    """How much larger pixels may be to show a smooth field whose period is that many pixels."""
    return 8 if pixels >= 48 else 4 if pixels >= 18 else 2 if pixels >= 7.5 else 1


def _cloud(rng: np.random.Generator) -> Field:
    """Noise with about unit variance whose power falls as in mammograms (Burgess 1999: about 1/f^3)."""
    white = fft.rfftn(rng.standard_normal(_NODES, np.float32))
    axes = [fft.fftfreq(n) for n in _NODES[:2]] + [fft.rfftfreq(_NODES[2])]
    f = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij", sparse=True)))
    white *= np.maximum(f, 1 / 24) ** -1.9
    noise = fft.irfftn(white, s=_NODES)
    return np.asarray(noise / noise.std(), np.float32)


def _projected(projection: Projection, gland: GlandSolid, frame: Frame) -> Field:
    """The gland's thickness along the rays, saturating at 1."""
    solid = gland.share
    if projection.view is ViewPosition.MLO:
        # Turned until the last axis but one runs along v, as in `Projection.project`.
        degrees = float(np.rad2deg(projection.breast.obliquity)) - 90
        solid = ndimage.rotate(solid, degrees, axes=(1, 2), reshape=False, order=1)
    sums = solid.sum(axis=2) * _STEP
    shown = np.asarray(1 - np.exp(-sums / 60), np.float32).T  # (v, behind)
    # From behind the nipple to u.
    reach = projection.depth
    return frame.sample(
        np.ascontiguousarray(shown[:, ::-1]),
        origin=(-_NODES[1] * _STEP / 2 + _STEP / 2, reach - _NODES[0] * _STEP + _STEP / 2),
        step=(_STEP, _STEP),
    )


def _strands(projection: Projection, frame: Frame, texture: Texture) -> Field:
    """Cooper's ligaments, curved lines in all directions, and ducts, which run together at the nipple."""
    bent = texture.noise(40, frame, 15.0) + 0.30 * texture.noise(41, frame, 5.0)
    wide = max(0.055, 0.055 * frame.spacing / 0.35)
    patchy = np.clip(0.4 + 0.5 * texture.noise(42, frame, 12.0), 0, 1)
    ligaments = 0.20 * np.exp(-((bent / wide) ** 2)) * patchy
    bent = texture.noise(43, frame, 8.0) + 0.30 * texture.noise(44, frame, 3.0)
    ligaments += 0.15 * np.exp(-((bent / (1.6 * wide)) ** 2)) * np.clip(0.9 - patchy, 0, 1)
    return np.asarray(ligaments + 0.16 * _ducts(projection, frame, texture), np.float32)


def _ducts(projection: Projection, frame: Frame, texture: Texture) -> Field:
    rng = np.random.default_rng([*texture.key, 50])
    # (angle, distance): long lines along the distance.
    table = rng.standard_normal((110, 12), np.float32)
    # Angles are smooth away from the nipple, so a coarse grid of them does.
    coarse = _factor(2.4 / frame.spacing)
    small = frame.coarser(coarse)
    u, v = small.grid()
    behind = projection.depth + 8 - u
    angle = np.arctan2(v, np.maximum(behind, 1))
    distance = np.hypot(v, behind)
    wobble = 0.06 * texture.noise(51, small, 22.0)
    lines = cv2.remap(
        table,
        (distance / 16).astype(np.float32),
        ((angle + wobble + 1.6) * 33).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    shown = np.exp(-((lines / 0.22) ** 2)) * np.exp(-distance / 55)
    return frame.enlarged(np.asarray(shown, np.float32), coarse)


def _vessels(projection: Projection, frame: Frame, texture: Texture) -> Field:
    """One to three winding lines of even width."""
    rng = np.random.default_rng([*texture.key, 60])
    picture = np.zeros(frame.shape, np.uint8)
    m = frame.matrix()
    for _ in range(int(rng.integers(1, 4))):
        u = np.linspace(0, projection.depth * rng.uniform(0.5, 0.85), 60)
        start, slope = rng.uniform(-0.6, 0.8) * 70, rng.uniform(-0.5, 0.5)
        bend = rng.normal(0, 6, 5)
        v = start + slope * u + np.interp(u, np.linspace(0, u[-1], 5), bend)
        v = ndimage.gaussian_filter1d(v, 3)
        points = np.linalg.solve(m[:, :2], np.stack([u, v]) - m[:, 2:]).T
        width = max(1, round(rng.uniform(1.2, 2.2) / frame.spacing))
        cv2.polylines(
            picture, [np.rint(points * 16).astype(np.int32)], False, int(rng.integers(120, 255)), width,
            cv2.LINE_AA, 4,
        )  # fmt: skip
    return picture.astype(np.float32) * np.float32(0.10 / 255)
