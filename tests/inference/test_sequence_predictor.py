import dataclasses

import numpy as np
import pytest
import torch

from breastlabel.errors import CheckpointError, InvalidImageError, StoppedError
from breastlabel.imaging import BreastImage, LesionClass, Modality
from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.inference import Predictor
from breastlabel.networks import create_network
from breastlabel.networks.boxes import FoundBoxes

MALIGNANT = (-3.0, 0.0, 3.0)
BENIGN = (-3.0, 3.0, 0.0)
NORMAL = (5.0, 0.0, 0.0)


@pytest.fixture
def make_predictor(make_checkpoint, breast_network):
    def make(bias=MALIGNANT, *, network=None, dropout=0.0, **checkpoint):
        network = network or breast_network(bias, dropout)
        return Predictor(make_checkpoint(network=network, **checkpoint), device="cpu")

    return make


@pytest.fixture
def dark():
    """An image without anything bright enough to be outlined."""

    def make(shape=(64, 48)):
        pixels = np.zeros(shape, dtype=np.float32)
        # One bright pixel, so that the percentiles have a range, too small for the morphology.
        pixels[0, 0] = 1.0
        return BreastImage(pixels=pixels, modality=Modality.MG)

    return make


def test_every_image_is_outlined_where_its_own_lesion_is(make_predictor, bright_square):
    images = [
        bright_square(shape=(96, 64), box=(60, 8, 84, 24)),
        bright_square(shape=(64, 96), box=(8, 60, 24, 84)),
    ]
    answer = make_predictor().predict_sequence(images)
    assert answer.predicted is LesionClass.MALIGNANT
    assert answer.newest == (True, True)
    for image, prediction in zip(images, answer.images, strict=True):
        assert prediction.mask.shape == image.shape
        assert prediction.mask.dtype == np.uint8
        lesion = image.pixels > 0
        assert (prediction.mask[lesion] == 2).mean() > 0.7
        assert (prediction.mask[~lesion] == 0).mean() > 0.97
        assert prediction.class_probabilities == answer.class_probabilities


def test_the_class_is_read_off_all_images_with_the_temperature(make_predictor, bright_square):
    # A quarter of the first image is bright, and one pixel of the second.
    first = bright_square(shape=(32, 32), box=(0, 0, 16, 16))
    second = bright_square(shape=(32, 32), box=(31, 31, 32, 32))
    light = (1 / 4 + 1 / 1024) / 2
    logits = np.array([-light, 1 - light, light]) / 2
    expected = np.exp(logits) / np.exp(logits).sum()
    answer = make_predictor((0.0, 0.0, 0.0), temperature=2.0).predict_sequence([first, second])
    np.testing.assert_allclose(list(answer.class_probabilities.values()), expected, atol=1e-4)
    assert answer.malignancy_probability == answer.class_probabilities["malignant"]


@pytest.mark.parametrize("tta", [False, ["vertical_flip"]])
def test_whether_a_cancer_would_be_invasive_is_said_with_its_own_temperature(
    make_predictor, breast_network, bright_square, tta
):
    # A quarter of each image is bright, however it is flipped.
    images = [bright_square(shape=(32, 32), box=(0, 0, 16, 16))] * 2
    model = make_predictor(
        network=breast_network(MALIGNANT, invasive=0.75),
        temperature=7.0,
        calibration={"invasive_temperature": 2.0},
        inference={"tta": tta or []},
    )
    answer = model.predict_sequence(images)
    assert answer.invasive_probability == pytest.approx(1 / (1 + np.exp(-0.5)), abs=1e-4)
    assert answer.images[1].invasive_probability == answer.invasive_probability
    assert make_predictor().predict_sequence(images).invasive_probability is None


@pytest.mark.parametrize("tta", [[], ["vertical_flip"]])
def test_boxes_are_given_in_each_images_own_pixels(make_checkpoint, bright_square, monkeypatch, tta):
    pytest.importorskip("torchvision")
    network = create_network("screening", cnn=(4, 8), backbone=None, hidden=4, features=4, boxes=True)
    # In the prepared 32 x 32: rows 8 to 16, columns 4 to 20 of the first image, nothing in the second.
    one = FoundBoxes(torch.tensor([[8.0, 4.0, 16.0, 20.0]]), torch.tensor([2]), torch.tensor([0.75]))
    none = FoundBoxes(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0))
    monkeypatch.setattr(network.boxes, "found", lambda logits, size: [one, none] if size == (32, 32) else [])
    predictor = Predictor(make_checkpoint(network=network, inference={"tta": tta}), device="cpu")
    first = bright_square(shape=(64, 64), box=(8, 8, 40, 40))
    answer = predictor.predict_sequence([first, first])
    (box,) = answer.images[0].boxes
    assert box.corners == (16.0, 8.0, 32.0, 40.0)
    assert box.lesion_class is LesionClass.MALIGNANT
    assert box.score == 0.75
    assert answer.images[1].boxes == ()
    assert predictor.predict_sequence([first, first], uncertainty_passes=2).images[0].boxes == (box,)


