"""The detector in bfloat16 where the processor has instructions for it; coordinates are computed in float32."""

import logging

import torch
from mmdet.models.detectors import MaskRCNN
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from torch import Tensor

PRECISIONS = ("auto", "bfloat16", "float32")


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 by instructions of its own; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@MODELS.register_module()
class DenseMaskRCNN(MaskRCNN):
    """MaskRCNN whose convolutions and matrix products run in bfloat16, in training and in inference.

    Features, box deltas, scores and mask logits leave the layers that make them as float32 (here, and in `DenseRPNHead`
    and `DenseRoIHead`): MMCV's operators take nothing else, and coordinates in bfloat16 would be off by pixels.
    Weights and their gradients are float32 throughout.

    Args:
        backbone: As for MMDetection's MaskRCNN; so the others up to `init_cfg`.
        rpn_head: RPN.
        roi_head: Box and mask branch.
        train_cfg: Assigners, samplers.
        test_cfg: Thresholds, limits.
        neck: FPN.
        data_preprocessor: Normalisation, padding.
        init_cfg: Weights to start from.
        precision: "auto", bfloat16 where it is fast; "bfloat16"; "float32".

    Raises:
        ValueError: There is no such precision.
    """

    def __init__(
        self,
        backbone: ConfigDict,
        rpn_head: ConfigDict,
        roi_head: ConfigDict,
        train_cfg: ConfigDict,
        test_cfg: ConfigDict,
        neck: ConfigDict | None = None,
        data_preprocessor: ConfigDict | None = None,
        init_cfg: ConfigDict | None = None,
        precision: str = "auto",
    ):
        super().__init__(backbone, rpn_head, roi_head, train_cfg, test_cfg, neck, data_preprocessor, init_cfg)
        if precision not in PRECISIONS:
            raise ValueError(f"model.precision is {precision!r}: set it to one of {', '.join(PRECISIONS)}")
        self.precision = precision
        self._said = False

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = "tensor"):
        """Losses, predictions or raw outputs of a batch (N, 3, H, W), as MMDetection's detectors."""
        reduced = self.precision == "bfloat16" or (self.precision == "auto" and bfloat16_is_fast(inputs.device))
        if reduced and not self._said:
            print_log(f"bfloat16 on {inputs.device.type} (model.precision={self.precision})", "current", logging.INFO)
            self._said = True
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=reduced):
            return super().forward(inputs, data_samples, mode)

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Feature maps (N, C, H/stride, W/stride), float32; computed pixel by pixel, which suits a CPU's convolutions.

        They are handed on channel by channel: MMCV's RoIAlign reads the memory so, whatever the strides say.
        """
        batch_inputs = batch_inputs.contiguous(memory_format=torch.channels_last)
        return tuple(features.float().contiguous() for features in super().extract_feat(batch_inputs))
