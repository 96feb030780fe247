import numpy as np
import pytest

from breastlabel.activelearning import PoolError, PoolOutputs
from breastlabel.errors import BreastLabelError

IDS = ["a", "b"]
HALF = np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"class_probabilities": np.ones((3, 1))}, r"class_probabilities must be \(N, K\) with N = 2; got"),
        ({"passes": HALF}, r"passes must be \(T, N, K\) with N = 2; got shape \(2, 2\)"),
        ({"passes": np.full((4, 3, 2), 0.5)}, r"passes must be .*got shape \(4, 3, 2\)"),
        ({"passes": np.ones((0, 2, 1))}, "one pass or more"),
        ({"features": np.zeros(2)}, r"features must be \(N, D\)"),
        ({"features": np.array([[0.0], [np.nan]])}, "features must be finite"),
        ({"mask_scores": np.zeros((2, 1))}, r"mask_scores must be \(N,\) with N = 2"),
        ({"expected_edits": np.zeros(3)}, r"expected_edits must be \(N,\)"),
        ({"class_probabilities": HALF * 2}, "sum to one; got sums off by 1"),
        ({"class_probabilities": np.array([[1.5, -0.5], [0.5, 0.5]])}, "must be probabilities"),
        ({"class_probabilities": HALF, "passes": np.ones((1, 2, 1))}, "same classes; got 2 and 1"),
    ],
)
def test_a_pool_that_does_not_fit_is_refused(fields, message):
    with pytest.raises(PoolError, match=message):
        PoolOutputs(image_ids=IDS, **fields)


def test_ids_must_differ_and_are_not_shown():
    with pytest.raises(BreastLabelError, match="ids of the pool must differ; 1 come again") as raised:
        PoolOutputs(image_ids=["patient-7", "patient-7"])
    assert "patient-7" not in str(raised.value)


def test_half_precision_probabilities_are_accepted():
    thirds = np.full((2, 3), 1 / 3, dtype=np.float16)
    assert len(PoolOutputs(image_ids=IDS, class_probabilities=thirds)) == 2


def test_take_reorders_every_array(pool):
    taken = pool.take([7, 3])
    assert taken.image_ids == ["image-007", "image-003"]
    np.testing.assert_array_equal(taken.passes, pool.passes[:, [7, 3]])
    for name in ("class_probabilities", "features", "mask_scores", "expected_edits"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(pool, name)[[7, 3]])


def test_features_alone_are_no_model():
    assert not PoolOutputs(image_ids=IDS, features=HALF).has_model
    assert PoolOutputs(image_ids=IDS, class_probabilities=HALF).has_model
