"""Boxes of particles: sizes, limits of their number, mirror images, overlaps, and the fusing of views.

Legend: V views (the image and its mirror images), M boxes of a view, K fused boxes.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from semsize.structures.overlap import box_ious, meeting_boxes

LIKELY_OBJECTNESS = 0.5
"""Least objectness of proposals that count against a limit; less likely ones are background and always fill it."""

FLIPPED_DIMENSIONS = {"none": (), "horizontal": (-1,), "vertical": (-2,), "diagonal": (-2, -1)}
"""MMDetection's name of a flip to the dimensions of (…, H, W) that it reverses."""

Boxes = TypeVar("Boxes")
"""An array of NumPy or of torch, (M, 4) xyxy."""

Suppression = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""Non-maximum suppression: takes (M, 4) boxes, (M,) scores and an IoU, returns positions of those kept, best first."""


def box_sizes(boxes: np.ndarray) -> np.ndarray:
    """Return (M,) square roots of the areas of ellipses that fill boxes (M, 4), close to those of the boxes' masks.

    >>> box_sizes(np.array([[0, 0, 10, 10]])).round(2)
    array([8.86])
    """
    return np.sqrt(np.pi / 4 * np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1))


def limit_by_area(limit: int, image_shape: tuple[int, int]) -> int:
    """Scale a limit per megapixel to a network's input of (H, W), which counts as one megapixel at least."""
    return int(limit * max(1.0, image_shape[0] * image_shape[1] / 1e6))


def limit_message(count: int, limit: int, setting: str) -> str:
    """Return a warning if `count` boxes reach a limit (no limit if below 1), else an empty string."""
    if not 0 < limit <= count:
        return ""
    advice = "take smaller tiles (--tile), or raise it in the model's config"
    return f"{count} boxes reach the limit model.test_cfg.{setting}, so others may be lost: {advice}"


def mirrored_boxes(boxes: Boxes, flip: str, image_shape: tuple[int, int]) -> Boxes:
    """Mirror boxes (M, 4) xyxy with their image of (H, W) pixels; mirroring twice gives the boxes back."""
    (height, width), mirrored = image_shape, boxes + 0
    if -1 in FLIPPED_DIMENSIONS[flip]:
        mirrored[:, 0], mirrored[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    if -2 in FLIPPED_DIMENSIONS[flip]:
        mirrored[:, 1], mirrored[:, 3] = height - boxes[:, 3], height - boxes[:, 1]
    return mirrored


def best_overlaps(first: np.ndarray, second: np.ndarray, least_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Find, for each box of `first` (M, 4), the box of `second` (K, 4) with the largest IoU, if ≥ `least_iou` > 0.

    Returns:
        Positions (P,) in `first`, each once, and in `second`; of equal overlaps the first in `second`.

    >>> best_overlaps(np.array([[0, 0, 4, 4], [9, 9, 10, 10]]), np.array([[0, 0, 2, 2], [1, 0, 4, 4]]), 0.5)
    (array([0]), array([1]))
    """
    pixels = [np.column_stack([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])]) for boxes in (first, second)]
    i, j = meeting_boxes(*pixels)
    iou = box_ious(first[i], second[j])
    order = np.lexsort((j, -iou, i))
    order = order[iou[order] >= least_iou]
    chosen = order[np.unique(i[order], return_index=True)[1]]
    return i[chosen], j[chosen]


def fuse_views(
    boxes: Sequence[np.ndarray], scores: Sequence[np.ndarray], iou_threshold: float, suppression: Suppression
) -> tuple[np.ndarray, np.ndarray]:
    """Fuse the boxes of V views of an image (weighted box fusion: Solovyev et al., 2021, arXiv 1910.13302).

    Non-maximum suppression over all views' boxes leaves one box per particle; every box belongs to the particle with
    which it has the largest IoU, if that reaches the threshold. A particle's box is the mean of its boxes weighted by
    their scores; its score is the mean over views of its best score in a view, 0 if the view does not show it.

    Args:
        boxes: (M, 4) float32 xyxy of each view, in the frame of the unmirrored image.
        scores: (M,) of each view, 0 to 1.
        iou_threshold: IoU from which two boxes show the same particle.
        suppression: finds one box per particle.

    Returns:
        (K, 4) boxes and (K,) scores, in the order of the best single score.
    """
    all_boxes, all_scores = np.concatenate(list(boxes)), np.concatenate(list(scores))
    if not len(all_boxes):
        return all_boxes, all_scores
    particles = all_boxes[suppression(all_boxes, all_scores, iou_threshold)]  # (K, 4)
    best = np.zeros((len(boxes), len(particles)), np.float32)
    weighted, weights = np.zeros_like(particles), np.zeros((len(particles), 1), np.float32)
    for view, (view_boxes, view_scores) in enumerate(zip(boxes, scores, strict=True)):
        same, particle = best_overlaps(view_boxes, particles, iou_threshold)
        score = view_scores[same]
        np.maximum.at(best[view], particle, score)
        np.add.at(weighted, particle, view_boxes[same] * score[:, None])
        np.add.at(weights, particle, score[:, None])
    return weighted / weights, best.mean(axis=0)
