import pytest
import torch
from torch.nn import functional as F

from breastlabel.errors import CheckpointError
from breastlabel.networks import PatchNet, ScreeningNet, load_patch_weights, patch_network_for

TRUNK = {"cnn": [4, 6], "backbone": "blocks", "widths": [4, 8]}


def screening(**arguments):
    return ScreeningNet(**{**TRUNK, "features": 8, "hidden": 6, **arguments})


def trained(patch):
    """After a step on patches: weights and running statistics have moved."""
    optimiser = torch.optim.SGD(patch.parameters(), lr=0.1)
    F.cross_entropy(patch(torch.rand(6, 1, 32, 32)).class_logits, torch.arange(6) % 3).backward()
    optimiser.step()
    return patch


def test_the_patch_networks_weights_move_into_the_screening_network():
    whole = screening()
    before = {name: value.clone() for name, value in whole.trunk.state_dict().items()}
    patch = trained(patch_network_for(whole))
    load_patch_weights(whole, patch)
    after, theirs = whole.trunk.state_dict(), patch.trunk.state_dict()
    assert after.keys() == theirs.keys()
    assert all(torch.equal(after[name], theirs[name]) for name in after)
    moved = [name for name in after if not torch.equal(after[name], before[name])]
    assert any(name.endswith("weight") for name in moved)
    assert any(name.endswith("running_mean") for name in moved)


def test_both_networks_then_see_the_same_in_an_image():
    whole = screening()
    patch = trained(patch_network_for(whole))
    image = torch.rand(2, 1, 48, 32)
    with torch.inference_mode():
        theirs = patch.eval().encode(image)[-1]
        assert not torch.equal(whole.eval().encode(image)[-1], theirs)
        load_patch_weights(whole, patch)
        assert torch.equal(whole.encode(image)[-1], theirs)


def test_the_copy_has_its_own_memory():
    whole = screening()
    patch = patch_network_for(whole)
    load_patch_weights(whole, patch)
    kept = [p.clone() for p in whole.parameters()]
    trained(patch)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), kept, strict=True))


def test_a_patch_network_starts_from_the_screening_networks_weights():
    whole = screening()
    patch = patch_network_for(whole)
    for name, value in patch.trunk.state_dict().items():
        assert torch.equal(value, whole.trunk.state_dict()[name]), name


@pytest.mark.parametrize(("name", "value"), [("cnn", [4, 8]), ("widths", [4, 4]), ("normalisation", "group")])
def test_other_branches_are_refused(name, value):
    patch = PatchNet(**{**TRUNK, name: value})
    with pytest.raises(CheckpointError, match=rf"must have the screening network's branches \({name}="):
        load_patch_weights(screening(), patch)
