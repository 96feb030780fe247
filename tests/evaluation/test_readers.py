"""Expected numbers are worked out by hand, or stand in the literature that is named."""

import numpy as np
import pytest

from breastlabel.errors import InvalidLabelError
from breastlabel.evaluation.readers import (
    cohen_kappa,
    krippendorff_alpha,
    pool_agreement,
    reader_agreement,
)


def row(*values):
    return np.array([values], np.uint8)


def test_each_pair_of_readers_is_compared_once():
    found = reader_agreement({"ann": row(1, 1, 0), "bob": row(1, 0, 0), "cem": row(0, 0, 0)})
    assert found.dice == {
        ("ann", "bob"): pytest.approx(2 / 3),
        ("ann", "cem"): 0,
        ("bob", "cem"): 0,
    }
    assert found.mean_dice == pytest.approx(2 / 9)
    assert found.classes == {"ann": "benign", "bob": "benign", "cem": "normal"}


def test_two_readers_who_see_nothing_agree():
    assert reader_agreement({"ann": row(0, 0), "bob": row(0, 0)}).mean_dice == 1


def test_one_reader_is_too_few():
    with pytest.raises(InvalidLabelError, match="two readers are required; got 1"):
        reader_agreement({"ann": row(0, 1)})


def test_pooling_keeps_pairs_apart_whatever_their_order():
    images = [
        reader_agreement({"ann": row(1, 0), "bob": row(1, 0)}),
        reader_agreement({"bob": row(2, 2), "ann": row(0, 0)}),
        reader_agreement({"bob": row(1, 1), "cem": row(1, 1)}),
    ]
    found = pool_agreement(images)
    assert found.readers == ("ann", "bob", "cem")
    assert found.n_images == 3
    first, second = found.pairs
    assert (first.first, first.second, first.n_images, first.mean_dice) == ("ann", "bob", 2, 0.5)
    # ann: benign, normal; bob: benign, malignant. Observed 1/2, by chance 1/4: kappa 1/3.
    assert first.kappa == pytest.approx(1 / 3)
    # bob and cem gave one class throughout.
    assert second.kappa is None
    assert found.mean_kappa == pytest.approx(1 / 3)
    assert found.mean_dice == pytest.approx((1 + 0 + 1) / 3)


def test_nothing_to_pool_is_undefined():
    found = pool_agreement([])
    assert (found.n_images, found.mean_dice, found.mean_kappa, found.alpha) == (0, None, None, None)


def test_cohens_kappa_of_a_two_by_two_table():
    # Observed agreement 35/50; by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    counts = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    ratings = [pair for pair, n in counts.items() for _ in range(n)]
    assert cohen_kappa(ratings) == pytest.approx(0.4)


def test_krippendorffs_alpha_with_missing_readings():
    # Krippendorff, Computing Krippendorff's alpha-reliability (2011), section C: four observers, nominal
    # data with gaps; he gives 0.743.
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[v for v in unit if v is not None] for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_one_for_agreement_and_undefined_for_a_single_class():
    assert krippendorff_alpha([("benign", "benign"), ("malignant", "malignant")]) == 1
    assert krippendorff_alpha([("benign", "benign"), ("benign", "benign")]) is None
    assert krippendorff_alpha([("benign",), ("malignant",)]) is None


def test_alpha_of_independent_readers_is_near_zero():
    rng = np.random.default_rng(0)
    units = rng.integers(0, 3, (3000, 3)).tolist()
    assert abs(krippendorff_alpha(units)) < 0.05
