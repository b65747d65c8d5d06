"""The detector: its numeric precision, and the fusion of an image with its mirror images in tests.

Legend: V views (the image and its mirror images), N images of a batch.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from mmcv.ops import nms
from mmdet.models.detectors import MaskRCNN
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample, SampleList
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import Tensor

from semsize.detecting.boxes import FLIPPED_DIMENSIONS, fuse_views, mirrored_boxes
from semsize.detecting.engine import ALL_SIZES, DrawnSizes
from semsize.detecting.looking import Found, Looking, enlarged, look
from semsize.structures.masks import CroppedMasks
from tio2.models.cpu.roi_align import DenseRoIExtractor
from tio2.models.heads import DetectorTest, DetectorTraining, RoITest, settings_of, with_rles
from tio2.models.mask_head import paste_masks
from tio2.typed_settings import check_arguments

Precision = Literal["auto", "mixed", "float32", "bfloat16", "float16"]
"""Values of `model.precision`. `auto`: bfloat16 if the device computes it fast, else float32. `mixed` (--amp): as
`auto`, but float16 instead of float32 on a GPU."""


def check_head_settings(model: Mapping[str, Any], place: str = "model") -> None:
    """Raise a SettingError if a setting of `train_cfg` or `test_cfg` is unknown or has the wrong type.

    Settings of samplers are checked too, because MMDetection's samplers ignore unknown ones.
    """
    for name, schema in (("train_cfg", DetectorTraining), ("test_cfg", DetectorTest)):
        settings = model.get(name) or {}
        check_arguments(schema, settings, f"{place}.{name}")
        for part in ("rpn", "rcnn"):
            sampler = (settings.get(part) or {}).get("sampler")
            kind = TASK_UTILS.get(sampler["type"]) if sampler else None
            if kind is not None:
                check_arguments(kind, sampler, f"{place}.{name}.{part}.sampler", {"rng": Any, "context": Any})


@MODELS.register_module()
class DenseMaskRCNN(MaskRCNN):
    """MaskRCNN whose convolutions and matrix products run in one precision, in training and in inference.

    Features, box deltas, scores and mask logits are cast to float32 (here, and in `DenseRPNHead` and `DenseRoIHead`):
    MMCV's operators take nothing else, and coordinates in bfloat16 would be off by pixels. Weights and their gradients
    are always float32. Training in float16 needs `LossScalingOptimWrapper`.

    The detector also searches the mirror images that `test_cfg.flips` names, and fuses the results (`predict_views`).
    `tio2.models.heads` declares the keys of `train_cfg` and `test_cfg`. Arguments are MaskRCNN's, and:

    Args:
        precision: See `Precision`; `precision_name` says which type it means on the model's device.

    Raises:
        ValueError: `precision` is unknown, or a setting of `train_cfg` or `test_cfg` is unknown or has the wrong type.
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
        self._logged_precision = "float32"

    @property
    def precision_name(self) -> str:
        """Type in which the model computes on the device of its weights: `float32`, `bfloat16` or `float16`."""
        return precision_on(next(self.parameters()).device, self.precision)

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = "tensor"):
        """Return losses, predictions or raw outputs of a batch (N, 3, H, W), as MMDetection's detectors do."""
        with self._in_precision(inputs.device.type):
            return super().forward(inputs, data_samples, mode)

    def _in_precision(self, device: str) -> torch.autocast:
        """Return a context in which the network computes in its precision; log it once if it is not float32."""
        name = self.precision_name
        if name not in ("float32", self._logged_precision):
            print_log(f"{name} on {device} (model.precision={self.precision})", "current", logging.INFO)
            self._logged_precision = name
        return computing_in(name, device)

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """Add predictions to the samples, as MMDetection's detectors do; at `test_cfg.scales` if they are set."""
        if settings_of(DetectorTest, self.test_cfg).scales is None:
            return self._predict_view(batch_inputs, batch_data_samples, rescale)
        for inputs, sample in zip(batch_inputs, batch_data_samples, strict=True):
            height, width = sample.img_shape[:2]
            mean, std = (getattr(self.data_preprocessor, name)[0] for name in ("mean", "std"))  # back to grey levels
            found = look((inputs[0, :height, :width].float() * std + mean).cpu().numpy(), self.find, self.looking)
            masks, boxes = found.masks.to_rles(), torch.from_numpy(found.boxes).to(inputs)
            scores = torch.from_numpy(found.scores).to(inputs)
            labels = torch.zeros(len(masks), dtype=torch.long, device=inputs.device)
            sample.pred_instances = InstanceData(bboxes=boxes, scores=scores, labels=labels, masks=masks)
        return batch_data_samples

    @property
    def looking(self) -> Looking:
        """The scales of `test_cfg.scales`, without a diameter or tiles."""
        scales = settings_of(DetectorTest, self.test_cfg).scales
        return Looking(None if scales in ("auto", None) else tuple(scales))

    def find(self, windows: Sequence[np.ndarray], scale: float, sizes: DrawnSizes = ALL_SIZES) -> list[Found]:
        """Find the particles of windows of one size, (H, W) float32 grey levels of 0-255, enlarged by `scale`."""
        batch = self._batch_of(windows, scale)
        self.rpn_head.limit_reached = self.roi_head.limit_reached = ""
        with torch.inference_mode(), self._in_precision(batch["inputs"].device.type):
            results, undrawn = predict_views(self, batch["inputs"], batch["data_samples"], True, sizes)
        limits = "; ".join(filter(None, (self.rpn_head.limit_reached, self.roi_head.limit_reached)))
        return [
            Found(
                found.masks,
                found.scores.cpu().numpy(),
                found.bboxes.cpu().numpy(),
                limits,
                *of_other_sizes,
            )
            for found, of_other_sizes in zip(results, undrawn, strict=True)
        ]

    def draw(self, window: np.ndarray, boxes: np.ndarray, scale: float) -> CroppedMasks:
        """Return the masks of any given boxes of a window (`semsize.detecting.looking.MaskBranch`)."""
        batch = self._batch_of([window], scale)
        (sample,), inputs = batch["data_samples"], batch["inputs"]
        drawn = torch.from_numpy(boxes).to(inputs)
        with torch.inference_mode(), self._in_precision(inputs.device.type):
            boxes_in_input = drawn * drawn.new_tensor(sample.scale_factor * 2)
            logits = self.roi_head.mask_logits(self.extract_feat(inputs), [boxes_in_input])[:, 0]
        threshold = settings_of(RoITest, self.roi_head.test_cfg).mask_thr_binary
        return paste_masks(logits, drawn, window.shape, threshold)[0]

    def _batch_of(self, windows: Sequence[np.ndarray], scale: float) -> dict:
        """Return preprocessed inputs of windows of one size, and samples with the factors of their enlargement."""
        images, samples = [], []
        for window in windows:
            grey = enlarged(window, scale)
            factors = tuple(after / before for after, before in zip(grey.shape[::-1], window.shape[::-1], strict=True))
            shapes = {"img_shape": grey.shape, "ori_shape": window.shape, "scale_factor": factors}
            samples.append(DetDataSample(metainfo=shapes | {"img_path": f"a window of {window.shape} px"}))
            images.append(torch.from_numpy(np.ascontiguousarray(grey, np.float32)).expand(3, -1, -1))
        return self.data_preprocessor({"inputs": images, "data_samples": samples})

    def _predict_view(self, inputs: Tensor, samples: SampleList, rescale: bool = True) -> SampleList:
        """Do what `predict` does, at the scale of the inputs, fused with the mirror images of `test_cfg.flips`."""
        return self.add_pred_to_datasample(samples, with_rles(predict_views(self, inputs, samples, rescale)[0]))

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Return feature maps (N, C, H/stride, W/stride), float32.

        Convolutions run in channels-last layout, in which a CPU is fastest. MMCV's RoIAlign ignores memory layout, so
        the maps become contiguous again unless `DenseRoIExtractor` takes them on a CPU.
        """
        batch_inputs = batch_inputs.contiguous(memory_format=torch.channels_last)
        extractors = self.roi_head.bbox_roi_extractor, self.roi_head.mask_roi_extractor
        any_layout = all(isinstance(extractor, DenseRoIExtractor) for extractor in extractors)
        layout = torch.preserve_format if any_layout and batch_inputs.device.type == "cpu" else torch.contiguous_format
        return tuple(level.to(torch.float32, memory_format=layout) for level in super().extract_feat(batch_inputs))


def computing_in(precision_name: str, device: str) -> torch.autocast:
    """Return a context in which torch computes in `float32`, `bfloat16` or `float16`."""
    dtype = torch.float16 if precision_name == "float16" else torch.bfloat16
    return torch.autocast(device, dtype=dtype, enabled=precision_name != "float32")


def precision_on(device: torch.device, wanted: Precision) -> str:
    """Return the type in which a model computes on a device: `float32`, `bfloat16` or `float16`."""
    if wanted not in ("auto", "mixed"):
        return wanted
    if bfloat16_is_fast(device):
        return "bfloat16"
    return "float16" if wanted == "mixed" and device.type == "cuda" else "float32"


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the device has instructions for products in bfloat16; without them float32 is faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def precision_of(model: ConfigDict, device: str | torch.device) -> str:
    """Return the type in which a config's model computes on a device: float32 unless it is a DenseMaskRCNN."""
    if model.type != DenseMaskRCNN.__name__:
        return "float32"
    return precision_on(torch.device(device), model.get("precision", "auto"))


