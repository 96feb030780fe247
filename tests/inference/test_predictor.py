from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from breastlabel.errors import CheckpointError, InvalidImageError, UnknownNameError
from breastlabel.imaging import BreastImage, LesionClass, Modality
from breastlabel.inference import Predictor
from breastlabel.networks import HybridOutput, create_network

MALIGNANT = (-3.0, 0.0, 3.0)
BENIGN = (-3.0, 3.0, 0.0)
NORMAL = (5.0, 0.0, 0.0)


def predictor(checkpoint, **options):
    return Predictor(checkpoint, device="cpu", **options)


def test_mask_lands_on_the_bright_pixels_of_a_non_square_image(make_checkpoint, bright_square):
    prediction = predictor(make_checkpoint(bias=MALIGNANT)).predict(bright_square())
    expected = np.zeros((96, 64), dtype=np.uint8)
    expected[60:84, 8:24] = 2
    assert prediction.mask.dtype == np.uint8
    assert prediction.mask.shape == (96, 64)
    # Three rows and two columns of the image are one prepared pixel: the outline may be off by that.
    inner = np.zeros_like(expected)
    inner[63:81, 10:22] = 2
    outer = np.zeros_like(expected)
    outer[57:87, 6:26] = 2
    assert (prediction.mask >= inner).all()
    assert (prediction.mask <= outer).all()


def test_every_lesion_pixel_carries_the_predicted_class(make_checkpoint, bright_square):
    for bias, value in ((BENIGN, 1), (MALIGNANT, 2)):
        prediction = predictor(make_checkpoint(bias=bias)).predict(bright_square())
        assert set(np.unique(prediction.mask)) == {0, value}
        assert prediction.predicted == value


def test_a_confident_normal_empties_the_mask_and_keeps_the_probabilities(make_checkpoint, bright_square):
    prediction = predictor(make_checkpoint(bias=NORMAL)).predict(bright_square())
    assert not prediction.mask.any()
    assert prediction.predicted is LesionClass.NORMAL
    assert prediction.class_probabilities["normal"] > 0.9
    assert prediction.lesion_probability.max() > 0.9


def test_without_a_region_the_class_is_normal_whatever_the_class_head_says(make_checkpoint, bright_square):
    checkpoint = make_checkpoint(bias=MALIGNANT, thresholds={"mask": 0.5, "min_area_fraction": 0.9})
    prediction = predictor(checkpoint).predict(bright_square())
    assert not prediction.mask.any()
    assert prediction.predicted is LesionClass.NORMAL
    assert prediction.malignancy_probability > 0.8


def test_normal_threshold_of_the_checkpoint_is_applied(make_checkpoint, bright_square):
    image = bright_square()
    cautious = make_checkpoint(bias=(1.0, 0.0, 0.0), thresholds={"normal": 0.2})
    lenient = make_checkpoint(bias=(1.0, 0.0, 0.0), thresholds={"normal": 0.9})
    assert predictor(cautious).predict(image).predicted is LesionClass.NORMAL
    assert predictor(lenient).predict(image).predicted is not LesionClass.NORMAL


def test_class_probabilities_are_the_softmax_of_the_logits_over_the_temperature(
    make_checkpoint, bright_square
):
    # The square covers 24 * 16 of 96 * 64 pixels: light 1/16, dark 15/16.
    logits = np.array([-1 / 16, 15 / 16, 1 / 16]) / 2.0
    expected = np.exp(logits) / np.exp(logits).sum()
    prediction = predictor(make_checkpoint(temperature=2.0)).predict(bright_square())
    assert list(prediction.class_probabilities) == ["normal", "benign", "malignant"]
    np.testing.assert_allclose(list(prediction.class_probabilities.values()), expected, atol=1e-3)
    assert prediction.malignancy_probability == prediction.class_probabilities["malignant"]


class LeftLover(nn.Module):
    """Outlines the left half of anything, and finds it more malignant the brighter that half is."""

    def forward(self, image: torch.Tensor) -> HybridOutput:
        half = image.shape[-1] // 2
        mask = torch.full_like(image, -2.0)
        mask[..., :half] = 4.0
        light = image[..., :half].mean((1, 2, 3))
        return HybridOutput(mask, torch.stack([0 * light, 0 * light, light], dim=1))


def test_flips_average_the_logits_and_turn_the_mask_back(make_checkpoint, bright_square):
    checkpoint = make_checkpoint(network=LeftLover(), thresholds={"mask": 0.5})
    image = bright_square(shape=(32, 32), box=(0, 0, 32, 16))
    plain = predictor(checkpoint, tta=False).predict(image)
    flipped = predictor(checkpoint, tta=["horizontal_flip"]).predict(image)
    assert plain.lesion_probability[0, -1] < 0.5
    # (4 - 2) / 2 = 1 in both halves.
    np.testing.assert_allclose(flipped.lesion_probability, 1 / (1 + np.exp(-1.0)), atol=1e-5)
    # Light 1 seen plainly and 0 seen flipped: one half.
    p = np.exp(0.5) / (2 + np.exp(0.5))
    assert flipped.malignancy_probability == pytest.approx(p, abs=1e-5)


