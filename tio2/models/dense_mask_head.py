"""The mask head whose results are RLE, at the cost of the particles' pixels instead of N full frames."""

from typing import Any

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from torch import Tensor

from tio2.models.mask_pasting import paste_probabilities, paste_rles


@MODELS.register_module()
class DenseFCNMaskHead(FCNMaskHead):
    """FCNMaskHead whose `masks` are a list of COCO RLE dicts of the original image, also where there is none.

    The masks are those of FCNMaskHead, or with `test_cfg.rcnn.mask_edge="extend"` unbiased in size also where a
    particle touches its box (see `mask_pasting`). With `test_cfg.rcnn.probability_crops=True` each image's results also
    carry, for those who resolve overlaps, `mask_probabilities`, a list of (h, w) float32 arrays of 0-1, and
    `mask_origins`, (N, 2) int64, the (row, column) of each one's first pixel. Boxes are brought to the original image
    as upstream does: the box branch leaves that to the mask head.

    `test_cfg.rcnn.outline_offset_px` (default 0) moves every outline, and its box, outwards by so many pixels of the
    image, for weights that learnt where edges are (rendered scenes) and are judged by outlines drawn around them.
    """

    def predict_by_feat(
        self,
        mask_preds: tuple[Tensor, ...],
        results_list: InstanceList,
        batch_img_metas: list[dict[str, Any]],
        rcnn_test_cfg: ConfigDict,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> InstanceList:
        """Add the masks to each image's results.

        Args:
            mask_preds: Per image (N, classes, S, S), one class where class-agnostic.
            results_list: Per image `bboxes` (N, 4) in pixels of the network's input, and `labels` (N,).
            batch_img_metas: Per image `ori_shape`, and `scale_factor` (w, h) where a step of the pipeline resized it.
            rcnn_test_cfg: `mask_thr_binary`; `mask_edge`, by default `fade`; `outline_offset_px`; `probability_crops`
                if they are wanted.
            rescale: Boxes and masks in the original image instead of the network's input.
            activate_map: `mask_preds` are probabilities already.

        Returns:
            `results_list`, changed in place.
        """
        edge = rcnn_test_cfg.get("mask_edge", "fade")
        for predictions, results, image_meta in zip(mask_preds, results_list, batch_img_metas, strict=True):
            logits = self._class_logits(predictions, results.labels)  # (N, S, S)
            if activate_map:
                logits = logits.logit()
            image_shape = _set_frame(results, image_meta, rescale)
            _move_outwards(results, rcnn_test_cfg.get("outline_offset_px", 0.0), image_shape)
            results.masks = paste_rles(logits, results.bboxes, image_shape, rcnn_test_cfg.mask_thr_binary, edge)
            if rcnn_test_cfg.get("probability_crops", False):
                crops, origins = paste_probabilities(logits, results.bboxes, image_shape, edge)
                results.mask_probabilities = crops
                results.mask_origins = origins
        return results_list

    def _class_logits(self, predictions: Tensor, labels: Tensor) -> Tensor:
        if predictions.shape[1] == 1:
            return predictions[:, 0]
        return predictions[torch.arange(len(predictions), device=predictions.device), labels]


def _set_frame(results: Any, image_meta: dict[str, Any], rescale: bool) -> tuple[int, int]:
    """Bring the boxes to the frame in which the masks are wanted, in place, and return its (H, W)."""
    height, width = image_meta["ori_shape"][:2]
    scale_w, scale_h = image_meta.get("scale_factor", (1.0, 1.0))  # no step of the pipeline has resized
    if rescale:
        results.bboxes /= results.bboxes.new_tensor([scale_w, scale_h, scale_w, scale_h])
        return height, width
    return round(height * scale_h), round(width * scale_w)


def _move_outwards(results: Any, offset_px: float, image_shape: tuple[int, int]) -> None:
    """Grow the boxes on every side, within the frame, in place: the masks are drawn into them."""
    if offset_px:
        height, width = image_shape
        results.bboxes += results.bboxes.new_tensor([-offset_px, -offset_px, offset_px, offset_px])
        results.bboxes[:, 0::2].clamp_(0, width)
        results.bboxes[:, 1::2].clamp_(0, height)
