"""What there is to find in a phantom breast, and how it changes: the generative rules and probabilities.

The lexicon is that of BI-RADS mammography (ACR, 5th edition, 2013); the probabilities are made up, such that
no single thing tells benign from malignant:

- **Type.** Mass 62 %, clustered calcifications 26 %, architectural distortion 12 %, in both classes alike.
- **Suspicion** s in [0, 1] is all that the looks know of the class: malignant ~ Beta(4, 1.8), benign ~
  Beta(1.8, 4). Each view shows s + N(0, 0.18), once and for all dates: a margin can be hidden in one view.
  The best possible AUC between the two classes is 0.85 from one view, 0.88 from both, 0.94 with a prior.
  For a mass s goes from round or oval, circumscribed, faint, to irregular, spiculated, dense; for
  calcifications from round and even to fine, pleomorphic, branching; for a distortion from few lines with a
  lucent centre to many lines with a dense one.
- **Masking.** With probability 0.35 one of the two views shows the lesion at 25 to 50 % of its contrast,
  under a patch of dense tissue.
- **Superposition.** In half of the normal breasts, and in a fifth of the others, normal tissue looks like a
  mass in one view only, with a suspicion of its own ~ U(0.15, 0.95). It is no lesion: its masks are empty.
  Only the other view tells. The next exam has it again or not, since the breast lies differently.
- **Priors.** A malignant lesion was absent 1 to 3 years ago with probability 0.40, smaller (0.40 to 0.75 of
  the diameter) with 0.45, nearly as large (0.90 to 1.0) with 0.15. A benign lesion was absent with 0.10,
  smaller (0.70 to 0.90) with 0.12, as large (0.93 to 1.07) with 0.78. Of calcifications there were fewer,
  too.
- **Benign calcifications.** A third of all breasts, whatever their class, has 1 to 6 scattered coarse round
  ones.
- **Age** ~ N(57, 11) for a patient whose graver breast is normal or benign, N(62, 11) if malignant, within 35
  to 88. **Density** A to D depends on age alone (dense breasts are young).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from breastlabel.datasets.mammogram_breast import Breast, Place, Projection
from breastlabel.imaging.vocabulary import Density, LesionClass, ViewPosition

__all__ = [
    "Finding",
    "FindingType",
    "draw_age",
    "draw_density",
    "draw_lesion",
    "draw_superposition",
    "earlier",
]

_VIEWS = (ViewPosition.CC, ViewPosition.MLO)


class FindingType(StrEnum):
    """In the words of the lexicon."""

    MASS = "mass"
    CALCIFICATION = "calcification"
    DISTORTION = "architectural distortion"


@dataclass(frozen=True)
class Finding:
    """Something to see in a breast.

    Attributes:
        label: `LesionClass.NORMAL` for a superposition.
        place: of its centre.
        radii: half axes along (behind, lateral, up), mm.
        contrast: attenuation at its centre.
        suspicion: what each view that shows it shows of it, 0 to 1; a view that is not named does not show
            it.
        masked: the view in which dense tissue hides it, and the share of contrast that is left.
        seed: of its finer looks.
        share: of its calcifications, 0 to 1; fewer at an earlier date.
    """

    kind: FindingType
    label: LesionClass
    place: Place
    radii: Place
    contrast: float
    suspicion: dict[ViewPosition, float]
    masked: tuple[ViewPosition, float] | None
    seed: tuple[int, ...]
    share: float = 1.0

    def half_axes(self, projection: Projection) -> tuple[float, float]:
        """Along u and v, mm."""
        behind, lateral, up = self.radii
        if projection.view is ViewPosition.CC:
            return behind, lateral
        angle = projection.breast.obliquity
        return behind, float(np.hypot(up * np.cos(angle), lateral * np.sin(angle)))


def draw_age(rng: np.random.Generator, worst: LesionClass) -> int:
    """A patient's age in years."""
    return int(np.clip(rng.normal(62 if worst is LesionClass.MALIGNANT else 57, 11), 35, 88))


def draw_density(rng: np.random.Generator, age: float) -> Density:
    """A patient's density: of women of 40 a quarter is fatty (A, B), of women of 75 three quarters."""
    dense = 1.55 + 0.032 * (57 - age) + rng.normal(0, 0.85)
    return list(Density)[int(np.clip(np.floor(dense + 0.5), 0, 3))]