def test_a_network_that_draws_no_boxes_says_none(make_predictor, bright_square):
    assert make_predictor().predict(bright_square()).boxes is None


def test_an_image_alone_is_a_sequence_of_one(make_predictor, bright_square):
    model = make_predictor(dropout=0.5)
    asked = {"uncertainty_passes": 6, "explain": True, "seed": 3}
    alone = model.predict(bright_square(), **asked)
    sequence = model.predict_sequence([bright_square()], **asked)
    assert sequence.predicted is alone.predicted
    for field in dataclasses.fields(alone):
        np.testing.assert_equal(getattr(sequence.images[0], field.name), getattr(alone, field.name))
    (together,) = dict(model.predict_many([bright_square()], uncertainty_passes=6)).values()
    np.testing.assert_array_equal(together.mask, alone.mask)


def test_a_view_without_an_outline_stays_empty_beside_one_with(make_predictor, bright_square, dark):
    answer = make_predictor().predict_sequence([dark(), bright_square()])
    assert answer.predicted is LesionClass.MALIGNANT
    assert not answer.images[0].mask.any()
    assert answer.images[1].mask.any()
    assert answer.images[0].predicted is LesionClass.MALIGNANT


def test_an_outline_in_a_prior_alone_makes_no_lesion_of_today(make_predictor, bright_square, dark):
    model = make_predictor()
    gone = model.predict_sequence([bright_square(), dark()], newest=[False, True])
    assert gone.predicted is LesionClass.NORMAL
    assert not any(image.mask.any() for image in gone.images)
    grown = model.predict_sequence([bright_square(), bright_square()], newest=[False, True])
    assert grown.predicted is LesionClass.MALIGNANT
    # The prior keeps its outline, for the comparison.
    assert grown.images[0].mask.max() == 2


def test_a_confident_normal_empties_all_masks(make_predictor, bright_square):
    answer = make_predictor(NORMAL).predict_sequence([bright_square(), bright_square()])
    assert answer.predicted is LesionClass.NORMAL
    assert not any(image.mask.any() for image in answer.images)


def test_without_outlines_the_probabilities_decide_alone(make_predictor, breast_network, bright_square):
    images = [bright_square(), bright_square(shape=(40, 50), box=(2, 2, 20, 20))]
    for bias, expected in (
        (MALIGNANT, LesionClass.MALIGNANT),
        (BENIGN, LesionClass.BENIGN),
        (NORMAL, LesionClass.NORMAL),
    ):
        model = make_predictor(network=breast_network(bias, 0.5, outlines=False))
        answer = model.predict_sequence(images, uncertainty_passes=4)
        assert answer.predicted is expected
        assert [image.mask.shape for image in answer.images] == [(96, 64), (40, 50)]
        assert not any(image.mask.any() for image in answer.images)
        assert "mask_disagreement" not in answer.uncertainty
        assert answer.images[0].lesion_deviation is None
        assert answer.images[1].lesion_probability.shape == (40, 50)


def test_the_context_reaches_the_network(make_predictor, bright_square):
    model = make_predictor((0.0, 0.0, 0.0))
    contexts = np.zeros((2, CONTEXT_SIZE), np.float32)
    plain = model.predict_sequence([bright_square(), bright_square()], contexts=contexts)
    contexts[0, 4] = 2.0
    told = model.predict_sequence([bright_square(), bright_square()], contexts=contexts)
    assert told.malignancy_probability > plain.malignancy_probability + 0.1


