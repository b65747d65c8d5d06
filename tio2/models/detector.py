"""The detector, and the one place that decides in which precision it computes; coordinates are computed in float32."""

import logging
from typing import Literal, get_args

import torch
from mmdet.models.detectors import MaskRCNN
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from torch import Tensor

from tio2.models.flips import predict_flipped
from tio2.models.head_settings import DetectorTest, check_head_settings, settings_of
from tio2.models.roi_extractor import DenseRoIExtractor

Precision = Literal["auto", "mixed", "float32", "bfloat16", "float16"]
"""What a config may say: `auto`, bfloat16 where it is fast, else float32; `mixed` (--amp), the same, but float16 on a
GPU where bfloat16 is slow; or one of the three."""


def precision_on(device: torch.device, wanted: Precision) -> str:
    """What a model computes in on a device: `float32`, `bfloat16` or `float16`."""
    if wanted not in ("auto", "mixed"):
        return wanted
    if bfloat16_is_fast(device):
        return "bfloat16"
    return "float16" if wanted == "mixed" and device.type == "cuda" else "float32"


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 by instructions of its own; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def precision_of(model: ConfigDict, device: str | torch.device) -> str:
    """What a config's model computes in on a device."""
    if model.type != DenseMaskRCNN.__name__:
        return "float32"
    return precision_on(torch.device(device), model.get("precision", "auto"))


@MODELS.register_module()
class DenseMaskRCNN(MaskRCNN):
    """MaskRCNN whose convolutions and matrix products run in one precision, in training and in inference.

    Features, box deltas, scores and mask logits leave the layers that make them as float32 (here, and in `DenseRPNHead`
    and `DenseRoIHead`): MMCV's operators take nothing else, and coordinates in bfloat16 would be off by pixels.
    Weights and their gradients are float32 throughout. float16 trains with `LossScalingOptimWrapper` only.

    With `test_cfg.flips` mirror images are looked at too, and what they show is fused (see `flips`). What else
    `train_cfg` and `test_cfg` may hold is in `head_settings`; other keys are refused.

    Args:
        backbone: As for MMDetection's MaskRCNN; so the others up to `init_cfg`.
        rpn_head: RPN.
        roi_head: Box and mask branch.
        train_cfg: Assigners, samplers.
        test_cfg: Thresholds, limits.
        neck: FPN.
        data_preprocessor: Normalisation, padding.
        init_cfg: Weights to start from.
        precision: See `Precision`; what comes of it on the present device is `precision_name`.

    Raises:
        ValueError: There is no such precision, or `train_cfg` or `test_cfg` has a setting that nothing reads.
    """

    check_settings = staticmethod(check_head_settings)

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
        precision: Precision = "auto",
    ):
        check_head_settings({"train_cfg": train_cfg, "test_cfg": test_cfg})
        super().__init__(backbone, rpn_head, roi_head, train_cfg, test_cfg, neck, data_preprocessor, init_cfg)
        if precision not in get_args(Precision):
            raise ValueError(f"model.precision is {precision!r}: set it to one of {', '.join(get_args(Precision))}")
        self.precision = precision
        self._said = ""

    @property
    def precision_name(self) -> str:
        """What it computes in on the device where its weights are: `float32`, `bfloat16` or `float16`."""
        return precision_on(next(self.parameters()).device, self.precision)

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = "tensor"):
        """Losses, predictions or raw outputs of a batch (N, 3, H, W), as MMDetection's detectors."""
        name, device = self.precision_name, inputs.device.type
        if name not in ("float32", self._said):
            print_log(f"{name} on {device} (model.precision={self.precision})", "current", logging.INFO)
            self._said = name
        with torch.autocast(
            device, dtype=torch.float16 if name == "float16" else torch.bfloat16, enabled=name != "float32"
        ):
            return super().forward(inputs, data_samples, mode)

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """The data samples with what was found, as MMDetection's detectors; in mirror images too if they are wanted."""
        if not settings_of(DetectorTest, self.test_cfg).flips:
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