def predict_views(
    detector: MaskRCNN, inputs: Tensor, samples: SampleList, rescale: bool, sizes: DrawnSizes = ALL_SIZES
) -> tuple[InstanceList, list[tuple[np.ndarray, np.ndarray]]]:
    """Detect the particles of a batch in its images and in the mirror images of `detector.test_cfg.flips`.

    `fuse_views` fuses the boxes of all views, and masks are drawn in all views (`DenseRoIHead.predict_mask_in_views`).
    The feature maps of all views stay in memory until then.

    Arguments are those of `MaskRCNN.predict`, inputs (N, 3, H, W), normalised and padded, and N samples, and the sizes
    for which masks are drawn. Returns the results of `predict_mask_in_views` for boxes of these sizes, and for each
    image the other boxes, (M, 4) in the original image, with their scores (M,).
    """
    head, metas = detector.roi_head, [sample.metainfo for sample in samples]
    shapes = [meta["img_shape"][:2] for meta in metas]
    views: list[tuple[str, tuple[Tensor, ...]]] = []  # flip, feature maps
    detections: list[InstanceList] = []
    for flip in ("none", *(settings_of(DetectorTest, detector.test_cfg).flips or ())):
        features = detector.extract_feat(mirrored_inputs(inputs, flip, shapes))
        proposals = detector.rpn_head.predict(features, samples, rescale=False)
        found = head.predict_bbox(features, metas, proposals, head.test_cfg)
        views.append((flip, features))
        detections.append(_mirrored(found, flip, shapes))
    fused = [_fused(of_image, head.test_cfg) for of_image in zip(*detections, strict=True)]
    head.note_limit(metas, fused)
    undrawn = []
    for number, (results, meta) in enumerate(zip(fused, metas, strict=True)):
        found = (each.cpu().numpy() for each in (results.bboxes, results.scores))
        is_drawn, *others = sizes.split(*found, meta.get("scale_factor", (1.0, 1.0)))
        undrawn.append(tuple(others))
        fused[number] = results[torch.from_numpy(is_drawn).to(results.bboxes.device)]
    return head.predict_mask_in_views(views, metas, fused, rescale), undrawn


