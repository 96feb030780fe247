"""What the images of a breast differ in, as the dense layer is given it."""

import torch

from breastlabel.imaging.context import CONTEXT_NAMES, CONTEXT_SIZE
from breastlabel.networks import MammographyHybrid
from breastlabel.networks.aggregation import change_since_priors, mean_of_newest, spread_of_newest
from breastlabel.networks.sequences import SequenceBatch

_IS_PRIOR = CONTEXT_NAMES.index("is_prior")


def batch(*breasts: str) -> SequenceBatch:
    """Of each breast a letter an image: ``p`` of a prior, ``n`` of the newest exam."""
    sequence = torch.tensor([i for i, breast in enumerate(breasts) for _ in breast])
    context = torch.zeros(len(sequence), CONTEXT_SIZE)
    context[:, _IS_PRIOR] = torch.tensor([float(letter == "p") for letter in "".join(breasts)])
    return SequenceBatch(torch.rand(len(sequence), 1, 16, 16), sequence, context)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def test_means_differences_and_changes_are_of_each_breast_alone():
    breasts = batch("ppnn", "n", "nn", "pn")
    steps = column(1, 3, 6, 10, 5, 2, 4, 7, 4)
    torch.testing.assert_close(mean_of_newest(steps, breasts), column(8, 5, 3, 4))
    torch.testing.assert_close(spread_of_newest(steps, breasts), column(2, 0, 1, 0))
    torch.testing.assert_close(change_since_priors(steps, breasts), column(6, 0, 0, -3))


def test_where_all_are_called_priors_the_last_is_the_newest():
    torch.testing.assert_close(change_since_priors(column(1, 4), batch("pp")), column(3))


def test_the_network_looks_at_them_and_learns_from_them():
    torch.manual_seed(1)
    network = MammographyHybrid(
        widths=(4, 8), recurrent_hidden=8, shortcut=True, comparisons=True, norm_steps=True, dropout=0.0
    )
    breasts = batch("ppnn", "n", "pn")
    logits = network(breasts.images, breasts.sequence, breasts.context).class_logits
    logits.square().sum().backward()
    gradient = network.dense.weight.grad
    assert gradient is not None
    width = (gradient.shape[1] - 8) // 3
    for part in range(3):
        assert bool(gradient[:, 8 + part * width : 8 + (part + 1) * width].any())


def test_the_order_of_views_of_one_date_does_not_matter():
    breasts = batch("pnn")
    steps = torch.rand(3, 5)
    swapped = torch.tensor([0, 2, 1])
    for compared in (spread_of_newest, change_since_priors):
        torch.testing.assert_close(compared(steps, breasts), compared(steps[swapped], breasts))


def test_without_a_shortcut_or_recurrence_there_is_nothing_to_compare():
    assert not MammographyHybrid(widths=(4, 8), comparisons=True).comparisons
    assert not MammographyHybrid(widths=(4, 8), recurrence=None, shortcut=True, comparisons=True).comparisons
