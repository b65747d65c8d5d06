"""The 56 x 56 head: shapes, start, gradients."""

import pytest
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS

from tio2.models.mask_head import HighResFCNMaskHead

SMALL = {"num_convs": 1, "in_channels": 8, "conv_out_channels": 32, "num_classes": 1}


@pytest.mark.parametrize(("classes", "class_agnostic", "channels"), [(1, False, 1), (3, False, 3), (3, True, 1)])
def test_fourteen_cells_become_fifty_six(classes, class_agnostic, channels):
    head = MODELS.build(
        {**SMALL, "type": "mmdet.HighResFCNMaskHead", "num_classes": classes, "class_agnostic": class_agnostic}
    )
    assert head(torch.zeros(5, 8, 14, 14)).shape == (5, channels, 56, 56)
    assert head(torch.zeros(0, 8, 14, 14)).shape == (0, channels, 56, 56)


def test_the_second_deconvolution_starts_like_the_first():
    torch.manual_seed(0)
    head = HighResFCNMaskHead(in_channels=256)
    head.init_weights()
    first, second = head.upsample, head.upsample2
    assert first.weight.shape == second.weight.shape == (256, 256, 2, 2)
    assert (second.kernel_size, second.stride) == (first.kernel_size, first.stride) == ((2, 2), (2, 2))
    assert second.bias.count_nonzero() == 0
    expected = (2 / (256 * 2 * 2)) ** 0.5  # Kaiming, fan out, ReLU
    for weight in (first.weight, second.weight):
        assert float(weight.detach().std()) == pytest.approx(expected, rel=0.01)
        assert float(weight.detach().mean()) == pytest.approx(0, abs=expected / 100)


def test_every_parameter_gets_a_gradient_and_the_relu_cuts_below_zero():
    torch.manual_seed(0)
    head = HighResFCNMaskHead(**SMALL)
    head.init_weights()
    head(torch.randn(2, 8, 14, 14)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())
    with torch.no_grad():  # logits that are the sum of what passes: nothing below zero does
        head.conv_logits.weight.fill_(1)
        head.conv_logits.bias.zero_()
        passed = head(torch.randn(2, 8, 14, 14))
    assert float(passed.min()) >= 0
    assert float(passed.max()) > 0


@pytest.mark.parametrize("classes", [1, 3])
def test_the_matrix_products_are_the_layers_forwards_and_backwards(classes):
    torch.manual_seed(0)
    head = HighResFCNMaskHead(**{**SMALL, "num_classes": classes})
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    layers = torch.nn.Sequential(
        *head.convs, head.upsample, torch.nn.ReLU(), head.upsample2, torch.nn.ReLU(), head.conv_logits
    )
    features = torch.randn(3, 8, 5, 6)
    results = []
    for network in (layers, head):
        head.zero_grad()
        logits = network(features)
        (logits * torch.linspace(-1, 1, logits.numel()).view(logits.shape)).sum().backward()
        results.append([logits.detach(), *(parameter.grad.clone() for parameter in head.parameters())])
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-3)


def test_with_an_identity_behind_it_the_head_is_upstream_s():
    """A second deconvolution that only repeats each cell gives upstream's logits, each four times."""
    torch.manual_seed(0)
    stock = FCNMaskHead(**SMALL)
    stock.init_weights()
    head = HighResFCNMaskHead(**SMALL)
    head.load_state_dict(stock.state_dict(), strict=False)
    with torch.no_grad():
        head.upsample2.bias.zero_()
        head.upsample2.weight.copy_(torch.eye(32)[:, :, None, None].expand(32, 32, 2, 2))
        features = torch.randn(3, 8, 14, 14)
        repeated = stock(features).repeat_interleave(4 // 2, dim=2).repeat_interleave(4 // 2, dim=3)
        torch.testing.assert_close(head(features), repeated)