def suppression(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Apply MMCV's non-maximum suppression (`semsize.detecting.boxes.Suppression`)."""
    return nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou_threshold)[1].numpy()


def mirrored_inputs(inputs: Tensor, flip: str, image_shapes: Sequence[tuple[int, int]]) -> Tensor:
    """Mirror the images of a batch (N, 3, H, W), each within its own (H, W); the padding stays right and below."""
    mirrored = inputs.clone()
    for number, (height, width) in enumerate(image_shapes):
        mirrored[number, :, :height, :width] = inputs[number, :, :height, :width].flip(FLIPPED_DIMENSIONS[flip])
    return mirrored


def _mirrored(results: InstanceList, flip: str, shapes: Sequence[tuple[int, int]]) -> InstanceList:
    if flip == "none":
        return results
    return [
        InstanceData(bboxes=mirrored_boxes(found.bboxes, flip, shape), scores=found.scores)
        for found, shape in zip(results, shapes, strict=True)
    ]


def _fused(views: Sequence[InstanceData], cfg: ConfigDict) -> InstanceData:
    """Fuse the views of an image; keep scores from `score_thr` on, at most `max_per_img` if above 0, best first."""
    if len(views) == 1:
        return views[0]
    boxes, scores = (
        torch.from_numpy(fused).to(views[0].bboxes)
        for fused in fuse_views(
            [view.bboxes.cpu().numpy() for view in views],
            [view.scores.cpu().numpy() for view in views],
            cfg.nms.iou_threshold,
            suppression,
        )
    )
    best = scores.argsort(descending=True, stable=True)[: cfg.max_per_img if cfg.max_per_img > 0 else None]
    best = best[scores[best] >= cfg.score_thr]
    return InstanceData(bboxes=boxes[best], scores=scores[best], labels=torch.zeros_like(best))
