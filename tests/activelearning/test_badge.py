import numpy as np
import pytest
from scipy.stats import chisquare

from breastlabel.activelearning.badge import badge, gradient_embeddings
from breastlabel.activelearning.distances import squared_distances_to
from breastlabel.activelearning.kmeanspp import d2_sampling, kmeans_plus_plus

SURE = [0.98, 0.01, 0.01]
UNSURE = [0.4, 0.3, 0.3]


def test_embedding_by_hand():
    # p - onehot = (-0.4, 0.3, 0.1), times h = (2, -1), class by class.
    embedding = gradient_embeddings(np.array([[0.6, 0.3, 0.1]]), np.array([[2.0, -1.0]]))
    np.testing.assert_allclose(embedding, [[-0.8, 0.4, 0.6, -0.3, 0.2, -0.1]])


def test_embedding_is_the_gradient_of_the_cross_entropy(rng):
    weights, h = rng.normal(size=(3, 4)), rng.normal(size=4)

    def loss(w, label):
        z = w @ h
        return np.log(np.exp(z).sum()) - z[label]

    z = weights @ h
    p = np.exp(z) / np.exp(z).sum()
    label = int(np.argmax(p))
    numeric = np.zeros_like(weights)
    for index in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[index] = 1e-6
        numeric[index] = (loss(weights + step, label) - loss(weights - step, label)) / 2e-6
    np.testing.assert_allclose(gradient_embeddings(p[None], h[None])[0], numeric.ravel(), atol=1e-6)


def test_prefers_the_unsure_and_spreads_over_them():
    # Two directions of ten images, half of each unsure.
    features = np.repeat([[5.0, 0.0], [0.0, 5.0]], 10, axis=0)
    probabilities = np.tile([SURE] * 5 + [UNSURE] * 5, (2, 1))
    counts = np.zeros(4)
    for seed in range(600):
        first, second = badge(probabilities, features, 2, rng=np.random.default_rng(seed))
        assert first == 5  # unsure, of the first direction
        counts[second // 5] += 1
    # By hand, p - onehot is (-0.6, 0.3, 0.3) and (-0.02, 0.01, 0.01), |h| = 5. Squared distances from the
    # first: sure, same direction; unsure, same; sure, other; unsure, other.
    distances = 25 * np.array([0.58**2 + 2 * 0.29**2, 0.0, 0.54 + 0.0006, 0.54 + 0.54])
    assert counts[1] == 0
    others = [0, 2, 3]
    assert chisquare(counts[others], 600 * distances[others] / distances.sum()).pvalue > 0.01


def test_of_images_that_are_all_alike_but_one_the_one_comes_second(rng):
    probabilities = np.array([UNSURE] * 6)
    features = np.array([[3.0, 0.0]] * 5 + [[0.0, 1.0]])
    assert badge(probabilities, features, 2, rng=rng) == [0, 5]


@pytest.mark.parametrize("seed", range(5))
def test_equals_k_means_plus_plus_over_the_embeddings(seed):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(3), size=15)
    features = random.normal(size=(15, 4))
    embeddings = gradient_embeddings(probabilities, features)
    longest = int(np.argmax((embeddings**2).sum(axis=1)))
    explicit = d2_sampling(
        lambda i: squared_distances_to(embeddings, i),
        np.full(15, np.inf),
        6,
        rng=np.random.default_rng(seed),
        first=longest,
    )
    assert badge(probabilities, features, 6, rng=np.random.default_rng(seed)) == explicit


def test_a_model_that_is_sure_of_all_still_fills_the_batch(rng):
    assert sorted(badge(np.tile([1.0, 0.0], (4, 1)), np.ones((4, 2)), 4, rng=rng)) == [0, 1, 2, 3]
    assert kmeans_plus_plus(np.ones((4, 2)), 0, rng=rng) == []
