"""RPN and RoI head for images with thousands of particles, and all settings of `model.train_cfg` and `model.test_cfg`.

Unlike MMDetection's, the heads warn where a limit is reached, bound the memory of both branches and return float32.
MMDetection takes `train_cfg` and `test_cfg` as plain dicts and asks for the keys it knows, so that a misspelt one would
do nothing; the dataclasses below name every key that is read, and others are refused.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import Tensor

from semsize.detecting.boxes import FLIPPED_DIMENSIONS, LIKELY_OBJECTNESS, limit_by_area, limit_message, mirrored_boxes
from tio2.typed_settings import check_arguments

BOX_ROIS_PER_CPU_BATCH = 512  # features of 10,000 boxes at once would take 0.7 GiB
MASK_ROIS_PER_CPU_BATCH = 32  # their 56 x 56 cells stay in the processor's cache
MASK_ROIS_PER_GPU_BATCH = 128  # 3000 RoIs at once would take 9.6 GB in 256 channels

Kind = TypeVar("Kind")


@MODELS.register_module()
class DenseRPNHead(RPNHead):
    """RPNHead that warns, when testing, where an image reaches `test_cfg.rpn.max_per_img` with likely proposals.

    Background always fills the limit; proposals that are more likely background than particle are no loss.
    """

    limit_reached = ""  # what was said of a limit that was reached; who asks empties it first

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, A, H, W) and deltas (N, 4 A, H, W) of a feature map, float32 whatever autocast makes."""
        scores, deltas = super().forward_single(x)
        return scores.float(), deltas.float()

    def _predict_by_feat_single(
        self, *args: Any, img_meta: dict[str, Any], cfg: ConfigDict, **kwargs: Any
    ) -> InstanceData:
        """Proposals of an image; in tests its limits go with the area of the network's input."""
        cfg = self.test_cfg if cfg is None else cfg
        return super()._predict_by_feat_single(
            *args, img_meta=img_meta, cfg=cfg if self.training else by_area(cfg, img_meta), **kwargs
        )

    def _bbox_post_process(
        self,
        results: InstanceData,
        cfg: ConfigDict,
        rescale: bool = False,
        with_nms: bool = True,
        img_meta: dict[str, Any] | None = None,
    ) -> InstanceData:
        results = results[results.scores >= settings_of(Proposals, cfg).min_score]
        kept = super()._bbox_post_process(results, cfg, rescale=rescale, with_nms=with_nms, img_meta=img_meta)
        if not self.training:
            likely = int((kept.scores >= LIKELY_OBJECTNESS).sum())
            said = warn_if_reached(likely, cfg.max_per_img, "rpn.max_per_img", img_meta or {})
            self.limit_reached = said or self.limit_reached
        return kept


