import numpy as np
import pytest

from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.evaluation.cad_baselines import CadBaseline, cad_features
from breastlabel.inference.lesion_features import FEATURE_NAMES

every_baseline = pytest.mark.parametrize("name", ["svm", "random-forest"])


def separable(n=20, *, classes=(0, 1, 2), seed=0):
    """Three clouds, far apart in two of six features."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(classes, n)
    features = rng.normal(0, 1, (len(kinds), 6)).astype(np.float32)
    features[:, 0] += 6 * (kinds == 1)
    features[:, 1] += 6 * (kinds == 2)
    return features, kinds


@every_baseline
def test_what_can_be_separated_is(name):
    baseline = CadBaseline(name).fit(*separable())
    features, kinds = separable(seed=1)
    probabilities = baseline.predict_proba(features)
    assert probabilities.shape == (60, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert (probabilities.argmax(1) == kinds).mean() > 0.95
    assert baseline.settings


@every_baseline
def test_noise_is_not_learned(name):
    features, kinds = separable()
    baseline = CadBaseline(name, folds=2).fit(features, np.random.default_rng(3).permutation(kinds))
    unseen, truth = separable(seed=1)
    assert (baseline.predict_proba(unseen).argmax(1) == truth).mean() < 0.65


@every_baseline
def test_one_seed_gives_one_answer(name):
    features, kinds = separable(8)
    first, second = (
        CadBaseline(name, seed=4, folds=2).fit(features, kinds).predict_proba(features) for _ in range(2)
    )
    assert np.array_equal(first, second)


@every_baseline
def test_a_class_that_was_not_taught_has_probability_zero(name):
    features, kinds = separable(8, classes=(0, 2))
    probabilities = CadBaseline(name, folds=2).fit(features, kinds).predict_proba(features)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


@every_baseline
def test_few_images_are_learned_without_a_search(name):
    features, kinds = separable(1)
    baseline = CadBaseline(name).fit(features, kinds)
    assert baseline.settings == {}
    assert np.isfinite(baseline.predict_proba(features)).all()


@every_baseline
def test_a_patient_is_on_one_side_of_a_fold_only(name):
    features, kinds = separable(8)
    patients = np.arange(len(kinds)) // 2
    baseline = CadBaseline(name)
    splits = baseline._splits(features, kinds, patients)
    assert len(splits) == 3
    for train, test in splits:
        assert not set(patients[train]) & set(patients[test])
    assert CadBaseline(name)._splits(features, kinds, kinds) == []


def test_bad_input_is_refused():
    features, kinds = separable(4)
    with pytest.raises(UnknownNameError, match="one of random-forest, svm; got 'adaboost'"):
        CadBaseline("adaboost")
    with pytest.raises(StudiesError, match=r"at least two of the classes 0, 1, 2 are required; got \[1\]"):
        CadBaseline("svm").fit(features, np.ones(len(kinds), np.int64))
    with pytest.raises(StudiesError, match=r"got \[0, 1, 2, 3\]"):
        CadBaseline("svm").fit(features[:4], np.arange(4))
    with pytest.raises(RuntimeError, match="must be fitted"):
        CadBaseline("svm").predict_proba(features)


def test_features_are_those_of_the_lesion_where_one_stands_out():
    rows, columns = np.mgrid[:128, :96]
    disc = np.hypot(rows - 60, columns - 40) <= 8
    image = np.where(disc, 0.7, 0.3).astype(np.float32)
    found = dict(zip(FEATURE_NAMES, cad_features(image), strict=True))
    assert found["area"] == pytest.approx(disc.mean(), rel=0.15)
    assert found["contrast"] == pytest.approx(0.4, abs=0.05)
    breast = columns < 60
    nothing = dict(
        zip(FEATURE_NAMES, cad_features(np.full((128, 96), 0.3, np.float32), breast=breast), strict=True)
    )
    assert nothing["area"] == pytest.approx(breast.mean())
    assert np.isfinite(cad_features(np.zeros((128, 96), np.float32))).all()
