"""The detector in bfloat16 where the processor has instructions for it; coordinates are computed in float32."""

import logging

import torch
from mmdet.models.detectors import MaskRCNN
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from torch import Tensor

from tio2.models.flips import predict_flipped
from tio2.models.roi_extractor import DenseRoIExtractor

PRECISIONS = ("auto", "bfloat16", "float32")


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 by instructions of its own; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def precision_on(precision: str, device: torch.device) -> str:
    """``bfloat16`` or ``float32``: what a model of a precision, of `PRECISIONS`, computes in on a device."""
    if precision == "auto":
        return "bfloat16" if bfloat16_is_fast(device) else "float32"
    return precision


def precision_of(model: ConfigDict, device: str | torch.device) -> str:
    """What a config's model computes in on a device."""
    if model.type != DenseMaskRCNN.__name__:
        return "float32"
    return precision_on(model.get("precision", "auto"), torch.device(device))


@MODELS.register_module()
class DenseMaskRCNN(MaskRCNN):
    """MaskRCNN whose convolutions and matrix products run in bfloat16, in training and in inference.

    Features, box deltas, scores and mask logits leave the layers that make them as float32 (here, and in `DenseRPNHead`
    and `DenseRoIHead`): MMCV's operators take nothing else, and coordinates in bfloat16 would be off by pixels.
    Weights and their gradients are float32 throughout.

    With `test_cfg.flips`, a list of `horizontal`, `vertical`, `diagonal`, the mirror images are looked at too, and what
    they show is fused (see `flips`).

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
        reduced = precision_on(self.precision, inputs.device) == "bfloat16"
        if reduced and not self._said:
            print_log(f"bfloat16 on {inputs.device.type} (model.precision={self.precision})", "current", logging.INFO)
            self._said = True
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=reduced):
            return super().forward(inputs, data_samples, mode)

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """The data samples with what was found, as MMDetection's detectors; in mirror images too if they are wanted."""
        if not self.test_cfg.get("flips"):
            return super().predict(batch_inputs, batch_data_samples, rescale)
        results = predict_flipped(self, batch_inputs, batch_data_samples, rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Feature maps (N, C, H/stride, W/stride), float32; computed pixel by pixel, which suits a CPU's convolutions.

        For MMCV's RoIAlign they are handed on channel by channel: it reads the memory so, whatever the strides say.
        """
        batch_inputs = batch_inputs.contiguous(memory_format=torch.channels_last)
        extractors = self.roi_head.bbox_roi_extractor, self.roi_head.mask_roi_extractor
        as_it_is = batch_inputs.device.type == "cpu" and all(isinstance(each, DenseRoIExtractor) for each in extractors)
        layout = torch.preserve_format if as_it_is else torch.contiguous_format
        return tuple(each.to(torch.float32, memory_format=layout) for each in super().extract_feat(batch_inputs))
