"""The mask head with a 56 x 56 output."""

import torch.nn.functional as F
from mmcv.cnn import build_upsample_layer
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import Tensor, nn

from tio2.models.dense_mask_head import DenseFCNMaskHead


@MODELS.register_module()
class HighResFCNMaskHead(DenseFCNMaskHead):
    """Mask R-CNN's head with a second transposed convolution: 14 -> 28 -> 56 cells a side.

    The second is like the first: same channels, kernel 2, stride 2, a ReLU behind it, the same initial distribution.
    `train_cfg.rcnn.mask_size` must be 56. Masks come out as RLE, see `DenseFCNMaskHead`.

    Args:
        num_convs: Convolutions before the first transposed one.
        in_channels: Channels of the RoI features.
        conv_out_channels: Channels of every layer of the head.
        num_classes: Classes, without background.
        class_agnostic: One mask for all classes.
        norm_cfg: Normalisation after each convolution, None for none.
        loss_mask: The loss.
    """

    def __init__(
        self,
        num_convs: int = 4,
        in_channels: int = 256,
        conv_out_channels: int = 256,
        num_classes: int = 80,
        class_agnostic: bool = False,
        norm_cfg: ConfigDict | None = None,
        loss_mask: ConfigDict | None = None,
    ):
        super().__init__(
            num_convs=num_convs,
            in_channels=in_channels,
            conv_out_channels=conv_out_channels,
            num_classes=num_classes,
            class_agnostic=class_agnostic,
            norm_cfg=norm_cfg,
            loss_mask=loss_mask or {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
        )
        self.upsample2 = build_upsample_layer(
            {
                "type": "deconv",
                "in_channels": conv_out_channels,
                "out_channels": conv_out_channels,
                "kernel_size": 2,
                "stride": 2,
            }
        )

    def init_weights(self) -> None:
        """Initialise as upstream, the second transposed convolution like the first."""
        super().init_weights()
        nn.init.kaiming_normal_(self.upsample2.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.upsample2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return mask logits.

        Behind the convolutions each cell is on its own: both transposed ones make 2 x 2 cells of one, the last one is
        1 x 1. So they are matrix products, and only the logits are put in their places.

        Args:
            x: RoI features, (N, in_channels, S, S); fastest if in channels-last layout.

        Returns:
            (N, num_classes, 4 S, 4 S); one channel where class-agnostic.
        """
        for conv in self.convs:
            x = conv(x)
        count, channels, height, width = x.shape
        x = x.permute(0, 2, 3, 1).reshape(-1, channels)  # (cells, channels)
        x = _four_cells(_four_cells(x, self.upsample), self.upsample2)  # (16 cells, channels)
        logits = F.linear(x, self.conv_logits.weight.flatten(1), self.conv_logits.bias)
        classes = logits.shape[1]
        logits = logits.view(count, height, width, 2, 2, 2, 2, classes)  # ..., row and column in the 2 x 2, twice
        return logits.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(count, classes, 4 * height, 4 * width)


def _four_cells(cells: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution, kernel 2, stride 2, and a ReLU: (M, C) to (4 M, C'), row by row of each 2 x 2."""
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.in_channels)  # (4 C', C)
    return F.linear(cells, weight, layer.bias.repeat(4)).relu_().view(-1, layer.out_channels)