def draw_lesion(seed: tuple[int, ...], breast: Breast, label: LesionClass) -> Finding:
    """A benign or malignant lesion."""
    rng = np.random.default_rng([*seed, 201])
    kind = list(FindingType)[int(rng.choice(3, p=[0.62, 0.26, 0.12]))]
    true = rng.beta(4, 1.8) if label is LesionClass.MALIGNANT else rng.beta(1.8, 4)
    suspicion = {view: float(np.clip(true + rng.normal(0, 0.18), 0, 1)) for view in _VIEWS}
    radius = float(np.exp(rng.normal(np.log(7.5), 0.32)))
    if kind is FindingType.DISTORTION:
        radius *= 1.35
    radius = float(np.clip(radius, 4.0, 15.0))
    flat = rng.uniform(0.62, 1.0, 2) ** (1 - 0.5 * true)
    radii = Place(radius, float(radius * flat[0]), float(radius * flat[1]))
    masked = None
    if rng.random() < 0.35:
        masked = (_VIEWS[int(rng.integers(2))], float(rng.uniform(0.25, 0.5)))
    return Finding(
        kind=kind,
        label=label,
        place=_place(rng, breast, radius),
        radii=radii,
        contrast=float(rng.uniform(0.20, 0.34) + 0.07 * true),
        suspicion=suspicion,
        masked=masked,
        seed=(*seed, 202),
    )


def draw_superposition(seed: tuple[int, ...], breast: Breast, *, normal: bool) -> Finding | None:
    """Normal tissue that looks like a mass in one view, or nothing.

    Args:
        normal: whether the breast is.
    """
    rng = np.random.default_rng([*seed, 203])
    if rng.random() >= (0.5 if normal else 0.2):
        return None
    radius = float(np.clip(np.exp(rng.normal(np.log(7.5), 0.32)), 4.0, 15.0))
    return Finding(
        kind=FindingType.MASS,
        label=LesionClass.NORMAL,
        place=_place(rng, breast, radius),
        radii=Place(radius, radius * float(rng.uniform(0.6, 1)), radius * float(rng.uniform(0.6, 1))),
        contrast=float(rng.uniform(0.20, 0.36)),
        suspicion={_VIEWS[int(rng.integers(2))]: float(rng.uniform(0.15, 0.95))},
        masked=None,
        seed=(*seed, 204),
    )


def earlier(finding: Finding) -> Finding | None:
    """The lesion at the time of the prior exam; None where it was not there yet."""
    rng = np.random.default_rng([*finding.seed, 205])
    fate, size = rng.random(), rng.random()
    if finding.label is LesionClass.MALIGNANT:
        if fate < 0.40:
            return None
        low, high = (0.40, 0.75) if fate < 0.85 else (0.90, 1.0)
    else:
        if fate < 0.10:
            return None
        low, high = (0.70, 0.90) if fate < 0.22 else (0.93, 1.07)
    scale = low + (high - low) * size
    radii = Place(*(r * scale for r in finding.radii))
    # The contrast of a solid falls with its thickness.
    return replace(
        finding, radii=radii, contrast=finding.contrast * min(scale, 1) ** 0.5, share=min(scale**1.5, 1.0)
    )


def _place(rng: np.random.Generator, breast: Breast, radius: float) -> Place:
    """A place at which both views show all of a lesion; the upper outer quadrant is the commonest."""
    views = [Projection(breast, view) for view in _VIEWS]
    top = 110.0
    place = Place(0.5 * breast.depth, 0.0, 0.0)
    for _ in range(60):
        place = Place(
            behind=float(rng.uniform(radius + 10, 0.86 * breast.depth)),
            lateral=float(rng.normal(12, 26)),
            up=float(rng.normal(8, 22)),
        )
        if all(_fits(projection, place, radius + 5, top) for projection in views):
            return place
    return place._replace(lateral=0.0, up=0.0, behind=max(0.5 * breast.depth, radius + 10))


def _fits(projection: Projection, place: Place, reach: float, top: float) -> bool:
    u, v = projection.project(place)
    around = np.array([v - reach, v, v + reach], np.float32)
    behind_skin = bool((projection.skin(around, top=top) > u + 0.8 * reach).all())
    before_muscle = bool((projection.muscle(around, top=top) < u).all())
    return behind_skin and before_muscle and u > reach and around[2] < 0.8 * top