def test_the_checkpoint_says_which_flips_and_superpixels_unless_told_otherwise(make_checkpoint):
    checkpoint = make_checkpoint(inference={"superpixels": True, "tta": ["horizontal_flip"]})
    assert predictor(checkpoint).views == ("horizontal_flip",)
    assert predictor(checkpoint).superpixels
    assert predictor(checkpoint, tta=False, superpixels=False).views == ()
    assert not predictor(checkpoint, superpixels=False).superpixels


def test_an_unknown_flip_lists_the_valid_ones(make_checkpoint):
    with pytest.raises(UnknownNameError, match=r"horizontal_flip.*got 'diagonal'"):
        predictor(make_checkpoint(), tta=["diagonal"])


def test_superpixels_refine_the_probability(make_checkpoint, bright_square):
    checkpoint = make_checkpoint(bias=MALIGNANT, size=(16, 16))
    image = bright_square()
    truth = image.pixels > 0
    soft = predictor(checkpoint, superpixels=False).predict(image).lesion_probability
    crisp = predictor(checkpoint, superpixels=True).predict(image).lesion_probability
    assert np.square(crisp - truth).mean() < 0.9 * np.square(soft - truth).mean()


def test_uncertainty_is_none_unless_asked_for_and_does_not_change_the_answer(make_checkpoint, bright_square):
    model = predictor(make_checkpoint(dropout=0.5))
    image = bright_square()
    plain = model.predict(image)
    asked = model.predict(image, uncertainty_passes=16)
    assert plain.uncertainty is None
    assert plain.lesion_deviation is None
    assert asked.uncertainty is not None
    assert asked.uncertainty["mutual_information"] > 0
    assert 0 < asked.uncertainty["class_entropy"] <= np.log(3) + 1e-9
    # No dropout stands before this network's mask.
    assert asked.uncertainty["mask_disagreement"] == 0
    assert asked.lesion_deviation.shape == image.shape
    np.testing.assert_array_equal(asked.mask, plain.mask)
    assert asked.class_probabilities == plain.class_probabilities
    assert not model.checkpoint.network.dropout.training


def test_uncertainty_is_repeatable_and_leaves_the_random_state_alone(make_checkpoint, bright_square):
    model = predictor(make_checkpoint(dropout=0.5))
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = model.predict(bright_square(), uncertainty_passes=8, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    second = model.predict(bright_square(), uncertainty_passes=8, seed=1)
    other = model.predict(bright_square(), uncertainty_passes=8, seed=2)
    assert first.uncertainty == second.uncertainty
    assert first.uncertainty != other.uncertainty


def test_stochastic_passes_encode_the_image_once(make_checkpoint, bright_square):
    model = predictor(make_checkpoint(dropout=0.5))
    model.predict(bright_square(), uncertainty_passes=32)
    assert model.checkpoint.network.encoded == 2  # the plain pass, and one for all 32


def test_heat_map_peaks_in_what_speaks_for_the_class(make_checkpoint, bright_square):
    image = bright_square()
    model = predictor(make_checkpoint(bias=MALIGNANT))
    assert model.predict(image).heat_map is None
    prediction = model.predict(image, explain=True)
    heat = prediction.heat_map
    assert heat.shape == image.shape
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert heat.max() == 1
    assert prediction.explained is LesionClass.MALIGNANT
    row, col = np.unravel_index(np.argmax(heat), heat.shape)
    assert 60 <= row < 84
    assert 8 <= col < 24
    # "benign" feeds on the dark, and nothing in the picture speaks for "normal".
    benign = model.predict(image, explain_class=LesionClass.BENIGN)
    assert benign.heat_map[72, 16] < benign.heat_map[10, 40]
    normal = model.predict(image, explain_class=LesionClass.NORMAL)
    assert normal.explained is LesionClass.NORMAL
    assert normal.heat_map.max() == 0


def test_a_network_without_stages_says_what_it_cannot_do(make_checkpoint, bright_square):
    model = predictor(make_checkpoint(network=LeftLover()))
    with pytest.raises(CheckpointError, match=r"heat map requires a network with encode.*LeftLover"):
        model.predict(bright_square(), explain=True)


def test_a_batch_equals_its_images_one_by_one(make_checkpoint, bright_square):
    model = predictor(make_checkpoint(dropout=0.5))
    images = [
        bright_square(shape=(40 + 8 * i, 64), box=(4, 4 * i + 1, 20, 4 * i + 13), spacing=(0.1, 0.2))
        for i in range(5)
    ]
    seen = []
    together = dict(
        model.predict_many(images, batch_size=2, uncertainty_passes=4, explain=True, progress=seen.append)
    )
    assert seen == [2, 4, 5]
    assert list(together) == [0, 1, 2, 3, 4]
    for index, image in enumerate(images):
        alone = model.predict(image, uncertainty_passes=4, explain=True)
        np.testing.assert_array_equal(together[index].mask, alone.mask)
        np.testing.assert_allclose(together[index].lesion_probability, alone.lesion_probability, atol=1e-6)
        np.testing.assert_allclose(together[index].heat_map, alone.heat_map, atol=1e-6)
        assert together[index].uncertainty == pytest.approx(alone.uncertainty, abs=1e-6)
        assert together[index].class_probabilities == pytest.approx(alone.class_probabilities, abs=1e-6)


def test_a_stream_stops_between_batches_when_told(make_checkpoint, bright_square):
    drawn = Counter()

    def images():
        for _ in range(100):
            drawn["images"] += 1
            yield bright_square()

    done = []
    results = list(
        predictor(make_checkpoint()).predict_many(
            images(), batch_size=3, progress=done.append, should_stop=lambda: len(done) == 2
        )
    )
    assert len(results) == 6
    assert drawn["images"] == 6


def test_one_bad_image_does_not_end_the_batch(make_checkpoint, bright_square):
    checkpoint = make_checkpoint()
    good, preparation = bright_square(), checkpoint.preparation

    def picky(pixels):
        if pixels.shape == (7, 7):
            raise InvalidImageError("a larger image is required; got 7 x 7; export it again")
        return preparation(pixels)

    checkpoint.preparation = picky
    bad = BreastImage(pixels=np.eye(7, dtype=np.float32), modality=Modality.US)
    model = predictor(checkpoint)
    errors = []
    done = dict(
        model.predict_many([good, bad, good], batch_size=3, on_error=lambda i, e: errors.append((i, str(e))))
    )
    assert list(done) == [0, 2]
    assert errors == [(1, "a larger image is required; got 7 x 7; export it again")]
    with pytest.raises(InvalidImageError, match="larger image"):
        list(model.predict_many([good, bad]))


def test_a_missing_checkpoint_folder_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="none-here"):
        Predictor(tmp_path / "none-here")


