"""Augmentation: masks move with images, parameters replay, nothing drawn means nothing changed."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from breastlabel.errors import InvalidImageError, InvalidLabelError, UnknownNameError
from breastlabel.transforms import Augmentation

SIZE = (40, 56)
STILL = {
    "horizontal_flip": 0.0,
    "vertical_flip": 0.0,
    "affine_probability": 0.0,
    "tone_probability": 0.0,
}
KINDS = [Augmentation(), Augmentation.paper(), Augmentation.strong()]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 4, seed: int = 7) -> torch.Tensor:
    return torch.rand(n, 1, *SIZE, generator=generator(seed))


def masks(n: int = 4) -> torch.Tensor:
    result = torch.zeros(n, 1, *SIZE)
    for item in range(n):
        result[item, :, 8 + item : 20 + item, 30:46] = 1
    return result


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_masks_move_exactly_as_images_do(padding, seed):
    moving = replace(Augmentation.strong(), **_without_appearance(), elastic_probability=1.0, padding=padding)
    shapes = masks()
    moved_images, moved_masks = moving(shapes, shapes, generator=generator(seed))
    torch.testing.assert_close((moved_images >= 0.5).float(), moved_masks, rtol=0, atol=0)
    assert moved_masks.sum() > 0


def _without_appearance() -> dict[str, float]:
    return {f"{part}_probability": 0.0 for part in ("tone", "gain", "blur", "speckle", "noise")}


def test_appearance_leaves_masks_alone():
    changing = replace(
        Augmentation.strong(), horizontal_flip=0.0, affine_probability=0.0, elastic_probability=0.0
    )
    shapes = masks()
    changed, same = changing(images(), shapes, generator=generator())
    assert torch.equal(same, shapes)
    assert not torch.equal(changed, images())


def test_zero_probability_is_the_identity_bit_by_bit():
    changed, moved = Augmentation(**STILL)(images(), masks(), generator=generator())
    assert torch.equal(changed, images())
    assert torch.equal(moved, masks())


def test_items_for_which_nothing_was_drawn_stay_bit_by_bit():
    rare = Augmentation(
        **(STILL | {"affine_probability": 0.3, "tone_probability": 0.3}),
        blur_probability=0.2,
        speckle_probability=0.2,
        noise_probability=0.2,
        gain_probability=0.2,
        elastic_probability=0.2,
    )
    before = images(60)
    after, _ = rare(before, masks(60), generator=generator())
    same = [torch.equal(first, second) for first, second in zip(before, after, strict=True)]
    assert 2 < sum(same) < 30


@pytest.mark.parametrize("direction", ["horizontal_flip", "vertical_flip"])
def test_flip_is_self_inverse(direction):
    flip = Augmentation(**(STILL | {direction: 1.0}))
    once = flip(images(), masks())
    axis = -1 if direction == "horizontal_flip" else -2
    assert torch.equal(once[0], images().flip(axis))
    twice = flip(*once)
    assert torch.equal(twice[0], images())
    assert torch.equal(twice[1], masks())


@pytest.mark.parametrize("augmentation", KINDS)
def test_a_batch_equals_its_items_one_by_one(augmentation):
    parameters = augmentation.draw(4, SIZE, generator())
    assert len(parameters) == 4
    whole = augmentation.apply(parameters, images(), masks())
    for item in range(4):
        one = slice(item, item + 1)
        alone = augmentation.apply(parameters[one], images()[one], masks()[one])
        torch.testing.assert_close(alone[0], whole[0][one], rtol=0, atol=1e-5)
        assert torch.equal(alone[1], whole[1][one])


@pytest.mark.parametrize("augmentation", KINDS)
def test_same_seed_same_result_and_parameters_replay(augmentation):
    first = augmentation(images(), masks(), generator=generator(3))
    second = augmentation(images(), masks(), generator=generator(3))
    other = augmentation(images(), masks(), generator=generator(4))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    parameters = augmentation.draw(4, SIZE, generator(3))
    assert torch.equal(augmentation.apply(parameters, images(), masks())[0], first[0])


@pytest.mark.parametrize("augmentation", KINDS)
def test_results_stay_images_and_masks(augmentation):
    before = images()
    changed, moved = augmentation(before, masks(), generator=generator())
    assert changed.shape == before.shape
    assert changed.dtype == moved.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert set(moved.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(before, images())


def _moved(*, angle: float = 0.0, zoom: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)):
    """A single bright pixel, two rows above the centre of a 9 x 15 image, after one affine map."""
    still = Augmentation(**STILL)
    parameters = still.draw(1, (9, 15))
    motion = replace(
        parameters.motion,
        angle=torch.deg2rad(torch.tensor([angle])),
        magnification=torch.full((1, 2), zoom),
        shift=torch.tensor([shift]),
    )
    dot = torch.zeros(1, 1, 9, 15)
    dot[0, 0, 2, 7] = 1
    moved, _ = still.apply(replace(parameters, motion=motion), dot, dot)
    return [tuple(place) for place in (moved[0, 0] > 0.9).nonzero().tolist()]


def test_rotation_is_counter_clockwise_in_pixels_even_if_not_square():
    assert _moved(angle=90) == [(4, 5)]
    assert _moved(angle=-90) == [(4, 9)]
    assert _moved(angle=180) == [(6, 7)]


def test_shift_is_to_the_right_and_down():
    assert _moved(shift=(2 / 15, 1 / 9)) == [(3, 9)]


def test_zoom_magnifies_about_the_centre():
    assert _moved(zoom=2) == [(0, 7)]


def test_ranges_are_kept():
    parameters = Augmentation(affine_probability=1.0, tone_probability=1.0, stretch=1.2).draw(
        500, (4, 4), generator()
    )
    motion, appearance = parameters.motion, parameters.appearance
    assert torch.rad2deg(motion.angle.abs().max()) == pytest.approx(15, abs=0.3)
    assert motion.shift.abs().max() == pytest.approx(0.1, abs=0.005)
    zoom = motion.magnification.prod(dim=1).sqrt()
    assert (zoom.min(), zoom.max()) == (pytest.approx(0.9, abs=0.01), pytest.approx(1.1, abs=0.01))
    stretch = motion.magnification[:, 0] / motion.magnification[:, 1]
    assert (stretch.min(), stretch.max()) == (pytest.approx(1 / 1.2, abs=0.01), pytest.approx(1.2, abs=0.01))
    assert appearance.brightness.abs().max() == pytest.approx(0.1, abs=0.005)
    assert appearance.contrast.min() == pytest.approx(0.8, abs=0.01)
    assert appearance.gamma.max() == pytest.approx(1.25, abs=0.01)


def test_elastic_displacement_never_folds():
    bending = Augmentation(**STILL, elastic_probability=1.0, elastic=0.4)
    ramp = torch.linspace(0, 1, 64).expand(8, 1, 64, 64)
    inner = bending(ramp, torch.zeros(8, 1, 64, 64), generator=generator())[0][..., 16:48, 16:48]
    assert (inner.diff(dim=-1) > 0).all()
    assert (inner - ramp[..., 16:48, 16:48]).abs().max() > 0.01


def test_contrast_keeps_the_mean_and_brightness_adds():
    parameters = Augmentation(**STILL | {"tone_probability": 1.0}).draw(1, SIZE, generator())
    appearance = replace(
        parameters.appearance,
        brightness=torch.tensor([0.1]),
        contrast=torch.tensor([0.5]),
        gamma=torch.tensor([1.0]),
    )
    before = images(1)
    after, _ = Augmentation.apply(replace(parameters, appearance=appearance), before, masks(1))
    torch.testing.assert_close(after, (before - before.mean()) * 0.5 + before.mean() + 0.1)


def test_blur_is_a_gaussian_of_the_drawn_sigma():
    parameters = Augmentation(**STILL, blur_probability=1.0).draw(1, (21, 21), generator())
    sigma = 1.2
    appearance = replace(parameters.appearance, blur=torch.tensor([sigma]))
    dot = torch.zeros(1, 1, 21, 21)
    dot[0, 0, 10, 10] = 1
    blurred, _ = Augmentation.apply(replace(parameters, appearance=appearance), dot, dot)
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    # exp(-d^2 / (2 sigma^2)) between neighbours.
    ratio = float(blurred[0, 0, 10, 11] / blurred[0, 0, 10, 10])
    assert ratio == pytest.approx(float(torch.exp(torch.tensor(-1 / (2 * sigma**2)))), rel=1e-4)


def test_speckle_is_multiplicative_and_noise_additive():
    halves = torch.zeros(8, 1, *SIZE)
    halves[..., 28:] = 0.5
    flat = torch.zeros(8, 1, *SIZE)
    speckled, _ = Augmentation(**STILL, speckle_probability=1.0)(halves, flat, generator=generator())
    assert not speckled[..., :28].any()
    assert speckled[..., 28:].std() > 0.01
    noisy, _ = Augmentation(**STILL, noise_probability=1.0)(halves, flat, generator=generator())
    assert noisy[..., :28].std() > 0.001


def test_gain_varies_smoothly_over_depth():
    even = torch.full((8, 1, *SIZE), 0.5)
    gained, _ = Augmentation(**STILL, gain_probability=1.0)(even, even * 0, generator=generator())
    assert gained.mean(dim=-1).std(dim=-1).max() > 0.01
    assert gained.diff(dim=-2).abs().max() < 0.03


def test_masks_of_several_channels_move_alike():
    pair = torch.cat([masks(), masks()], dim=1)
    _, moved = Augmentation()(images(), pair, generator=generator())
    assert torch.equal(moved[:, 0], moved[:, 1])


@pytest.mark.parametrize("augmentation", KINDS)
def test_configuration_makes_an_equal_object(augmentation):
    again = Augmentation.from_config(json.loads(json.dumps(augmentation.config())))
    assert again == augmentation
    assert hash(again) == hash(augmentation)


def test_paper_has_the_papers_ranges():
    paper = Augmentation.paper()
    assert paper.rotation == 15
    assert paper.horizontal_flip == paper.vertical_flip == 0.5
    assert paper.gamma == (1, 1)
    assert paper.elastic_probability == paper.speckle_probability == paper.noise_probability == 0


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"option of Augmentation must be .*rotation.*; got 'rotate'"):
        Augmentation.from_config({"rotate": 3})
    with pytest.raises(UnknownNameError, match="border, reflection, zeros; got 'wrap'"):
        Augmentation(padding="wrap")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizontal_flip": 1.5}, r"horizontal_flip must be a probability in \[0, 1\]; got 1.5"),
        ({"blur_probability": -1}, "blur_probability must be a probability"),
        ({"zoom": (1.2, 0.8)}, r"zoom must be \(smallest, largest\), above 0; got \(1.2, 0.8\)"),
        ({"elastic": 0.5}, r"elastic must be in \[0, 0.4\]; got 0.5"),
        ({"stretch": 0.9}, "stretch must be at least 1; got 0.9"),
    ],
)
def test_an_object_that_exists_is_valid(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)


def test_wrong_shapes_are_refused():
    augmentation = Augmentation.strong()
    with pytest.raises(InvalidImageError, match=r"4 images \(B, C, H, W\) is required; got .* \(4, 40, 56\)"):
        augmentation(images()[:, 0], masks())
    parameters = augmentation.draw(3, SIZE)
    with pytest.raises(
        InvalidImageError, match=r"a batch of 3 images .* got a tensor of shape \(4, 1, 40, 56\)"
    ):
        augmentation.apply(parameters, images(), masks())
    with pytest.raises(
        InvalidLabelError, match=r"images of shape \(4, 1, 40, 56\) are required; got \(4, 1, 40, 5\)"
    ):
        augmentation(images(), masks()[..., :5])
    with pytest.raises(InvalidImageError, match="noise was drawn, are required; got 40 x 56"):
        augmentation.apply(augmentation.draw(4, (20, 20)), images(), masks())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_gpu_gives_the_same_as_the_processor():
    augmentation = Augmentation.strong()
    parameters = augmentation.draw(4, SIZE, generator())
    here = augmentation.apply(parameters, images(), masks())
    there = augmentation.apply(parameters, images().cuda(), masks().cuda())
    assert there[0].device.type == "cuda"
    torch.testing.assert_close(there[0].cpu(), here[0], rtol=0, atol=1e-3)
