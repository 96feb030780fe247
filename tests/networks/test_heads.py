import torch

from breastlabel.networks.heads import ClassHead, MaskHead


def class_head(**arguments) -> ClassHead:
    defaults = {
        "texture_features": 0,
        "mask_pooling": True,
        "mask_gradient": False,
        "dropout": 0.5,
        "n_classes": 3,
    }
    return ClassHead(2, 1, **{**defaults, **arguments}).eval()


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Deepest (1, 2, 2, 2), decoded (1, 1, 4, 4), mask logits of a lesion in the upper left quarter."""
    logits = torch.full((1, 1, 4, 4), -50.0)
    logits[..., :2, :2] = 50.0
    return torch.rand(1, 2, 2, 2), torch.rand(1, 1, 4, 4), logits


def pooled(head: ClassHead, *arguments) -> torch.Tensor:
    """What the linear layer is given."""
    seen = []
    handle = head.project.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    head(*arguments)
    handle.remove()
    return seen[0][0]


def test_deepest_map_is_pooled_by_average_and_maximum():
    deepest, decoded, logits = inputs()
    given = pooled(class_head(mask_pooling=False), deepest, decoded, logits, None)
    torch.testing.assert_close(given, torch.cat([deepest.mean((2, 3))[0], deepest.amax((2, 3))[0]]))


def test_features_are_averaged_under_the_lesion():
    deepest, decoded, logits = inputs()
    given = pooled(class_head(), deepest, decoded, logits, None)
    # Four pixels of lesion and one more in the denominator; the coarse mask is one pixel.
    torch.testing.assert_close(given[4:5], decoded[0, :, :2, :2].sum((1, 2)) / 5)
    torch.testing.assert_close(given[5:7], deepest[0, :, 0, 0] / 2)
    torch.testing.assert_close(given[7:], torch.tensor([0.25, 1.0]))


def test_without_a_lesion_nothing_lies_under_it():
    deepest, decoded, logits = inputs()
    given = pooled(class_head(), deepest, decoded, torch.full_like(logits, -50.0), None)
    torch.testing.assert_close(given[4:], torch.zeros(5))


def test_texture_stands_beside_the_pooled_features():
    deepest, decoded, logits = inputs()
    head = class_head(texture_features=3)
    texture = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(
        pooled(head, deepest, decoded, logits, texture)[-3:], head.texture_norm(texture)[0]
    )


def test_mask_head_drops_whole_channels():
    torch.manual_seed(0)
    head = MaskHead(1, dropout=0.5)
    bias = head.project.bias.item()
    answers = torch.cat([head(torch.ones(1, 1, 4, 4)) for _ in range(20)])
    dropped = (answers == bias).flatten(1)
    assert (dropped.all(1) | (~dropped).all(1)).all()
    assert 0 < dropped.all(1).sum() < 20
