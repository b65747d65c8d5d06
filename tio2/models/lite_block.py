"""How EfficientNet-Lite is computed: each convolution with its batch norm in it, and without padded copies."""

from contextlib import nullcontext

import torch
from efficientnet_lite_pytorch.model import MBConvBlock
from efficientnet_lite_pytorch.utils import Conv2dStaticSamePadding
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


class LiteBlock(MBConvBlock):
    """The package's inverted residual block without squeeze and excitation: the same weights under the same names."""

    @classmethod
    def of(cls, block: MBConvBlock) -> "LiteBlock":
        """The block itself, from now on computed by `forward` below."""
        block.__class__ = cls
        block._swish = nn.ReLU6(inplace=True)
        return block

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        settings, x = self._block_args, inputs
        if settings.expand_ratio != 1:
            x = self._swish(convolve(self._expand_conv, self._bn0, x))
        x = self._swish(convolve(self._depthwise_conv, self._bn1, x))
        x = convolve(self._project_conv, self._bn2, x)
        keeps_shape = settings.stride == 1 and settings.input_filters == settings.output_filters
        return x + inputs if self.id_skip and keeps_shape else x


def convolve(convolution: Conv2dStaticSamePadding, norm: _BatchNorm, x: Tensor) -> Tensor:
    """A convolution without bias and the batch norm behind it.

    A norm whose statistics are held multiplies and shifts each channel by constants. These go into the weights, so that
    no pass over the pixels is needed; gradients of weights, scales and offsets are those of the two layers.

    A depthwise convolution that trains on a CPU is computed in float32: oneDNN's backward pass through the 5 x 5 ones
    takes five to eight times as long in bfloat16 (torch 2.13).

    Args:
        convolution: The package's, which pads.
        norm: Its norm.
        x: (N, C, H, W); H and W are multiples of the stride.
    """
    weight, bias = convolution.weight, None
    if not norm.training:
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight, bias = weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
    trains = torch.is_grad_enabled() and weight.requires_grad
    exact = convolution.groups > 1 and x.device.type == "cpu" and trains
    with torch.autocast("cpu", enabled=False) if exact else nullcontext():
        x, weight, padding = _padded(convolution, x.to(weight.dtype) if exact else x, weight, trains)
        x = functional.conv2d(x, weight, bias, convolution.stride, padding, groups=convolution.groups)
    return norm(x) if norm.training else x


def _padded(
    convolution: Conv2dStaticSamePadding, x: Tensor, weight: Tensor, trains: bool
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """What is convolved with what, and how many zeros are put on each side of it: rows, columns.

    With stride 2 the package pads one more behind than before, of which it makes a copy. To pad alike on both sides is
    the same with a kernel that begins with a row and a column of zeros; its backward pass is slower than the copy.
    """
    left, right, top, bottom = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    if (left, top) == (right, bottom):
        return x, weight, (top, left)
    if trains:
        return convolution.static_padding(x), weight, (0, 0)
    return x, functional.pad(weight, (right - left, 0, bottom - top, 0)), (bottom, right)
