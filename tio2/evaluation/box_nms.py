"""Box non-maximum suppression (NMS) on its own: the true boxes that it deletes, and the paper's operating point."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from mmcv.ops import nms

from semsize.metrology.matching import OPERATING_SCORE

TABLE1_BOX_NMS_IOU = 0.3
TABLE1_INSTANCES = 512


class NMSCeiling(NamedTuple):
    """True particles, and how many of their boxes NMS deletes: a detector with perfect boxes finds the others."""

    particles: int
    deleted: int


def nms_ceiling(truth: Mapping, iou_threshold: float) -> NMSCeiling:
    """Runs the detector's own NMS over the true boxes of each image, all scored alike (the first of a pair stays).

    Args:
        truth: COCO data set, boxes xywh; ``iscrowd`` is left out.
        iou_threshold: boxes that overlap a better one by more are deleted, as in the box head's test settings.
    """
    images = _by_image({**particle, "score": 1.0} for particle in truth["annotations"] if not particle["iscrowd"])
    particles = sum(map(len, images))
    return NMSCeiling(particles, particles - sum(len(_kept(boxes, iou_threshold)) for boxes in images))


def table1_selection(predictions: Sequence[Mapping]) -> list[Mapping]:
    """Predictions at the operating point of the paper's Table 1: score 0.5, box NMS 0.3, the 512 best of each image.

    Where the predictions already passed an NMS at a higher IoU, as the default test settings have it, this is what
    Table 1's NMS leaves of them.
    """
    images = _by_image(prediction for prediction in predictions if prediction["score"] >= OPERATING_SCORE)
    return [
        predictions_of_image[index]
        for predictions_of_image in images
        for index in _kept(predictions_of_image, TABLE1_BOX_NMS_IOU)[:TABLE1_INSTANCES]
    ]


def _by_image(boxes: Iterable[Mapping]) -> list[list[Mapping]]:
    by_image = defaultdict(list)
    for box in boxes:
        by_image[box["image_id"]].append(box)
    return list(by_image.values())


def _kept(boxes: Sequence[Mapping], iou_threshold: float) -> list[int]:
    """Indices of the boxes that NMS keeps, the best score first."""
    corners = torch.tensor([box["bbox"] for box in boxes], dtype=torch.float32)  # (N, 4) xywh
    corners[:, 2:] += corners[:, :2]
    scores = torch.tensor([box["score"] for box in boxes], dtype=torch.float32)
    return nms(corners, scores, iou_threshold)[1].tolist()
