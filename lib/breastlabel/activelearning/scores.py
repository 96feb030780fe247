"""How much one image would teach, from the class probabilities: higher is more useful.

References: Settles, Active Learning Literature Survey (TR 1648, University of Wisconsin 2009), section
3.1; for the passes, Gal, Islam and Ghahramani, Deep Bayesian Active Learning with Image Data, ICML 2017,
arXiv:1703.02910.

The uncertainties themselves stand in ``inference.uncertainty``. They are imported when they are called,
because that package brings torch, which ranking arrays does not need.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from breastlabel.activelearning.pool import Doubles, Floats

__all__ = [
    "bald",
    "entropy",
    "least_confidence",
    "margin",
    "mask_disagreements",
    "variation_ratio",
]


def entropy(probabilities: Floats) -> Doubles:
    """Shannon entropy: (N, K) -> (N,), in nats, 0 to log K (Shannon 1948)."""
    from breastlabel.inference import uncertainty

    return uncertainty.entropy(probabilities)


def margin(probabilities: Floats) -> Doubles:
    """One less the lead of the likeliest class over the second: (N, K) -> (N,), 0 to 1.

    Scheffer, Decomain and Wrobel, Active Hidden Markov Models for Information Extraction, IDA 2001.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.shape[-1] < 2:
        return np.zeros(p.shape[:-1])
    two = np.partition(p, -2, axis=-1)[..., -2:]
    return np.asarray(1.0 - (two[..., 1] - two[..., 0]))


def least_confidence(probabilities: Floats) -> Doubles:
    """One less the probability of the likeliest class: (N, K) -> (N,), 0 to 1 - 1/K.

    Lewis and Gale, A Sequential Algorithm for Training Text Classifiers, SIGIR 1994.
    """
    return np.asarray(1.0 - np.max(np.asarray(probabilities, dtype=np.float64), axis=-1))


def bald(passes: Floats) -> Doubles:
    """Mutual information of label and model: (T, N, K) -> (N,), in nats, 0 to log K.

    Zero where all passes agree, however unsure each is; log K where confident passes contradict each
    other evenly. Houlsby et al., arXiv:1112.5745 (2011).
    """
    from breastlabel.inference import uncertainty

    return uncertainty.mutual_information(passes)


def variation_ratio(passes: Floats) -> Doubles:
    """Fraction of passes that do not vote for the commonest class: (T, N, K) -> (N,), 0 to 1 - 1/K.

    Freeman, Elementary Applied Statistics, 1965; Gal (2016), section 3.3.2.
    """
    from breastlabel.inference import uncertainty

    return uncertainty.variation_ratio(passes)


def mask_disagreements(passes: Iterable[Floats], *, level: float = 0.5) -> Doubles:
    """Mean of 1 - Dice over all pairs of passes' masks, for each image: -> (N,), 0 to 1.

    Args:
        passes: for each image (T, rows, cols), its mask probabilities; images may differ in size.
        level: threshold that makes them masks.
    """
    from breastlabel.inference import uncertainty

    return np.array([uncertainty.mask_disagreement(p, level=level) for p in passes], dtype=np.float64)
