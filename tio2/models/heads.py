"""RPN and RoI head for images with thousands of particles, and all settings of `model.train_cfg` and `model.test_cfg`.

Unlike MMDetection's, the heads warn when a limit is reached, bound the memory of both branches and return float32.
MMDetection reads from `train_cfg` and `test_cfg` only the keys that it knows, so that a misspelt key would do nothing.
The dataclasses below declare every key that is read; other keys are refused.
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
    """RPNHead that warns in tests when the likely proposals of an image reach `test_cfg.rpn.max_per_img`.

    Background always fills the limit, so the warning counts only proposals more likely to be particle than background.
    """

    limit_reached = ""  # the last warning of a reached limit; a caller that reads it empties it before the prediction

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (N, A, H, W) and deltas (N, 4 A, H, W) of a feature map, as float32 even under autocast."""
        scores, deltas = super().forward_single(x)
        return scores.float(), deltas.float()

    def _predict_by_feat_single(
        self, *args: Any, img_meta: dict[str, Any], cfg: ConfigDict, **kwargs: Any
    ) -> InstanceData:
        """Return the proposals of an image; in tests their limits grow with the area of the network's input."""
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
    """StandardRoIHead for a `DenseFCNMaskHead`: masks are a list even if no image of the batch has a box.

    It warns when an image reaches `test_cfg.rcnn.max_per_img`, and runs the mask head on a few RoIs at a time.

    With `test_cfg.rcnn.refine_boxes` the box branch corrects boxes a second time after non-maximum suppression, and
    masks are drawn in the corrected boxes (iterative localization: Gidaris and Komodakis, ICCV 2015, section 5,
    arXiv 1505.01749); scores stay.
    """

    limit_reached = ""  # as in `DenseRPNHead`

    def _bbox_forward(self, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        names = ("cls_score", "bbox_pred")
        if self.training or rois.device.type != "cpu":
            results = super()._bbox_forward(x, rois)
        else:  # drops the features of the boxes, which only training reads
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
        """Add `masks`, a list of N RLE dicts, to each image's results; with `refine_boxes` the boxes change too."""
        self.note_limit(batch_img_metas, results_list)
        return with_rles(self.predict_mask_in_views([("none", x)], batch_img_metas, results_list, rescale))

    def predict_mask_in_views(
        self,
        views: Sequence[tuple[str, tuple[Tensor, ...]]],
        batch_img_metas: list[dict[str, Any]],
        results_list: InstanceList,
        rescale: bool,
    ) -> InstanceList:
        """Add `masks`, `CroppedMasks`, to each image's results, averaged over views of the batch.

        A view is the flip and the feature maps of the batch or of a mirror image of it. With `refine_boxes` each view
        corrects the boxes, and their mean over views is used. Mask logits are mirrored back and averaged.
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
        """Return each image's boxes (N, 4) corrected by the box branch and clipped to the image's frame (H, W).

        Boxes and frames are in pixels of the network's input.

        Raises:
            ValueError: The box branch corrects boxes for each of several classes, but these boxes have no class.
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
        """Warn about each image whose boxes reach `test_cfg.rcnn.max_per_img`."""
        for results, image_meta in zip(results_list, batch_img_metas, strict=True):
            said = warn_if_reached(len(results), self.test_cfg.max_per_img, "rcnn.max_per_img", image_meta)
            self.limit_reached = said or self.limit_reached

    def mask_logits(self, x: tuple[Tensor, ...], boxes: Sequence[Tensor]) -> Tensor:
        """Return mask logits (total N, classes, S, S) of each image's boxes (N, 4) in pixels of the network's input."""
        rois = bbox2roi(boxes)  # (total N, 5)
        batches = rois.split(MASK_ROIS_PER_CPU_BATCH if rois.device.type == "cpu" else MASK_ROIS_PER_GPU_BATCH)
        return torch.cat([self._mask_forward(x, batch)["mask_preds"] for batch in batches])


def with_rles(results_list: InstanceList) -> InstanceList:
    """Turn the `CroppedMasks` of results, in place, into the lists of RLE dicts that MMDetection passes on."""
    for results in results_list:
        results.masks = results.masks.to_rles()
    return results_list


def by_area(limits: ConfigDict, image_meta: Mapping[str, Any]) -> ConfigDict:
    """Return `test_cfg.rpn` with its limits multiplied by the megapixels of the network's input, at least by 1."""
    shape = image_meta["img_shape"][:2]
    return ConfigDict(limits, **{name: limit_by_area(limits[name], shape) for name in ("nms_pre", "max_per_img")})


def warn_if_reached(count: int, limit: int, setting: str, image_meta: Mapping[str, Any]) -> str:
    """Log a warning that names the image if `count` boxes reach a limit (no limit if below 1).

    Returns the warning without the image, or an empty string.
    """
    message = limit_message(count, limit, setting)
    if message:
        image = image_meta.get("img_path") or f"image {image_meta.get('img_id', 'without a name')}"
        print_log(f"{image}: {message}", logger="current", level=logging.WARNING)
    return message


@dataclass(frozen=True)
class Suppression:
    """`nms`: arguments of MMCV's `batched_nms`, and of the operator that `type` names."""

    type: Literal["nms", "soft_nms"] = "nms"
    iou_threshold: float | None = None
    class_agnostic: bool = False
    split_thr: int | None = None
    max_num: int | None = None
    offset: int | None = None
    score_threshold: float | None = None  # for `nms` only
    sigma: float | None = None  # for `soft_nms` only, like `min_score` and `method`
    min_score: float | None = None
    method: Literal["naive", "linear", "gaussian"] | None = None


@dataclass(frozen=True)
class Proposals:
    """`test_cfg.rpn` and `train_cfg.rpn_proposal`; `min_score` is this package's.

    In tests `nms_pre` and `max_per_img` are limits per megapixel of the network's input (`by_area`).
    """

    nms_pre: int = -1
    max_per_img: int | None = None
    nms: Suppression | None = None
    min_bbox_size: float = -1
    min_score: float = 0.0  # proposals of lower objectness are dropped, so that their number follows the particles'


@dataclass(frozen=True)
class RPNTraining:
    """`train_cfg.rpn`."""

    assigner: Mapping | None = None
    sampler: Mapping | None = None
    allowed_border: int | None = None
    pos_weight: float | None = None
    debug: bool = False  # MMDetection's configs set it, but nothing reads it


@dataclass(frozen=True)
class RoITraining:
    """`train_cfg.rcnn`."""

    assigner: Mapping | None = None
    sampler: Mapping | None = None
    mask_size: int | tuple[int, int] | None = None
    pos_weight: float | None = None
    soft_mask_target: bool = False
    debug: bool = False  # nothing reads it


@dataclass(frozen=True)
class RoITest:
    """`test_cfg.rcnn`; `refine_boxes` and `mask_scores` are this package's."""

    score_thr: float | None = None
    nms: Suppression | None = None
    max_per_img: int | None = None
    mask_thr_binary: float | None = None
    refine_boxes: bool = False  # the box branch corrects boxes a second time, after non-maximum suppression
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
    (`semsize.detecting.looking`); `auto` chooses them for each image, None leaves resizing to the test pipeline.
    """

    rpn: Proposals | None = None
    rcnn: RoITest | None = None
    flips: Sequence[Literal["horizontal", "vertical", "diagonal"]] | None = None
    scales: Literal["auto"] | Sequence[float] | None = None


def settings_of(kind: type[Kind], config: Mapping[str, Any]) -> Kind:
    """Return the settings of a config, with defaults for those that it lacks; SettingError if one is unknown."""
    names = {field.name for field in fields(kind)}
    if not names.issuperset(config):
        check_arguments(kind, config, "")
    return kind(**{name: value for name, value in config.items() if name in names})