@pytest.mark.parametrize(
    "network",
    [
        {"name": "ultrasound", "widths": (4, 8), "recurrent_hidden": 4},
        {"name": "ultrasound", "widths": (4, 8), "recurrence": None, "gabor": False, "mask_pooling": True},
        {"name": "pixel-logistic-regression"},
    ],
)
def test_the_projects_networks_answer_in_full(make_checkpoint, bright_square, network):
    arguments = dict(network)
    torch.manual_seed(0)
    try:
        built = create_network(arguments.pop("name"), **arguments)
    except UnknownNameError as error:
        pytest.fail(str(error))
    image = bright_square(shape=(45, 70), box=(10, 20, 30, 40), spacing=(0.1, 0.1))
    prediction = predictor(make_checkpoint(network=built), tta=["horizontal_flip"], superpixels=True).predict(
        image, uncertainty_passes=3, explain=True
    )
    assert prediction.mask.shape == prediction.heat_map.shape == (45, 70)
    assert sum(prediction.class_probabilities.values()) == pytest.approx(1)
    assert np.isfinite(prediction.heat_map).all()
    assert set(prediction.uncertainty) >= {"class_entropy", "mutual_information", "mask_disagreement"}


def test_threads_that_share_a_network_do_not_see_each_others_dropout(make_checkpoint, bright_square):
    checkpoint = make_checkpoint(dropout=0.5)
    image = bright_square()
    plain, stochastic = predictor(checkpoint), predictor(checkpoint, superpixels=True)
    expected = plain.predict(image).class_probabilities
    with ThreadPoolExecutor(4) as pool:
        noisy = [pool.submit(stochastic.predict, image, uncertainty_passes=20) for _ in range(10)]
        quiet = [pool.submit(plain.predict, image) for _ in range(40)]
        answers = [future.result(timeout=30) for future in quiet]
        scores = [future.result(timeout=30).uncertainty for future in noisy]
    assert all(answer.class_probabilities == expected for answer in answers)
    assert all(score == scores[0] for score in scores)


def test_a_checkpoint_folder_is_loaded_with_its_own_preparation_and_thresholds(
    tmp_path, make_checkpoint, bright_square
):
    from breastlabel.training.checkpoint import save_checkpoint

    torch.manual_seed(0)
    network = create_network("ultrasound", widths=(4, 8), recurrent_hidden=4).eval()
    loose = make_checkpoint(network=network, temperature=1.5, thresholds={"mask": 0.05, "normal": 0.9})
    folder = save_checkpoint(
        tmp_path / "checkpoint",
        network,
        model="ultrasound",
        preparation=loose.preparation,
        calibration=loose.spec["calibration"],
        thresholds=loose.spec["thresholds"],
        inference={"tta": ["horizontal_flip"]},
    )
    image = bright_square()
    loaded = predictor(folder)
    there = loaded.predict(image)
    here = predictor(loose, tta=["horizontal_flip"]).predict(image)
    assert there.checkpoint_version == loaded.version != ""
    np.testing.assert_array_equal(there.mask, here.mask)
    np.testing.assert_allclose(there.lesion_probability, here.lesion_probability, atol=1e-6)
    assert there.class_probabilities == pytest.approx(here.class_probabilities)
