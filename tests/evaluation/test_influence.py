import numpy as np
import pytest
import torch

from breastlabel.evaluation.influence import feature_groups, influence, run_without
from breastlabel.networks import create_network
from breastlabel.training import TrainingArrays
from breastlabel.training.validation import run_network


@pytest.fixture(scope="module")
def arrays() -> TrainingArrays:
    rng = np.random.default_rng(0)
    masks = np.zeros((6, 32, 32), dtype=np.uint8)
    masks[:4, 8:20, 8:20] = 1
    return TrainingArrays(
        rng.random((6, 32, 32)).astype(np.float16),
        masks,
        np.ones(6, dtype=bool),
        np.array([1, 2, 1, 2, 0, 0]),
        np.array([f"image-{i}" for i in range(6)]),
        np.array([f"patient-{i // 2}" for i in range(6)]),
    )


def network(**arguments):
    torch.manual_seed(0)
    made = create_network("ultrasound", widths=(4, 8), recurrent_hidden=4, **arguments)
    return made.eval()


def test_with_nothing_taken_away_it_is_the_networks_own_answer(arrays):
    whole = network()
    without, own = run_without(whole, arrays, None), run_network(whole, arrays, precision="fp32")
    np.testing.assert_allclose(without.class_logits, own.class_logits, atol=1e-5)
    np.testing.assert_allclose(without.mask_logits, own.mask_logits, atol=1e-2)


def test_texture_changes_the_class_and_not_the_mask(arrays):
    whole = network()
    with torch.no_grad():
        whole.class_head.project.weight.normal_()
    own, without = run_without(whole, arrays, None), run_without(whole, arrays, "texture statistics")
    assert (own.mask_logits == without.mask_logits).all()
    assert (own.class_logits != without.class_logits).any()


@pytest.mark.parametrize("group", ["grey image", "Gabor channels", "recurrence"])
def test_other_groups_change_the_mask(arrays, group):
    whole = network()
    assert (
        run_without(whole, arrays, None).mask_logits != run_without(whole, arrays, group).mask_logits
    ).any()


def test_a_network_names_only_the_groups_it_has():
    assert feature_groups(network(gabor=False, recurrence=None, texture=False)) == ["grey image"]


def test_a_group_that_is_ignored_has_no_influence(arrays):
    deaf = network()
    with torch.no_grad():
        n = deaf.class_head.texture_norm.num_features
        deaf.class_head.project.weight[:, -n:] = 0
    texture = next(row for row in influence([deaf], arrays) if row["group"] == "texture statistics")
    assert texture["auc_malignant"] == {"mean": 0.0, "ci95": [0.0, 0.0]}
    assert texture["dice"]["mean"] == 0
