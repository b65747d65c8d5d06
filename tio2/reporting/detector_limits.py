"""Whether a detector's anchors and caps suit the particles of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OFFSETS = 64
"""Distances of two centres over which `good_anchors` integrates."""

ENOUGH = 0.5
"""Good anchors a particle, below which others are advised (docs/notebook/ablations.md: what 0.1, 0.9, 1.4 gave)."""


@dataclass(frozen=True, eq=False)
class DetectorLimits:
    """What a detector can find.

    Attributes:
        anchors_px: (A, 2) widths and heights, in the image as the network sees it.
        strides_px: (A,) distance of their places from one another, rows and columns alike, likewise.
        scale: enlargement of an image before the network.
        least_overlap: IoU from which an anchor is trained on a particle at all.
        good_overlap: IoU from which every anchor is, and not the best one only.
        instances: cap on detections an image.
        proposals: cap on proposals an image.
    """

    anchors_px: np.ndarray
    strides_px: np.ndarray
    scale: float
    least_overlap: float
    good_overlap: float
    instances: int
    proposals: int


def warnings(name: str, boxes_px: np.ndarray, most: int, limits: DetectorLimits) -> list[str]:
    """What of a data set a detector cannot learn or find, one line each; none where all is well.

    A particle no anchor covers: even centred on it, none reaches the least IoU.

    Args:
        name: of the data set.
        boxes_px: (N, 2) widths and heights of its particles.
        most: particles in its fullest image.
        limits: the detector's.
    """
    lines = []
    boxes = boxes_px * limits.scale
    missed = best_overlaps(boxes, limits.anchors_px) < limits.least_overlap
    side = np.sqrt(boxes.prod(axis=1))
    middle = np.sqrt(limits.anchors_px.prod(axis=1))
    for kind, chosen in (
        ("smaller than", missed & (side < middle.min())),
        ("larger than", missed & (side > middle.max())),
        ("longer or flatter than", missed & (side >= middle.min()) & (side <= middle.max())),
    ):
        if chosen.any():
            lines.append(
                f"{name}: {chosen.sum()} particles ({chosen.mean():.2%}) are {kind} any anchor covers "
                f"(sides {side[chosen].min():.0f} to {side[chosen].max():.0f} px at ×{limits.scale:g}, anchors "
                f"{middle.min():.0f} to {middle.max():.0f} px): change base_sizes, ratios or the rescaling"
            )
    for setting, cap in (("test_cfg.rcnn.max_per_img", limits.instances), ("rpn max_per_img", limits.proposals)):
        if most > cap:
            lines.append(f"{name}: {most} particles in an image, but {setting} is {cap}: raise it")
    return lines


def best_overlaps(boxes_px: np.ndarray, anchors_px: np.ndarray) -> np.ndarray:
    """Largest IoU (N,) of boxes (N, 2) with anchors (A, 2), widths and heights, each pair on one centre."""
    common = np.minimum(boxes_px[:, None], anchors_px).prod(axis=2)  # (N, A)
    joint = boxes_px.prod(axis=1)[:, None] + anchors_px.prod(axis=1) - common
    return (common / joint).max(axis=1, initial=0.0)


def good_anchors(boxes_px: np.ndarray, limits: DetectorLimits) -> np.ndarray:
    """How many anchors reach the good IoU with a particle, in the mean over all places where it may lie: (N,).

    The places of an anchor from which it meets a box so well are an area around the box's centre. Divided by the area
    that each place has for itself, the square of the stride, it is the anchors' number: the coarser, the fewer.

    Args:
        boxes_px: (N, 2) widths and heights in the image.
        limits: the detector's.
    """
    boxes = boxes_px[:, None] * limits.scale  # (N, 1, 2), beside anchors (A, 2)
    share = limits.good_overlap / (1 + limits.good_overlap)  # of the sum of both areas, which must be in common
    good = share * (boxes.prod(2) + limits.anchors_px.prod(1))  # (N, A) px
    reach, most = (boxes + limits.anchors_px) / 2, np.minimum(boxes, limits.anchors_px)  # (N, A, 2)
    area = np.zeros(good.shape)
    for step in (np.arange(OFFSETS) + 0.5) / OFFSETS:  # from one centre to where the two no longer touch
        common_width = np.minimum(reach[..., 0] * (1 - step), most[..., 0])
        needed = good / common_width
        area += np.where(needed <= most[..., 1], reach[..., 1] - needed, 0) * reach[..., 0] / OFFSETS
    return (4 * area / limits.strides_px**2).sum(axis=1)


def good_anchors_line(name: str, boxes_px: np.ndarray, limits: DetectorLimits) -> str:
    """What `good_anchors` finds in a data set, in the mean, in one line; and below a half what to do."""
    found = good_anchors(boxes_px, limits).mean() if len(boxes_px) else np.nan
    reached = f"reach IoU {limits.good_overlap:g} with a particle, in the mean (×{limits.scale:g})"
    advice = (
        ""
        if not found < ENOUGH
        else ": the same base_sizes on finer strides are more, for short trainings (docs/own-data.md)"
    )
    return f"{name}: {found:.2f} anchors {reached}{advice}"
