"""The mask head whose results are RLE, at the cost of the particles' pixels instead of N full frames."""

from typing import Any

import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from torch import Tensor

from semsize.structures.rle import encode_crops
from tio2.models.head_settings import RoITest, settings_of
from tio2.models.mask_pasting import PastedMasks, enlarged_boxes, paste_masks, paste_probabilities
from tio2.models.overlaps import disjoint_crops


@MODELS.register_module()
class DenseFCNMaskHead(FCNMaskHead):
    """FCNMaskHead whose `masks` are a list of COCO RLE dicts of the original image, also where there is none.

    The masks are those of FCNMaskHead, or with `test_cfg.rcnn.mask_edge="extend"` unbiased in size also where a
    particle touches its box (see `mask_pasting`). With `test_cfg.rcnn.probability_crops=True` each image's results also
    carry, for those who resolve overlaps, `mask_probabilities`, a list of (h, w) float32 arrays of 0-1, and
    `mask_origins`, (N, 2) int64, the (row, column) of each one's first pixel. Boxes are brought to the original image
    as upstream does: the box branch leaves that to the mask head.

    More settings of `test_cfg.rcnn` (`head_settings.RoITest`; docs/notebook/dense.md has their effect):
    `resolve_overlaps`, see `overlaps`; `mask_box_scale`, so that a box that is too small cuts no mask;
    `mask_scores`, so that an unsure outline ranks below a sure one (maskness: Wang et al., SOLO, ECCV 2020,
    section 3.3, https://arxiv.org/abs/1912.04488), which leaves out what falls below `score_thr`.
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
            rcnn_test_cfg: `mask_thr_binary`, and if they are wanted others of `RoITest`.
            rescale: Boxes and masks in the original image instead of the network's input.
            activate_map: `mask_preds` are probabilities already.

        Returns:
            `results_list`, changed in place; with `mask_scores` its items are new.
        """
        settings = settings_of(RoITest, rcnn_test_cfg)
        edge, threshold = settings.mask_edge, settings.mask_thr_binary
        for number, (predictions, image_meta) in enumerate(zip(mask_preds, batch_img_metas, strict=True)):
            results = results_list[number]
            logits = self._class_logits(predictions, results.labels)  # (N, S, S)
            if activate_map:
                logits = logits.logit()
            image_shape = _set_frame(results, image_meta, rescale)
            boxes = enlarged_boxes(results.bboxes, settings.mask_box_scale)
            if settings.resolve_overlaps:
                pasted = _disjoint_masks(logits, boxes, results.scores, image_shape, threshold, edge)
            else:
                pasted = paste_masks(logits, boxes, image_shape, threshold, edge)
            results.masks = pasted.rles
            if settings.probability_crops:
                crops, origins = paste_probabilities(logits, boxes, image_shape, edge)
                results.mask_probabilities = crops
                results.mask_origins = origins
            if settings.mask_scores:
                results_list[number] = _scored_by_masks(results, pasted.certainties, settings.score_thr)
        return results_list

    def _class_logits(self, predictions: Tensor, labels: Tensor) -> Tensor:
        if predictions.shape[1] == 1:
            return predictions[:, 0]
        return predictions[torch.arange(len(predictions), device=predictions.device), labels]


def _disjoint_masks(
    logits: Tensor, boxes: Tensor, scores: Tensor, image_shape: tuple[int, int], threshold: float, edge: str
) -> PastedMasks:
    """`paste_masks`, each pixel in one mask at most."""
    crops = paste_probabilities(logits, boxes, image_shape, edge)
    kept = disjoint_crops(crops, scores.cpu().numpy(), threshold, image_shape)
    sure = [crop[inside].mean() if inside.any() else 0 for crop, inside in zip(crops.crops, kept, strict=True)]
    return PastedMasks(encode_crops(kept, crops.origins, image_shape), np.array(sure, np.float32))


def _scored_by_masks(results: Any, certainties: np.ndarray, score_thr: float) -> Any:
    """Results with scores times their masks' certainties (N,): best first, those that reach the threshold."""
    results.scores = results.scores * torch.from_numpy(certainties).to(results.scores)
    order = results.scores.argsort(descending=True, stable=True)
    return results[order[results.scores[order] >= score_thr]]


def _set_frame(results: Any, image_meta: dict[str, Any], rescale: bool) -> tuple[int, int]:
    """Bring the boxes to the frame in which the masks are wanted, in place, and return its (H, W)."""
    height, width = image_meta["ori_shape"][:2]
    scale_w, scale_h = image_meta.get("scale_factor", (1.0, 1.0))  # no step of the pipeline has resized
    if rescale:
        results.bboxes /= results.bboxes.new_tensor([scale_w, scale_h, scale_w, scale_h])
        return height, width
    return round(height * scale_h), round(width * scale_w)
