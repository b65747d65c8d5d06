"""What box non-maximum suppression costs before any detector is at fault: perfect boxes that it deletes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from mmcv.ops import nms


@dataclass(frozen=True)
class NMSCeiling:
    """The recall that box NMS leaves a detector whose boxes are the true ones.

    Attributes:
        iou_threshold: boxes that overlap a better one by more than this are deleted.
        particles: true particles, ``iscrowd`` left out.
        deleted: how many of their boxes NMS deletes.
    """

    iou_threshold: float
    particles: int
    deleted: int

    @property
    def recall(self) -> float:
        """Share of the particles that can be found at best; NaN without particles."""
        return 1 - self.deleted / self.particles if self.particles else float("nan")


def nms_ceiling(truth: Mapping, iou_threshold: float) -> NMSCeiling:
    """Runs the detector's own NMS over the true boxes of each image, all scored alike (the first of a pair stays).

    Args:
        truth: COCO data set, boxes xywh.
        iou_threshold: as in the test settings of the box head.
    """
    boxes_of_image = defaultdict(list)
    for annotation in truth["annotations"]:
        if not annotation["iscrowd"]:
            x, y, width, height = annotation["bbox"]
            boxes_of_image[annotation["image_id"]].append((x, y, x + width, y + height))
    kept = sum(_boxes_kept(np.array(boxes), iou_threshold) for boxes in boxes_of_image.values())
    particles = sum(map(len, boxes_of_image.values()))
    return NMSCeiling(iou_threshold, particles, particles - kept)


def _boxes_kept(boxes: np.ndarray, iou_threshold: float) -> int:
    tensor = torch.from_numpy(boxes).float()  # (N, 4) xyxy
    return len(nms(tensor, torch.ones(len(boxes)), iou_threshold)[1])
