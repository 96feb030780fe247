import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from breastlabel.activelearning import scores

# From the surest to the least sure.
ORDERED = np.array(
    [
        [1.0, 0.0, 0.0],
        [0.95, 0.04, 0.01],
        [0.8, 0.15, 0.05],
        [0.6, 0.25, 0.15],
        [0.45, 0.3, 0.25],
        [1 / 3, 1 / 3, 1 / 3],
    ]
)
CLASS_SCORES = [scores.entropy, scores.margin, scores.least_confidence]


def distributions(k=3):
    weights = hnp.arrays(np.float64, (4, k), elements=st.floats(0.001, 1.0))
    return weights.map(lambda w: w / w.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("score", CLASS_SCORES)
def test_the_less_sure_the_higher(score):
    assert np.all(np.diff(score(ORDERED)) > 0)


@pytest.mark.parametrize(
    ("score", "highest"),
    [(scores.entropy, np.log(3)), (scores.margin, 1.0), (scores.least_confidence, 2 / 3)],
)
def test_certainty_is_zero_and_the_uniform_distribution_the_highest(score, highest):
    values = score(ORDERED)
    assert values[0] == pytest.approx(0)
    assert values[-1] == pytest.approx(highest)


def test_margin_looks_at_the_two_likeliest_only():
    # By hand: leads 0.1 and 0.2, though the second has the higher entropy.
    p = np.array([[0.55, 0.45, 0.0], [0.5, 0.3, 0.2]])
    assert scores.margin(p) == pytest.approx([0.9, 0.8])
    assert scores.entropy(p)[0] < scores.entropy(p)[1]


@given(distributions(), st.permutations(range(3)))
@settings(max_examples=40, deadline=None)
def test_class_scores_do_not_care_which_class_is_which(p, classes):
    for score in CLASS_SCORES:
        np.testing.assert_allclose(score(p), score(p[:, classes]), atol=1e-12)


@given(distributions())
@settings(max_examples=40, deadline=None)
def test_a_batch_equals_its_images_one_by_one(p):
    for score in CLASS_SCORES:
        np.testing.assert_allclose(score(p), [score(p[i : i + 1])[0] for i in range(len(p))], rtol=1e-12)


def test_bald_is_zero_when_passes_agree_and_highest_when_sure_passes_contradict():
    agreeing = np.tile(ORDERED, (6, 1, 1))
    assert scores.bald(agreeing) == pytest.approx(np.zeros(len(ORDERED)), abs=1e-12)
    contradicting = np.eye(3)[np.arange(6) % 3][:, None, :]
    assert scores.bald(contradicting) == pytest.approx(np.log(3))


def test_passes_rank_by_how_far_they_are_apart():
    # Four images, two passes each, whose means are all (1/2, 1/2).
    apart = np.array([0.0, 0.1, 0.3, 0.5])
    passes = np.stack([np.stack([0.5 + s * apart, 0.5 - s * apart], axis=-1) for s in (1, -1)])
    assert np.all(np.diff(scores.bald(passes)) > 0)


def test_variation_ratio_counts_dissenting_votes():
    votes = [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]]
    passes = np.eye(2)[np.array(votes).T]
    assert scores.variation_ratio(passes) == pytest.approx([0.0, 0.25, 0.5])


def test_mask_disagreement_of_images_of_different_size():
    same = np.ones((3, 4, 4))
    disjoint = np.zeros((2, 2, 3))
    disjoint[0, 0], disjoint[1, 1] = 1.0, 1.0
    assert scores.mask_disagreements([same, disjoint]) == pytest.approx([0.0, 1.0])
    assert scores.mask_disagreements([]).shape == (0,)


def test_the_package_imports_without_torch_and_server():
    program = (
        "import sys, breastlabel.activelearning\n"
        "heavy = {'torch', 'monai', 'monailabel', 'sqlalchemy', 'cv2', 'mlflow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
