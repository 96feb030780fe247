import numpy as np
import pytest
import torch

from breastlabel.activelearning.simulation.learner import answers, repeated


@pytest.mark.parametrize(("n", "length"), [(3, 18), (4, 18), (18, 20), (1, 5)])
def test_each_image_is_repeated_as_often_as_any_other(n, length):
    rows = repeated(n, length, np.random.default_rng(0))
    counts = np.bincount(rows, minlength=n)
    assert len(rows) == length
    assert counts.max() - counts.min() <= 1


def test_the_length_of_a_training_does_not_depend_on_the_number_of_labels(train, learner, monkeypatch):
    """18 images in batches of 4: five steps an epoch, with 4 labels or with 18."""
    steps = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *a: (steps.append(1), step(self, *a))[1])
    for n in (4, 18):
        steps.clear()
        learner.fit(train.select(np.arange(n)), epochs=2, seed=0)
        assert len(steps) == learner.steps(2) == 10
    assert learner.epochs(11) == 3


def test_the_same_seed_gives_the_same_network(train, learner):
    few = train.select(np.arange(5))
    one, again, other = (learner.fit(few, epochs=1, seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_answers_by_hand(train, learner):
    """A network that says everything is lesion, and sure of the second class."""
    network = learner.fit(train.select(np.arange(4)), epochs=1, seed=0)
    with torch.no_grad():
        network.mask_head.project.weight.zero_()
        network.mask_head.project.bias.fill_(9.0)
        network.class_head.project.weight.zero_()
        network.class_head.project.bias.copy_(torch.tensor([0.0, 0.0, float(np.log(2))]))
    given = answers(network, train.select(np.arange(3)), precision="fp32")
    assert np.isnan(given.dice[0])
    np.testing.assert_allclose(given.dice[1:], 2 * 36 / (256 + 36))
    np.testing.assert_allclose(given.malignant, 0.5, atol=1e-6)
