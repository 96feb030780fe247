"""How well several readers of the same images agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from breastlabel.datasets.loading import class_of_mask
from breastlabel.errors import InvalidLabelError
from breastlabel.evaluation.agreement import lesion_dice
from breastlabel.imaging.image import LabelArray

__all__ = [
    "ImageAgreement",
    "PairAgreement",
    "ReaderAgreement",
    "cohen_kappa",
    "krippendorff_alpha",
    "pool_agreement",
    "reader_agreement",
]


@dataclass(frozen=True)
class ImageAgreement:
    """Several readings of one image.

    Attributes:
        classes: reader -> ``normal``, ``benign`` or ``malignant``, in the readers' order.
        dice: (first reader, second reader) -> Dice of any lesion, for each pair once.
    """

    classes: Mapping[str, str]
    dice: Mapping[tuple[str, str], float]

    @property
    def mean_dice(self) -> float:
        """Over all pairs of readers."""
        return float(np.mean(list(self.dice.values())))


@dataclass(frozen=True)
class PairAgreement:
    """Two readers over all images that both read.

    Attributes:
        mean_dice: of any lesion; 1 for an image where both see nothing.
        kappa: Cohen's, of the images' classes; None where both gave one and the same class throughout.
    """

    first: str
    second: str
    n_images: int
    mean_dice: float
    kappa: float | None


@dataclass(frozen=True)
class ReaderAgreement:
    """All readers over all images that at least two of them read.

    Attributes:
        readers: sorted.
        mean_dice: mean over the images of the mean over their pairs of readers; None without images.
        pairs: the pairs that share an image.
        mean_kappa: mean of the pairs' Cohen's kappas that are defined; None where none is.
        alpha: Krippendorff's, of the classes; None where only one class was ever given.
    """

    n_images: int
    readers: tuple[str, ...]
    mean_dice: float | None
    pairs: tuple[PairAgreement, ...]
    mean_kappa: float | None
    alpha: float | None


def reader_agreement(masks: Mapping[str, LabelArray]) -> ImageAgreement:
    """Compare the label maps that several readers made of one image.

    Args:
        masks: reader -> uint8 (rows, cols), 0 nothing, 1 benign, 2 malignant.

    Raises:
        InvalidLabelError: fewer than two readers, or masks of different sizes.
    """
    if len(masks) < 2:
        raise InvalidLabelError(
            f"label maps of at least two readers are required; got {len(masks)}; have another read the image"
        )
    return ImageAgreement(
        classes={reader: class_of_mask(mask).label for reader, mask in masks.items()},
        dice={(a, b): lesion_dice(masks[a], masks[b]) for a, b in combinations(masks, 2)},
    )


def pool_agreement(images: Iterable[ImageAgreement]) -> ReaderAgreement:
    """Agreement over many images, each of which any two or more of the readers read."""
    kept = list(images)
    dice: dict[tuple[str, str], list[float]] = defaultdict(list)
    classes: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for image in kept:
        for (a, b), value in image.dice.items():
            pair = (a, b) if a < b else (b, a)
            dice[pair].append(value)
            classes[pair].append((image.classes[pair[0]], image.classes[pair[1]]))
    pairs = tuple(
        PairAgreement(a, b, len(values), float(np.mean(values)), cohen_kappa(classes[a, b]))
        for (a, b), values in sorted(dice.items())
    )
    kappas = [pair.kappa for pair in pairs if pair.kappa is not None]
    return ReaderAgreement(
        n_images=len(kept),
        readers=tuple(sorted({reader for image in kept for reader in image.classes})),
        mean_dice=float(np.mean([image.mean_dice for image in kept])) if kept else None,
        pairs=pairs,
        mean_kappa=float(np.mean(kappas)) if kappas else None,
        alpha=krippendorff_alpha([list(image.classes.values()) for image in kept]),
    )


def cohen_kappa(ratings: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two readers (Educ Psychol Meas 20 (1960) 37), unweighted.

    Args:
        ratings: the two readers' classes, one pair an image.

    Returns:
        1 for agreement, 0 for as much as chance gives; None where only one class occurs.
    """
    from sklearn.metrics import cohen_kappa_score

    first, second = [a for a, _ in ratings], [b for _, b in ratings]
    if len({*first, *second}) < 2:
        return None
    return float(cohen_kappa_score(first, second))


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha of nominal values, for any number of readers a unit.

    Unlike Fleiss' kappa it does not ask that every image has the same number of readings
    (Hayes and Krippendorff, Commun Methods Meas 1 (2007) 77).

    Args:
        units: for each image the classes that its readers gave; those with fewer than two do not count.

    Returns:
        1 for agreement, 0 for as much as chance gives; None where fewer than two classes occur.
    """
    totals: Counter[Hashable] = Counter()
    disagreeing = 0.0
    for unit in units:
        if len(unit) < 2:
            continue
        counts = Counter(unit)
        totals.update(counts)
        # Ordered pairs of unequal values within the unit.
        disagreeing += (len(unit) ** 2 - sum(n * n for n in counts.values())) / (len(unit) - 1)
    n = sum(totals.values())
    expected = n * n - sum(count * count for count in totals.values())
    return 1.0 - (n - 1) * disagreeing / expected if expected else None