def test_uncertainty_is_of_the_whole_sequence_and_changes_nothing(
    make_predictor, breast_network, bright_square
):
    network = breast_network((0.0, 0.0, 0.0), 0.5, mask_dropout=0.5)
    model = make_predictor(network=network)
    images = [bright_square(), bright_square(shape=(64, 64), box=(8, 8, 40, 40))]
    state = torch.random.get_rng_state()
    plain = model.predict_sequence(images)
    encoded = network.encoded
    asked = model.predict_sequence(images, uncertainty_passes=16, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    # Both images once for the answer, and once for all passes.
    assert network.encoded - encoded == 4
    assert plain.uncertainty is None
    assert plain.images[0].lesion_deviation is None
    assert asked.class_probabilities == plain.class_probabilities
    np.testing.assert_array_equal(asked.images[1].mask, plain.images[1].mask)
    assert asked.uncertainty["passes"] == 16
    assert asked.uncertainty["mutual_information"] > 0
    own = [image.uncertainty["mask_disagreement"] for image in asked.images]
    assert asked.uncertainty["mask_disagreement"] == pytest.approx(np.mean(own))
    assert asked.images[0].uncertainty["mutual_information"] == asked.uncertainty["mutual_information"]
    assert asked.images[0].lesion_deviation.shape == images[0].shape
    assert asked.uncertainty == model.predict_sequence(images, uncertainty_passes=16, seed=1).uncertainty
    assert not network.dropout.training


def test_heat_is_on_one_scale_for_the_breast(make_predictor, bright_square):
    full = bright_square(shape=(64, 64), box=(32, 32, 64, 64))
    faint = bright_square(shape=(64, 64), box=(32, 32, 64, 64))
    faint.pixels[0, 0] = 400.0  # Stretched by its brightest pixel, the square is half as bright.
    answer = make_predictor().predict_sequence([full, faint], explain=True)
    heats = [image.heat_map for image in answer.images]
    assert max(float(heat.max()) for heat in heats) == 1.0
    assert heats[0][48, 48] == pytest.approx(1.0, abs=0.02)
    assert heats[1][48, 48] == pytest.approx(0.5, abs=0.05)
    assert heats[0].dtype == np.float32
    assert answer.images[0].explained is LesionClass.MALIGNANT
    benign = make_predictor().predict_sequence([full], explain_class=LesionClass.BENIGN).images[0]
    assert benign.explained is LesionClass.BENIGN
    assert benign.heat_map[48, 48] < benign.heat_map[10, 10]


def test_the_operating_point_of_the_checkpoint_is_applied(make_predictor, bright_square):
    image = bright_square()
    assert make_predictor().predict(image).above_operating_point is None
    strict = make_predictor((0.0, 0.0, 0.0), operating_point={"threshold": 0.9})
    lenient = make_predictor((0.0, 0.0, 0.0), operating_point={"threshold": 0.1})
    assert strict.predict_sequence([image]).above_operating_point is False
    assert lenient.predict_sequence([image]).above_operating_point is True
    assert lenient.predict(image).above_operating_point is True
    kept = make_predictor((0.0, 0.0, 0.0), thresholds={"malignant": 0.9})
    assert kept.predict(image).above_operating_point is False


def test_flips_are_averaged_and_turned_back(make_predictor, bright_square):
    plain, flipped = (
        make_predictor(inference={"tta": names}).predict_sequence([bright_square(), bright_square()])
        for names in ([], ["horizontal_flip"])
    )
    # This network does not care for left and right, so the answers agree.
    np.testing.assert_array_equal(plain.images[0].mask, flipped.images[0].mask)
    assert plain.malignancy_probability == pytest.approx(flipped.malignancy_probability, abs=1e-6)


def test_stages_are_timed_and_the_caller_can_stop_between_them(make_predictor, bright_square):
    model = make_predictor(dropout=0.5)
    answer = model.predict_sequence([bright_square()], uncertainty_passes=2, explain=True)
    assert set(answer.seconds) == {"prepare", "forward", "uncertainty", "restore", "explain"}
    assert all(seconds >= 0 for seconds in answer.seconds.values())
    encoded = model.checkpoint.network.encoded
    with pytest.raises(StoppedError, match="stopped on request"):
        model.predict_sequence([bright_square()], should_stop=lambda: True)
    assert model.checkpoint.network.encoded == encoded


def test_images_marked_as_not_analysable_are_refused(make_predictor, make_checkpoint, bright_square):
    spot = bright_square(metadata={"not_analysable": "spot compression"})
    message = r"standard view of a whole breast is required.*\(spot compression\); ask for"
    with pytest.raises(InvalidImageError, match=message):
        make_predictor().predict_sequence([bright_square(), spot])
    with pytest.raises(InvalidImageError, match=message):
        Predictor(make_checkpoint(), device="cpu").predict(spot)


def test_what_is_no_sequence_is_refused(make_predictor, bright_square):
    model = make_predictor()
    with pytest.raises(InvalidImageError, match="at least one image of the newest exam"):
        model.predict_sequence([])
    with pytest.raises(InvalidImageError, match=r"got 1 images and \[False\]"):
        model.predict_sequence([bright_square()], newest=[False])
    with pytest.raises(InvalidImageError, match=r"context of \d+ numbers an image is required.*\(1, 3\)"):
        model.predict_sequence([bright_square()], contexts=np.zeros((1, 3), np.float32))


def test_a_network_for_one_image_takes_a_sequence_of_one_only(make_checkpoint, bright_square):
    model = Predictor(make_checkpoint(bias=MALIGNANT), device="cpu")
    assert not model.takes_sequences
    answer = model.predict_sequence([bright_square()])
    np.testing.assert_array_equal(answer.images[0].mask, model.predict(bright_square()).mask)
    assert answer.predicted is LesionClass.MALIGNANT
    with pytest.raises(CheckpointError, match="looks at one image; got 2"):
        model.predict_sequence([bright_square(), bright_square()])
