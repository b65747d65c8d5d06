"""Test-time flips: an image and its mirror images are looked at, and what they show is told as one.

Legend: V views, N images of a batch, M boxes of a view, K fused boxes.
"""

from collections.abc import Sequence

import torch
from mmcv.ops import nms
from mmdet.models.detectors import MaskRCNN
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from tio2.models.dense_heads import DenseRoIHead
from tio2.models.head_settings import RoITest, settings_of

DIMENSIONS = {"none": (), "horizontal": (-1,), "vertical": (-2,), "diagonal": (-2, -1)}
"""Flip, as mmdet names them, to the dimensions of (…, H, W) that are turned round."""


def mirrored_boxes(boxes: Tensor, flip: str, image_shape: tuple[int, int]) -> Tensor:
    """(M, 4) boxes xyxy in the mirror image of an image of (H, W) pixels; mirrored twice they are the boxes again."""
    (height, width), (x1, y1, x2, y2) = image_shape, boxes.unbind(dim=1)
    if -1 in DIMENSIONS[flip]:
        x1, x2 = width - x2, width - x1
    if -2 in DIMENSIONS[flip]:
        y1, y2 = height - y2, height - y1
    return torch.stack([x1, y1, x2, y2], dim=1)


def mirrored_inputs(inputs: Tensor, flip: str, image_shapes: Sequence[tuple[int, int]]) -> Tensor:
    """Mirror the images of a batch (N, 3, H, W), each within its own (H, W); what pads it right and below stays."""
    mirrored = inputs.clone()
    for number, (height, width) in enumerate(image_shapes):
        mirrored[number, :, :height, :width] = inputs[number, :, :height, :width].flip(DIMENSIONS[flip])
    return mirrored


def fuse_views(boxes: Sequence[Tensor], scores: Sequence[Tensor], iou_threshold: float) -> tuple[Tensor, Tensor]:
    """What V views of an image show, told as one (weighted box fusion: Solovyev et al., 2021, arXiv 1910.13302).

    Of all views' boxes those that non-maximum suppression leaves are the particles; every box belongs to the particle
    with which it has the largest IoU, if that reaches the threshold. A particle's box is the mean of its boxes weighted
    by their scores, its score the mean over views of the best score there, 0 where a view shows nothing.

    Args:
        boxes: Of each view (M, 4) xyxy, in one frame.
        scores: Of each view (M,), 0 to 1.
        iou_threshold: From which two boxes are one particle's.

    Returns:
        (K, 4) boxes and (K,) scores, in the order of the best single score.
    """
    together, of_all = torch.cat(list(boxes)), torch.cat(list(scores))
    particles = together[nms(together, of_all, iou_threshold)[1]]  # (K, 4)
    if not len(particles):
        return particles, of_all
    best = of_all.new_zeros(len(boxes), len(particles))
    weighted, weights = torch.zeros_like(particles), of_all.new_zeros(len(particles))
    for view, (there, score) in enumerate(zip(boxes, scores, strict=True)):
        overlap, particle = bbox_overlaps(there, particles).max(dim=1)  # (M,) each
        same = overlap >= iou_threshold
        particle, score = particle[same], score[same]
        best[view].scatter_reduce_(0, particle, score, "amax")
        weighted.index_add_(0, particle, there[same] * score[:, None])
        weights.index_add_(0, particle, score)
    return weighted / weights[:, None], best.mean(dim=0)


def predict_flipped(detector: MaskRCNN, inputs: Tensor, samples: SampleList, rescale: bool) -> InstanceList:
    """Results of a batch from its images and their mirror images, those of `detector.test_cfg.flips`.

    Boxes are fused by `fuse_views`. With `test_cfg.rcnn.refine_boxes` the box branch then looks at the fused boxes in
    each view, and the mean of what it makes of them is taken. The mask branch looks at these in each view; its logits
    are mirrored back and averaged. The feature maps of all views are held until then.

    Args:
        detector: One with a `DenseRoIHead`.
        inputs: (N, 3, H, W), normalised and padded.
        samples: N, with `img_shape` and what the heads need.
        rescale: Boxes and masks in the original image instead of the network's input.

    Returns:
        Per image the results of `DenseRoIHead.predict`.
    """
    head, metas = detector.roi_head, [sample.metainfo for sample in samples]
    shapes = [meta["img_shape"][:2] for meta in metas]
    views: list[tuple[str, tuple[Tensor, ...]]] = []
    seen: list[InstanceList] = []
    for flip in ("none", *detector.test_cfg.flips):
        features = detector.extract_feat(mirrored_inputs(inputs, flip, shapes))
        proposals = detector.rpn_head.predict(features, samples, rescale=False)
        found = head.predict_bbox(features, metas, proposals, head.test_cfg)
        views.append((flip, features))
        seen.append(_mirrored(found, flip, shapes))
    fused = [_fused([of_view[number] for of_view in seen], head.test_cfg) for number in range(len(samples))]
    if settings_of(RoITest, head.test_cfg).refine_boxes:
        _refine(fused, head, views, shapes)
    logits = sum(
        head.mask_logits(features, _mirrored(fused, flip, shapes)).flip(DIMENSIONS[flip]) for flip, features in views
    )
    return head.paste_masks(logits / len(views), metas, fused, rescale)


def _refine(
    fused: InstanceList,
    head: DenseRoIHead,
    views: Sequence[tuple[str, tuple[Tensor, ...]]],
    shapes: Sequence[tuple[int, int]],
) -> None:
    """Put in the place of each image's boxes the mean over views of what `DenseRoIHead.refined_boxes` makes of them."""
    refined = []
    for flip, features in views:
        boxes = head.refined_boxes(features, [each.bboxes for each in _mirrored(fused, flip, shapes)], shapes)
        refined.append([mirrored_boxes(each, flip, shape) for each, shape in zip(boxes, shapes, strict=True)])
    for number, results in enumerate(fused):
        results.bboxes = torch.stack([of_view[number] for of_view in refined]).mean(dim=0)


def _mirrored(results: InstanceList, flip: str, shapes: Sequence[tuple[int, int]]) -> InstanceList:
    return [
        InstanceData(bboxes=mirrored_boxes(each.bboxes, flip, shape), scores=each.scores)
        for each, shape in zip(results, shapes, strict=True)
    ]


def _fused(views: Sequence[InstanceData], cfg: ConfigDict) -> InstanceData:
    """One image's results: those that reach `score_thr`, the best `max_per_img`, best first."""
    boxes, scores = fuse_views([view.bboxes for view in views], [view.scores for view in views], cfg.nms.iou_threshold)
    best = scores.argsort(descending=True, stable=True)[: cfg.max_per_img]
    best = best[scores[best] >= cfg.score_thr]
    return InstanceData(bboxes=boxes[best], scores=scores[best], labels=torch.zeros_like(best))
