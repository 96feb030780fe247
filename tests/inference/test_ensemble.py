import numpy as np
import pytest

from breastlabel.errors import CheckpointError
from breastlabel.imaging import LesionClass
from breastlabel.inference import EnsemblePredictor, Predictor

MALIGNANT = (-3.0, 0.0, 3.0)
BENIGN = (-3.0, 3.0, 0.0)


@pytest.fixture
def make_ensemble(make_checkpoint, breast_network):
    def make(*biases, outlines=True, **checkpoint):
        checkpoints = [
            make_checkpoint(network=breast_network(bias, 0.5, outlines=outlines), **checkpoint)
            for bias in biases
        ]
        return EnsemblePredictor(checkpoints, device="cpu")

    return make


def test_the_answer_is_the_mean_of_the_members(make_ensemble, bright_square):
    ensemble = make_ensemble(MALIGNANT, BENIGN, MALIGNANT)
    images = [bright_square(), bright_square(shape=(64, 64), box=(8, 8, 40, 40))]
    answer = ensemble.predict_sequence(images)
    members = [member.predict_sequence(images) for member in ensemble.members]
    for name, value in answer.class_probabilities.items():
        assert value == pytest.approx(np.mean([m.class_probabilities[name] for m in members]))
    assert answer.predicted is LesionClass.MALIGNANT
    for i, image in enumerate(answer.images):
        mean = np.mean([m.images[i].lesion_probability for m in members], axis=0)
        np.testing.assert_allclose(image.lesion_probability, mean, atol=1e-6)
        # All three outline alike here.
        np.testing.assert_array_equal(image.mask > 0, members[0].images[i].mask > 0)
        assert set(np.unique(image.mask)) == {0, 2}
    assert answer.checkpoint_version == "+".join([ensemble.members[0].version] * 3)


def test_members_that_agree_know_and_members_that_do_not_do_not(make_ensemble, bright_square):
    agree = make_ensemble(MALIGNANT, MALIGNANT).predict_sequence([bright_square()])
    differ = make_ensemble(MALIGNANT, BENIGN).predict_sequence([bright_square()])
    assert agree.uncertainty["mutual_information"] == pytest.approx(0.0, abs=1e-9)
    # Two nearly sure members that contradict each other: close to the entropy of a coin.
    assert 0.4 < differ.uncertainty["mutual_information"] < np.log(2)
    assert differ.uncertainty["members"] == 2
    assert differ.uncertainty["mask_disagreement"] == 0
    assert differ.images[0].lesion_deviation.max() == pytest.approx(0.0, abs=1e-3)


def test_outlines_of_members_that_differ_disagree(make_checkpoint, breast_network, bright_square):
    class Inverse(breast_network):
        def decode(self, features):
            return 1.0 - features[0]

    checkpoints = [make_checkpoint(network=kind(MALIGNANT)) for kind in (breast_network, Inverse)]
    answer = EnsemblePredictor(checkpoints, device="cpu").predict_sequence([bright_square()])
    assert answer.uncertainty["mask_disagreement"] > 0.95
    assert answer.images[0].lesion_deviation.max() == pytest.approx(0.5, abs=0.01)


def test_dropout_of_the_members_is_told_apart_from_their_disagreement(make_ensemble, bright_square):
    ensemble = make_ensemble((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    scores = ensemble.predict_sequence([bright_square()], uncertainty_passes=8).uncertainty
    assert scores["mutual_information"] == pytest.approx(0.0, abs=1e-9)
    assert scores["dropout_mutual_information"] > 0


def test_heat_is_for_the_class_of_the_ensemble(make_ensemble, bright_square):
    answer = make_ensemble(MALIGNANT, MALIGNANT, BENIGN).predict(bright_square(), explain=True)
    assert answer.explained is LesionClass.MALIGNANT
    assert answer.heat_map.max() == 1.0
    assert answer.heat_map[72, 16] > answer.heat_map[10, 40]


def test_without_outlines_the_masks_are_empty(make_ensemble, bright_square):
    answer = make_ensemble(MALIGNANT, MALIGNANT, outlines=False).predict_sequence([bright_square()])
    assert answer.predicted is LesionClass.MALIGNANT
    assert not answer.images[0].mask.any()
    assert "mask_disagreement" not in answer.uncertainty


def test_members_that_tell_invasive_cancers_are_averaged(make_checkpoint, breast_network, bright_square):
    def answer(*invasive):
        checkpoints = [make_checkpoint(network=breast_network(MALIGNANT, invasive=each)) for each in invasive]
        ensemble = EnsemblePredictor(checkpoints, device="cpu")
        members = [member.predict_sequence([bright_square()]) for member in ensemble.members]
        return ensemble.predict_sequence([bright_square()]), [m.invasive_probability for m in members]

    together, members = answer(-1.0, None, 2.0)
    assert together.invasive_probability == pytest.approx((members[0] + members[2]) / 2)
    assert together.images[0].invasive_probability == together.invasive_probability
    assert answer(None, None)[0].invasive_probability is None


def test_thresholds_and_operating_points_are_averaged(make_checkpoint, breast_network):
    checkpoints = [
        make_checkpoint(
            network=breast_network(), thresholds={"mask": t, "normal": t}, operating_point={"threshold": t}
        )
        for t in (0.2, 0.6)
    ]
    ensemble = EnsemblePredictor(checkpoints, device="cpu")
    assert ensemble.readout.mask_threshold == pytest.approx(0.4)
    assert ensemble.readout.normal_threshold == pytest.approx(0.4)
    assert ensemble.readout.operating_point == pytest.approx(0.4)
    checkpoints[0].spec.pop("operating_point")
    assert EnsemblePredictor(checkpoints, device="cpu").readout.operating_point is None


def test_networks_for_one_image_form_ensembles_too(make_checkpoint, bright_square):
    checkpoints = [make_checkpoint(bias=MALIGNANT), make_checkpoint(bias=MALIGNANT)]
    answer = EnsemblePredictor(checkpoints, device="cpu").predict(bright_square(), explain=True)
    alone = Predictor(checkpoints[0], device="cpu").predict(bright_square(), explain=True)
    np.testing.assert_array_equal(answer.mask, alone.mask)
    np.testing.assert_allclose(answer.heat_map, alone.heat_map, atol=1e-6)


def test_what_is_no_ensemble_is_refused(make_checkpoint, breast_network):
    with pytest.raises(CheckpointError, match="two checkpoints or more; got 1"):
        EnsemblePredictor([make_checkpoint()], device="cpu")
    with pytest.raises(CheckpointError, match="of one system that looks at the same images"):
        EnsemblePredictor([make_checkpoint(), make_checkpoint(network=breast_network())], device="cpu")
