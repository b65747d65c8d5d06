"""Joins what was found at several scales: each particle once, drawn at the scale that suits its size."""

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
"""IoU from which two masks are one particle."""

SAME_BOX_IOU = 0.6
"""IoU from which a box without a mask is the particle that a mask's box holds."""

RELIABLE_SHARE = 0.5
"""A mask is taken for the particle if its score reaches this share of the best score that the particle has."""

MASK_OCTAVES, SCORE_OCTAVES = 1.0, 3.0
"""Standard deviations of the weight that falls with the distance from the comfortable size, in factors of two."""


@dataclass(frozen=True, eq=False)
class Undrawn:
    """M boxes found at some scales without a mask: they tell where a particle is seen, not what it covers.

    Attributes:
        boxes: (M, 4) xyxy, pixels of the image.
        scores: (M,) 0 to 1.
        scale_index: (M,) at which of the scales each was found.
    """

    boxes: np.ndarray
    scores: np.ndarray
    scale_index: np.ndarray


@dataclass(frozen=True, eq=False)
class Joined:
    """The K particles that several scales show together.

    Attributes:
        index: (K,) which of the masks each particle's is.
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
    """Take each particle once, from the scale at which it is nearest to the comfortable size.

    A particle's score is the geometric mean of the best score that it has at any scale, and of the mean over all scales
    of the best score that it has there, 0 where it is not seen, weighted by how comfortable the particle is at that
    scale. So a scale at which particles of this size are hard to see has little say, one at which they are easy to see
    and this one is not found counts against it, and a score of 0.5 means about the same for one scale and for several.

    Args:
        masks: N masks found at all scales, in pixels of the image.
        scores: (N,) 0 to 1.
        scale_index: (N,) at which of the scales each was found.
        scales: S enlargements of the image before the network sees it.
        boxes: (N, 4) the network's box of each mask; needed with `undrawn`.
        undrawn: what was found without a mask. It counts as seen where it meets the box of a particle well; a box that
            meets none is no particle.

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
    order = np.lexsort((-scores, -comfort, ~is_reliable, particle))
    index = order[np.unique(particle[order], return_index=True)[1]]
    if undrawn is not None and len(undrawn.boxes):
        same, met = best_overlaps(undrawn.boxes, boxes[index], SAME_BOX_IOU)
        np.maximum.at(seen, (met, undrawn.scale_index[same]), undrawn.scores[same])
    weights = _comfort(size_px[index, None] * scales, SCORE_OCTAVES)
    mean = (seen * weights).sum(axis=1) / weights.sum(axis=1)
    return Joined(index, np.sqrt(mean * seen.max(axis=1)))


def _comfort(size_px: np.ndarray, octaves: float) -> np.ndarray:
    """1 at the comfortable size in the network's input, falling with the factor between; never 0."""
    distance = np.log2(np.maximum(size_px, 1) / COMFORTABLE_PX) / octaves
    return np.maximum(np.exp(-0.5 * distance**2), 1e-9)


def _particles(masks: CroppedMasks, order: np.ndarray) -> np.ndarray:
    """(N,) number of the particle that each mask shows: in this order each takes what is left and meets it well."""
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
