import pytest
import torch

from breastlabel.errors import UnknownNameError
from breastlabel.networks.recurrence import SweepRecurrence

cells = pytest.mark.parametrize("cell", ["lstm", "gru"])


@cells
def test_shape_is_kept(cell):
    assert SweepRecurrence(5, cell=cell, hidden=3)(torch.rand(2, 5, 4, 7)).shape == (2, 5, 4, 7)


@cells
def test_every_position_sees_every_other(cell):
    sweep = SweepRecurrence(3, cell=cell, hidden=4).double()
    for parameter in sweep.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.rand(1, 3, 4, 5, dtype=torch.float32, requires_grad=True)
    sweep = sweep.float()
    out = sweep(x)[0].sum(0)
    for row, column in [(0, 0), (2, 3), (3, 4), (1, 2)]:
        (gradient,) = torch.autograd.grad(out[row, column], x, retain_graph=True)
        seen = gradient[0].abs().sum(0)
        assert (seen > 0).all()


@cells
def test_items_of_a_batch_do_not_mix(cell):
    sweep = SweepRecurrence(3, cell=cell, hidden=4)
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(sweep(x)[0].sum(), x)
    assert gradient[0].abs().sum() > 0
    assert gradient[1].abs().sum() == 0


@cells
def test_input_is_added(cell):
    sweep = SweepRecurrence(3, cell=cell, hidden=4)
    torch.nn.init.zeros_(sweep.project.weight)
    torch.nn.init.zeros_(sweep.project.bias)
    x = torch.rand(1, 3, 4, 4)
    assert torch.equal(sweep(x), x)


def test_rows_are_swept_along_columns_index_and_columns_along_rows_index():
    """With the column sweep cut off from its past, only positions of one row are seen."""
    sweep = SweepRecurrence(2, cell="gru", hidden=3)
    with torch.no_grad():
        # An update gate of 0 forgets the previous step: the new state is made from the input alone,
        # but for the recurrent weights, which are zero.
        for name, parameter in sweep.columns.named_parameters():
            if name.startswith("weight_hh"):
                parameter.zero_()
            if name.startswith("bias_ih"):
                parameter[3:6] = -1e4
    x = torch.rand(1, 2, 4, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(sweep(x)[0, :, 2, 1].sum(), x)
    seen = gradient[0].abs().sum(0) > 0
    assert seen[2].all()
    assert not seen[[0, 1, 3]].any()


def test_full_precision_under_autocast_and_the_inputs_type_back():
    sweep = SweepRecurrence(3, hidden=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert sweep(torch.rand(1, 3, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_unknown_cell_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match="gru, lstm; got 'transformer'"):
        SweepRecurrence(3, cell="transformer")
