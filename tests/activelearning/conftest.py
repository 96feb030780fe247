import numpy as np
import pytest

from breastlabel.activelearning import PoolOutputs


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def random_pool(seed, n, *, t=5, k=3, d=4):
    """A pool that holds everything, in general position: no two scores or distances are equal."""
    rng = np.random.default_rng(seed)
    passes = softmax(rng.normal(scale=2.0, size=(t, n, k)))
    return PoolOutputs(
        image_ids=[f"image-{i:03d}" for i in range(n)],
        class_probabilities=passes.mean(axis=0),
        passes=passes,
        features=rng.normal(size=(n, d)),
        mask_scores=rng.uniform(size=n),
        expected_edits=rng.uniform(size=n),
    )


@pytest.fixture(scope="session")
def make_pool():
    return random_pool


@pytest.fixture
def pool():
    return random_pool(0, 30)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def four_clusters():
    """Forty points: clusters of 25, 9, 5 and 1, a hundred times farther apart than they are wide."""
    rng = np.random.default_rng(1)
    which = np.repeat([0, 1, 2, 3], [25, 9, 5, 1])
    centres = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
    order = rng.permutation(len(which))
    return (centres[which] + rng.uniform(-0.5, 0.5, size=(40, 2)))[order], which[order]
