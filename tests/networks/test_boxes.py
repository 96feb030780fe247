"""A head that draws boxes: what it is taught, and what it finds."""

import copy

import numpy as np
import pytest
import torch

from breastlabel.networks import create_network
from breastlabel.networks.base import BoxLogits
from breastlabel.networks.boxes import BoxHead

pytest.importorskip("torchvision")

SIZE, STRIDE = (64, 48), 8
LESION = torch.tensor([[16.0, 8.0, 32.0, 24.0]])
NOTHING = torch.zeros((0, 4))


def head():
    torch.manual_seed(0)
    return BoxHead(6, STRIDE, width=8)


def features(images=1):
    maps = torch.zeros(images, 6, SIZE[0] // STRIDE, SIZE[1] // STRIDE)
    maps[0, :, 2:4, 1:3] = 3.0
    return maps


def test_it_learns_where_a_lesion_is_and_of_which_class():
    boxes = head()
    optimizer = torch.optim.Adam(boxes.parameters(), lr=1e-2)
    for _ in range(60):
        loss = boxes.loss(boxes(features(2)), SIZE, [(LESION, 2), (NOTHING, 0)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found, empty = boxes.found(boxes(features(2)), SIZE)
    np.testing.assert_allclose(found.boxes[0], LESION[0], atol=2)
    assert int(found.classes[0]) == 2
    assert found.scores[0] > 0.5
    assert (found.scores.diff() <= 0).all()
    assert len(empty.scores) == 0 or empty.scores[0] < found.scores[0]


def test_boxes_are_in_rows_and_columns_within_the_image():
    boxes = head()
    logits = boxes(features())
    assert logits.classes.shape == (1, 12 * 8 * 6, 2)
    assert logits.offsets.shape == (1, 12 * 8 * 6, 4)
    # Every anchor is sure of benign: ten boxes, each within the image.
    sure = BoxLogits(torch.full_like(logits.classes, 3.0), logits.offsets)
    (found,) = boxes.found(sure, SIZE)
    assert len(found.boxes) == 10
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2] <= SIZE[0]).all()
    assert (found.boxes[:, 3] <= SIZE[1]).all()
    assert set(found.classes.tolist()) <= {1, 2}


def test_a_lesion_smaller_than_the_stride_is_taught_too():
    boxes = head()
    logits = boxes(features())
    tiny = torch.tensor([[10.0, 10.0, 11.0, 11.0]])
    boxes.loss(logits, SIZE, [(tiny, 1)]).backward()
    assert boxes.head.regression_head.bbox_reg.weight.grad.abs().sum() > 0


def test_the_weights_are_there_once_and_a_copy_has_its_own():
    boxes = head()
    names = [name.split(".")[0] for name, _ in boxes.named_parameters()]
    assert set(names) == {"reduce", "head"}
    again = copy.deepcopy(boxes)
    with torch.no_grad():
        again.reduce.weight.zero_()
    assert boxes.reduce.weight.any()


def test_drawing_boxes_changes_no_other_answer_and_can_be_left_out():
    def build(**more):
        torch.manual_seed(0)
        return create_network("screening", cnn=(4, 8), backbone=None, hidden=4, features=4, **more).eval()

    plain, drawing = build(), build(boxes=True)
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, after = plain(images), drawing(images)
    assert torch.equal(before.class_logits, after.class_logits)
    assert before.boxes is None
    assert after.boxes.classes.shape == (3, 12 * 8 * 8, 2)
    drawing.leave_out_boxes()
    assert drawing.config() == plain.config()
    plain.load_state_dict(drawing.state_dict())
