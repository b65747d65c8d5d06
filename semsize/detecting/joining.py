"""Joins the particles found at several scales: each is taken once, from the scale that suits its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.detecting.boxes import best_overlaps
from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import overlaps

COMFORTABLE_PX = 60.0
"""Square root of a particle's area in the network's input at which its outline is drawn best."""

SAME_IOU = 0.5
"""IoU from which two masks show the same particle."""

SAME_BOX_IOU = 0.6
"""IoU from which a box without a mask shows the same particle as a mask's box."""

RELIABLE_SHARE = 0.5
"""A mask can represent its particle if its score reaches this share of the particle's best score."""

MASK_OCTAVES, SCORE_OCTAVES = 1.0, 3.0
"""Standard deviations, in factors of two, of the weights (of masks, of scores) around the comfortable size."""


@dataclass(frozen=True, eq=False)
class Undrawn:
    """M boxes found at some scales without a mask: they show where a particle is, not which pixels it covers.

    Attributes:
        boxes: (M, 4) xyxy, pixels of the image.
        scores: (M,) 0 to 1.
        scale_index: (M,) number of the scale at which each was found.
    """

    boxes: np.ndarray
    scores: np.ndarray
    scale_index: np.ndarray


@dataclass(frozen=True, eq=False)
class Joined:
    """The K particles found at several scales, each once.

    Attributes:
        index: (K,) number of the mask that represents each particle.
        scores: (K,) 0 to 1.
    """

    index: np.ndarray
    scores: np.ndarray


def join_scales(
    masks: CroppedMasks,
    scores: np.ndarray,
    scale_index: np.ndarray,
    scales: Sequence[float],
    boxes: np.ndarray | None = None,
    undrawn: Undrawn | None = None,
) -> Joined:
    """Take each particle once: of its masks with a reliable score, the one nearest to the comfortable size.

    A particle's score is the geometric mean of its best score at any scale and of the weighted mean, over all scales,
    of its best score at that scale, 0 where it is not found. The weight falls with the distance of the particle's size
    from the comfortable one. So a scale that hardly shows particles of this size matters little, a scale that should
    show the particle and does not counts against it, and a score of 0.5 means about the same for one scale and several.

    Args:
        masks: N masks found at all scales, in pixels of the image.
        scores: (N,) 0 to 1.
        scale_index: (N,) number of the scale at which each was found.
        scales: S enlargements of the image before the network sees it.
        boxes: (N, 4) the network's box of each mask; needed with `undrawn`.
        undrawn: boxes found without a mask. A box that overlaps the box of a particle well counts, with its score,
            as a sighting of that particle; other boxes are dropped.

    Example:
        >>> one = CroppedMasks.from_crops([(np.ones((30, 30)), (5, 5))], (100, 100))
        >>> join_scales(CroppedMasks.cat([one, one]), np.array([0.9, 0.8]), np.array([0, 1]), [0.375, 1.5]).index
        array([1])
    """
    scores, scales = np.asarray(scores, np.float64), np.asarray(scales, np.float64)
    if not len(masks):
        return Joined(np.zeros(0, np.int64), scores)
    size_px = np.sqrt(masks.areas)
    comfort = _comfort(size_px * scales[scale_index], MASK_OCTAVES)
    particle = _particles(masks, np.argsort(-scores * comfort, kind="stable"))
    seen = np.zeros((particle.max() + 1, len(scales)))  # (K, S) best score of each particle at each scale
    np.maximum.at(seen, (particle, scale_index), scores)
    is_reliable = scores >= RELIABLE_SHARE * seen.max(axis=1)[particle]
    order = np.lexsort((-scores, -comfort, ~is_reliable, particle))  # sorts by the last key first
    index = order[np.unique(particle[order], return_index=True)[1]]
    if undrawn is not None and len(undrawn.boxes):
        same, met = best_overlaps(undrawn.boxes, boxes[index], SAME_BOX_IOU)
        np.maximum.at(seen, (met, undrawn.scale_index[same]), undrawn.scores[same])
    weights = _comfort(size_px[index, None] * scales, SCORE_OCTAVES)
    mean = (seen * weights).sum(axis=1) / weights.sum(axis=1)
    return Joined(index, np.sqrt(mean * seen.max(axis=1)))


def _comfort(size_px: np.ndarray, octaves: float) -> np.ndarray:
    """Weight of a size in the network's input: 1 at the comfortable size, falling with the ratio to it; never 0."""
    distance = np.log2(np.maximum(size_px, 1) / COMFORTABLE_PX) / octaves
    return np.maximum(np.exp(-0.5 * distance**2), 1e-9)


def _particles(masks: CroppedMasks, order: np.ndarray) -> np.ndarray:
    """(N,) number of the particle that each mask shows: in this order, free masks claim the free masks they match."""
    pairs = overlaps(masks, masks, least_cover=2 * SAME_IOU / (1 + SAME_IOU))
    is_same = (pairs.iou >= SAME_IOU) & (pairs.first != pairs.second)
    first, second = pairs.first[is_same], pairs.second[is_same].tolist()
    ends = np.searchsorted(first, np.arange(len(masks) + 1)).tolist()
    particle, count = [-1] * len(masks), 0
    for number in order.tolist():
        if particle[number] < 0:
            particle[number] = count
            for other in second[ends[number] : ends[number + 1]]:
                if particle[other] < 0:
                    particle[other] = count
            count += 1
    return np.array(particle)
