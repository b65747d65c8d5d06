"""All settings of `model.train_cfg` and `model.test_cfg`: MMDetection's that its heads read, and this package's own.

MMDetection takes both as plain dicts and asks for the keys it knows, so that a misspelt one would do nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from mmdet.registry import TASK_UTILS

from tio2.models.mask_pasting import Edge
from tio2.typed_settings import check_arguments

Settings = TypeVar("Settings")


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
    """`test_cfg.rpn` and `train_cfg.rpn_proposal`."""

    nms_pre: int = -1
    max_per_img: int | None = None
    nms: Suppression | None = None
    min_bbox_size: float = -1


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
    """`train_cfg.rcnn`; the last is this package's."""

    assigner: Mapping | None = None
    sampler: Mapping | None = None
    mask_size: int | tuple[int, int] | None = None
    pos_weight: float | None = None
    soft_mask_target: bool = False
    debug: bool = False  # as above
    refine_boxes: bool = False
    """The mask branch learns in the positive proposals as the box branch corrects them."""


@dataclass(frozen=True)
class RoITest:
    """`test_cfg.rcnn`; those from `refine_boxes` on are this package's."""

    score_thr: float | None = None
    nms: Suppression | None = None
    max_per_img: int | None = None
    mask_thr_binary: float | None = None
    refine_boxes: bool = False
    """The box branch looks a second time, at the boxes that non-maximum suppression left."""
    mask_edge: Edge = "fade"
    """How masks go on between the outermost cells' centres and the box's edge, see `mask_pasting`."""
    mask_box_scale: float = 1.0
    """Masks are predicted and drawn in boxes enlarged so many times."""
    mask_scores: bool = False
    """Each score is multiplied by the mean probability of its mask's pixels."""
    resolve_overlaps: bool = False
    """A pixel that several masks claim is given to one of them."""
    probability_crops: bool = False
    """Results also carry the masks' probabilities."""
    mask_rois_per_batch: int | None = None
    """So many RoIs run through the mask head at a time; None leaves it to the device."""


@dataclass(frozen=True)
class DetectorTraining:
    """`train_cfg`."""

    rpn: RPNTraining | None = None
    rpn_proposal: Proposals | None = None
    rcnn: RoITraining | None = None


@dataclass(frozen=True)
class DetectorTest:
    """`test_cfg`; `flips` is this package's: the mirror images that are looked at too."""

    rpn: Proposals | None = None
    rcnn: RoITest | None = None
    flips: Sequence[Literal["horizontal", "vertical", "diagonal"]] | None = None


def settings_of(kind: type[Settings], config: Mapping[str, Any]) -> Settings:
    """The settings that a config states, and the defaults of the others.

    Raises:
        SettingError: One is unknown.
    """
    names = {field.name for field in fields(kind)}
    if not names.issuperset(config):
        check_arguments(kind, config, "")
    return kind(**{name: value for name, value in config.items() if name in names})


def check_head_settings(model: Mapping[str, Any], place: str = "model") -> None:
    """Hold `train_cfg` and `test_cfg` of a detector's settings against those that are read.

    Samplers are looked at as well: MMDetection's take any name and use the ones they know.

    Raises:
        SettingError: A setting is unknown or has the wrong type.
    """
    for name, schema in (("train_cfg", DetectorTraining), ("test_cfg", DetectorTest)):
        settings = model.get(name) or {}
        check_arguments(schema, settings, f"{place}.{name}")
        for part in ("rpn", "rcnn"):
            sampler = (settings.get(part) or {}).get("sampler")
            kind = TASK_UTILS.get(sampler["type"]) if sampler else None
            if kind is not None:
                check_arguments(kind, sampler, f"{place}.{name}.{part}.sampler", {"rng": Any, "context": Any})