@MODELS.register_module()
class DenseRoIHead(StandardRoIHead):
    """StandardRoIHead for a `DenseFCNMaskHead`: masks are a list even where the whole batch has no box.

    It warns where an image reaches `test_cfg.rcnn.max_per_img`, and runs the mask head on a few RoIs at a time.

    With `test_cfg.rcnn.refine_boxes` the box branch corrects the boxes that non-maximum suppression left once more, and
    masks are drawn in the result (iterative localization: Gidaris and Komodakis, ICCV 2015, section 5,
    arXiv 1505.01749); scores stay.
    """

    limit_reached = ""  # as that of `DenseRPNHead`

    def _bbox_forward(self, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        names = ("cls_score", "bbox_pred")
        if self.training or rois.device.type != "cpu":
            results = super()._bbox_forward(x, rois)
        else:  # without the features of the boxes, which only training reads
            batches = rois.chunk(max(1, math.ceil(len(rois) / BOX_ROIS_PER_CPU_BATCH)))
            parts = [super(DenseRoIHead, self)._bbox_forward(x, batch) for batch in batches]
            results = {name: torch.cat([part[name] for part in parts]) for name in names}
        return results | {name: results[name].float() for name in names}

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
        """Add `masks`, a list of N RLE dicts, to each image's results, as upstream's; boxes are refined if asked."""
        self.note_limit(batch_img_metas, results_list)
        return with_rles(self.predict_mask_in_views([("none", x)], batch_img_metas, results_list, rescale))

    def predict_mask_in_views(
        self,
        views: Sequence[tuple[str, tuple[Tensor, ...]]],
        batch_img_metas: list[dict[str, Any]],
        results_list: InstanceList,
        rescale: bool,
    ) -> InstanceList:
        """Add `masks`, `CroppedMasks`, to each image's results, from flip and feature maps of each view of the batch.

        Views are the batch and its mirror images. With `refine_boxes` each view corrects the boxes, and the mean over
        views is taken. The logits of the masks in these boxes are mirrored back and averaged.
        """
        shapes = [meta["img_shape"][:2] for meta in batch_img_metas]

        def mirrored(boxes: Sequence[Tensor], flip: str) -> list[Tensor]:
            return [mirrored_boxes(of_image, flip, shape) for of_image, shape in zip(boxes, shapes, strict=True)]

        boxes = [results.bboxes for results in results_list]
        if settings_of(RoITest, self.test_cfg).refine_boxes:
            refined = [mirrored(self.refined_boxes(x, mirrored(boxes, flip), shapes), flip) for flip, x in views]
            boxes = [torch.stack(of_image).mean(dim=0) for of_image in zip(*refined, strict=True)]
            for results, of_image in zip(results_list, boxes, strict=True):
                results.bboxes = of_image
        logits = sum(
            self.mask_logits(x, mirrored(boxes, flip)).flip(FLIPPED_DIMENSIONS[flip]) for flip, x in views
        ) / len(views)
        of_images = logits.split([len(results) for results in results_list])
        return self.mask_head.draw(of_images, results_list, batch_img_metas, self.test_cfg, rescale)

    def refined_boxes(
        self, x: tuple[Tensor, ...], boxes: Sequence[Tensor], frames: Sequence[tuple[int, int]]
    ) -> list[Tensor]:
        """Each image's (N, 4) boxes as the box branch corrects them, clipped to its frame (H, W).

        Boxes and frames are in pixels of the network's input.

        Raises:
            ValueError: The box branch has a correction for each class, and boxes here have no class.
        """
        if not (self.bbox_head.reg_class_agnostic or self.bbox_head.num_classes == 1):
            raise ValueError("test_cfg.rcnn.refine_boxes is for one class, or for a box head with reg_class_agnostic")
        deltas = self._bbox_forward(x, bbox2roi(boxes))["bbox_pred"].split([len(part) for part in boxes])
        decode = self.bbox_head.bbox_coder.decode
        return [
            decode(part, correction, max_shape=frame)
            for part, correction, frame in zip(boxes, deltas, frames, strict=True)
        ]

    def note_limit(self, batch_img_metas: Sequence[dict[str, Any]], results_list: InstanceList) -> None:
        """Say where the boxes of an image reach `test_cfg.rcnn.max_per_img`."""
        for results, image_meta in zip(results_list, batch_img_metas, strict=True):
            said = warn_if_reached(len(results), self.test_cfg.max_per_img, "rcnn.max_per_img", image_meta)
            self.limit_reached = said or self.limit_reached

    def mask_logits(self, x: tuple[Tensor, ...], boxes: Sequence[Tensor]) -> Tensor:
        """(total N, classes, S, S) logits of each image's (N, 4) boxes, which are in pixels of the network's input."""
        rois = bbox2roi(boxes)  # (total N, 5)
        batches = rois.split(MASK_ROIS_PER_CPU_BATCH if rois.device.type == "cpu" else MASK_ROIS_PER_GPU_BATCH)
        return torch.cat([self._mask_forward(x, batch)["mask_preds"] for batch in batches])


def with_rles(results_list: InstanceList) -> InstanceList:
    """The results with their `CroppedMasks` as lists of RLE dicts, in place: the form that MMDetection passes on."""
    for results in results_list:
        results.masks = results.masks.to_rles()
    return results_list


def by_area(limits: ConfigDict, image_meta: Mapping[str, Any]) -> ConfigDict:
    """`test_cfg.rpn` with its limits as they are for an image: what is given, for each megapixel of it, or for one."""
    shape = image_meta["img_shape"][:2]
    return ConfigDict(limits, **{name: limit_by_area(limits[name], shape) for name in ("nms_pre", "max_per_img")})


def warn_if_reached(count: int, limit: int, setting: str, image_meta: Mapping[str, Any]) -> str:
    """Say, and log as a warning that names the image, that `count` boxes reach a limit (none if below 1).

    Returns what was said without the image, nothing where the limit is not reached.
    """
    message = limit_message(count, limit, setting)
    if message:
        image = image_meta.get("img_path") or f"image {image_meta.get('img_id', 'without a name')}"
        print_log(f"{image}: {message}", logger="current", level=logging.WARNING)
    return message


@dataclass(frozen=True)
class Suppression:
    """`nms`: MMCV's `batched_nms`, and the operator that it names."""

    type: Literal["nms", "soft_nms"] = "nms"
    iou_threshold: float | None = None
    class_agnostic: bool = False
    split_thr: int | None = None
    max_num: int | None = None
    offset: int | None = None
    score_threshold: float | None = None  # nms
    sigma: float | None = None  # soft_nms, as the next two
    min_score: float | None = None
    method: Literal["naive", "linear", "gaussian"] | None = None


@dataclass(frozen=True)
class Proposals:
    """`test_cfg.rpn` and `train_cfg.rpn_proposal`; `min_score` is this package's.

    In tests `nms_pre` and `max_per_img` hold for each megapixel of the network's input, and for one at least.
    """

    nms_pre: int = -1
    max_per_img: int | None = None
    nms: Suppression | None = None
    min_bbox_size: float = -1
    min_score: float = 0.0  # objectness below which nothing is proposed: the number then goes with the particles


@dataclass(frozen=True)
class RPNTraining:
    """`train_cfg.rpn`."""

    assigner: Mapping | None = None
    sampler: Mapping | None = None
    allowed_border: int | None = None
    pos_weight: float | None = None
    debug: bool = False  # MMDetection's configs have it, nothing reads it


@dataclass(frozen=True)
class RoITraining:
    """`train_cfg.rcnn`."""

    assigner: Mapping | None = None
    sampler: Mapping | None = None
    mask_size: int | tuple[int, int] | None = None
    pos_weight: float | None = None
    soft_mask_target: bool = False
    debug: bool = False  # nothing reads it either


@dataclass(frozen=True)
class RoITest:
    """`test_cfg.rcnn`; `refine_boxes` and `mask_scores` are this package's."""

    score_thr: float | None = None
    nms: Suppression | None = None
    max_per_img: int | None = None
    mask_thr_binary: float | None = None
    refine_boxes: bool = False  # the box branch corrects the boxes that non-maximum suppression left once more
    mask_scores: bool = False  # each score is multiplied by the mean probability of its mask's pixels


@dataclass(frozen=True)
class DetectorTraining:
    """`train_cfg`."""

    rpn: RPNTraining | None = None
    rpn_proposal: Proposals | None = None
    rcnn: RoITraining | None = None


@dataclass(frozen=True)
class DetectorTest:
    """`test_cfg`; `flips` and `scales` are this package's.

    `flips` are the mirror images that are searched too. `scales` are the enlargements at which an image is looked at
    (`semsize.detecting.looking`), `auto` chooses them image by image; None leaves them to a Resize of the pipeline.
    """

    rpn: Proposals | None = None
    rcnn: RoITest | None = None
    flips: Sequence[Literal["horizontal", "vertical", "diagonal"]] | None = None
    scales: Literal["auto"] | Sequence[float] | None = None


def settings_of(kind: type[Kind], config: Mapping[str, Any]) -> Kind:
    """The settings that a config states, and the defaults of the others; SettingError if one is unknown."""
    names = {field.name for field in fields(kind)}
    if not names.issuperset(config):
        check_arguments(kind, config, "")
    return kind(**{name: value for name, value in config.items() if name in names})
