"""RPN and RoI head for thousands of particles: limits are said, memory is bounded, masks are RLE, results float32."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from tio2.models.head_settings import RoITest, RoITraining, settings_of
from tio2.models.limits import warn_if_reached
from tio2.models.mask_pasting import enlarged_boxes

MASK_ROIS_PER_BATCH = 128
MASK_ROIS_PER_CPU_BATCH = 32
"""What they take stays in the cache."""

LIKELY_OBJECTNESS = 0.5


@MODELS.register_module()
class DenseRPNHead(RPNHead):
    """RPNHead that says, when testing, which image reaches `test_cfg.rpn.max_per_img` with likely proposals.

    Background always fills the limit: proposals that are more likely background than particle are no loss.
    """

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, A, H, W) and deltas (N, 4 A, H, W) of a feature map, float32 whatever autocast makes."""
        scores, deltas = super().forward_single(x)
        return scores.float(), deltas.float()

    def _bbox_post_process(
        self,
        results: InstanceData,
        cfg: ConfigDict,
        rescale: bool = False,
        with_nms: bool = True,
        img_meta: dict[str, Any] | None = None,
    ) -> InstanceData:
        kept = super()._bbox_post_process(results, cfg, rescale=rescale, with_nms=with_nms, img_meta=img_meta)
        if not self.training:
            likely = int((kept.scores >= LIKELY_OBJECTNESS).sum())
            warn_if_reached(likely, cfg.max_per_img, "rpn.max_per_img", img_meta or {})
        return kept


@MODELS.register_module()
class DenseRoIHead(StandardRoIHead):
    """StandardRoIHead for a `DenseFCNMaskHead`.

    It says which image reaches `test_cfg.rcnn.max_per_img`; runs the mask head on `test_cfg.rcnn.mask_rois_per_batch`
    RoIs at a time (default 128, on a CPU 32: 56 x 56 cells in 256 channels of 3000 RoIs would take 9.6 GB); and masks
    are a list even where the whole batch has no box.

    With `test_cfg.rcnn.refine_boxes=True` the box branch looks a second time, at the boxes that non-maximum suppression
    left, and masks are drawn in what it makes of them (iterative localization: Gidaris and Komodakis, ICCV 2015,
    section 5, arXiv 1505.01749); scores stay. With `train_cfg.rcnn.refine_boxes=True` the mask branch learns in boxes
    as good: the positive proposals as the box branch corrects them, instead of as the RPN proposes them. Both are off
    by default; docs/notebook/ablations.md has the effect.
    """

    def _bbox_forward(self, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        results = super()._bbox_forward(x, rois)
        return results | {name: results[name].float() for name in ("cls_score", "bbox_pred")}

    def _mask_forward(
        self, x: tuple[Tensor, ...], rois: Tensor = None, pos_inds: Tensor = None, bbox_feats: Tensor = None
    ) -> dict[str, Tensor]:
        results = super()._mask_forward(x, rois, pos_inds, bbox_feats)
        return results | {"mask_preds": results["mask_preds"].float()}

    def predict_mask(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict[str, Any]],
        results_list: InstanceList,
        rescale: bool = False,
    ) -> InstanceList:
        """Add masks to each image's results.

        Args:
            x: Feature maps, each (images, C, H, W).
            batch_img_metas: As for `DenseFCNMaskHead.predict_by_feat`, and `img_path`.
            results_list: Per image `bboxes` (N, 4) in pixels of the network's input, `scores` and `labels` (N,).
            rescale: Boxes and masks in the original image instead of the network's input.

        Returns:
            `results_list`, with `masks` a list of N RLE dicts.
        """
        if settings_of(RoITest, self.test_cfg).refine_boxes:
            frames = [meta["img_shape"] for meta in batch_img_metas]
            boxes = self.refined_boxes(x, [results.bboxes for results in results_list], frames)
            for results, refined in zip(results_list, boxes, strict=True):
                results.bboxes = refined
        return self.paste_masks(self.mask_logits(x, results_list), batch_img_metas, results_list, rescale)

    def mask_loss(
        self,
        x: tuple[Tensor, ...],
        sampling_results: list[SamplingResult],
        bbox_feats: Tensor,
        batch_gt_instances: InstanceList,
    ) -> dict[str, Any]:
        """Upstream's; with `train_cfg.refine_boxes` the positive boxes are changed first, in place."""
        if settings_of(RoITraining, self.train_cfg).refine_boxes:
            with torch.no_grad():  # the box branch learns by its own loss, which was taken before
                boxes = self.refined_boxes(x, [result.pos_priors for result in sampling_results])
            for result, refined in zip(sampling_results, boxes, strict=True):
                result.pos_priors = refined
        return super().mask_loss(x, sampling_results, bbox_feats, batch_gt_instances)

    def refined_boxes(
        self, x: tuple[Tensor, ...], boxes: Sequence[Tensor], frames: Sequence[tuple[int, int] | None] | None = None
    ) -> list[Tensor]:
        """Each image's (N, 4) boxes as the box branch corrects them; in its frame (H, W) where one is given.

        Boxes and frames are in pixels of the network's input.

        Raises:
            ValueError: The box branch has a correction for each class; boxes here do not say of which they are.
        """
        if not (self.bbox_head.reg_class_agnostic or self.bbox_head.num_classes == 1):
            raise ValueError("test_cfg.rcnn.refine_boxes is for one class, or for a box head with reg_class_agnostic")
        deltas = self._bbox_forward(x, bbox2roi(boxes))["bbox_pred"].split([len(each) for each in boxes])
        decode = self.bbox_head.bbox_coder.decode
        return [
            decode(each, correction, max_shape=frame)
            for each, correction, frame in zip(boxes, deltas, frames or [None] * len(boxes), strict=True)
        ]

    def mask_logits(self, x: tuple[Tensor, ...], results_list: InstanceList) -> Tensor:
        """(total N, classes, S, S) logits of all images' boxes, which are in pixels of the network's input."""
        settings = settings_of(RoITest, self.test_cfg)
        rois = bbox2roi(
            [enlarged_boxes(results.bboxes, settings.mask_box_scale) for results in results_list]
        )  # (total N, 5)
        usual = MASK_ROIS_PER_CPU_BATCH if rois.device.type == "cpu" else MASK_ROIS_PER_BATCH
        batches = rois.split(settings.mask_rois_per_batch or usual)
        return torch.cat([self._mask_forward(x, batch)["mask_preds"] for batch in batches])

    def paste_masks(
        self, logits: Tensor, batch_img_metas: list[dict[str, Any]], results_list: InstanceList, rescale: bool
    ) -> InstanceList:
        """What `predict_mask` returns, from the logits of `mask_logits`."""
        for results, image_meta in zip(results_list, batch_img_metas, strict=True):
            warn_if_reached(len(results), self.test_cfg.max_per_img, "rcnn.max_per_img", image_meta)
        return self.mask_head.predict_by_feat(
            mask_preds=logits.split([len(results) for results in results_list]),
            results_list=results_list,
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=self.test_cfg,
            rescale=rescale,
        )
