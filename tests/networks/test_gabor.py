import math

import pytest
import torch

from breastlabel.networks.gabor import GaborBank, gabor_kernel

ARGUMENTS = {"wavelength": 6.0, "phase": 0.0, "sigma": 3.0, "aspect": 0.5, "size": 11}


def grating(angle: float, wavelength: float = 6.0, size: int = 48) -> torch.Tensor:
    """(1, 1, size, size) in [0, 1]; angle across the stripes, degrees."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    across = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    return (0.5 + 0.5 * torch.cos(2 * math.pi * across / wavelength))[None, None].float()


@pytest.mark.parametrize(("channel", "angle"), [(1, 0.0), (2, 45.0), (3, 90.0)])
def test_a_grating_excites_its_own_angle_most(channel, angle):
    energy = GaborBank()(grating(angle))[0, 1:].square().mean((1, 2))
    assert energy.argmax().item() + 1 == channel
    assert energy.max() > 2 * energy.sort().values[-2]


def test_image_itself_is_the_first_channel():
    image = torch.rand(2, 1, 20, 24)
    assert torch.equal(GaborBank()(image)[:, :1], image)


@pytest.mark.parametrize("angle", [0.0, 45.0, 90.0])
def test_a_constant_image_excites_nothing_at_the_border_either(angle):
    responses = GaborBank(angles=[angle])(torch.full((1, 1, 16, 16), 0.7))[:, 1:]
    torch.testing.assert_close(responses, torch.zeros_like(responses), atol=1e-5, rtol=0)


def test_kernel_of_ninety_degrees_is_that_of_zero_transposed():
    torch.testing.assert_close(gabor_kernel(angle=90.0, **ARGUMENTS), gabor_kernel(angle=0.0, **ARGUMENTS).T)


def test_responses_to_images_lie_between_minus_one_and_one():
    kernel = gabor_kernel(angle=45.0, **ARGUMENTS)
    strongest = (kernel > 0).float()[None, None]
    assert GaborBank(angles=[45.0])(strongest)[0, 1].abs().max() <= 1.0 + 1e-5
    assert (kernel * strongest[0, 0]).sum().item() == pytest.approx(1.0, abs=1e-5)


def test_kernel_follows_the_formula():
    kernel = gabor_kernel(angle=30.0, **ARGUMENTS).double()

    def raw(x: float, y: float) -> tuple[float, float]:
        across = x * math.cos(math.pi / 6) + y * math.sin(math.pi / 6)
        along = -x * math.sin(math.pi / 6) + y * math.cos(math.pi / 6)
        envelope = math.exp(-(across**2 + 0.25 * along**2) / 18.0)
        return envelope, math.cos(2 * math.pi * across / 6.0)

    grid = [raw(x, y) for y in range(-5, 6) for x in range(-5, 6)]
    mean = sum(e * c for e, c in grid) / sum(e for e, _ in grid)
    expected = torch.tensor([e * (c - mean) for e, c in grid]).reshape(11, 11)
    expected = expected / (expected.abs().sum() / 2)
    torch.testing.assert_close(kernel, expected.double(), atol=1e-6, rtol=1e-4)


def test_bank_is_fixed():
    bank = GaborBank()
    assert list(bank.parameters()) == []
    assert bank.state_dict() == {}


def test_even_kernel_size_is_refused():
    with pytest.raises(ValueError, match="must be odd; got 10"):
        GaborBank(size=10)
