"""How doubtful outlines are that a detector found, and which images a person should correct first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import overlaps

DOUBTFUL = 0.3
"""Doubt from which on the page stops at an outline."""


def outline_doubts(masks: CroppedMasks, scores: np.ndarray, least_score: float) -> np.ndarray:
    """(N,) doubt, 0 to 1, of N outlines: how near a score is to the limit that decides, or how far it overlaps.

    The score's part is 1 at `least_score` and 0 at the scores 0 and 1. The overlap's part, of outlines that count, is
    the largest share of the smaller mask that two outlines have in common. States have no probability yet.

    Args:
        masks: N outlines.
        scores: (N,) 0 to 1; 1 of what a person drew.
        least_score: from which on an outline counts.

    >>> outline_doubts(CroppedMasks.from_label_image(np.array([[1, 2, 3]])), np.array([0.5, 0.9, 0.1]), 0.5)
    array([1. , 0.2, 0.2])
    """
    counts = scores >= least_score
    near = np.where(counts, (1 - scores) / max(1 - least_score, 1e-9), scores / max(least_score, 1e-9))
    doubts, counting = np.clip(near, 0, 1), np.flatnonzero(counts)
    chosen = masks[counting]
    met = overlaps(chosen, chosen)
    others = met.first != met.second
    smaller = np.minimum(chosen.areas[met.first], chosen.areas[met.second])
    np.maximum.at(doubts, counting[met.first[others]], (met.intersection_px / smaller)[others])
    return doubts


def order_to_correct(doubts: Sequence[np.ndarray]) -> list[int]:
    """Positions of images, that to correct first before others: by the sum of the doubts of their outlines.

    The sum is about the number of outlines that a person would change. Whether a model learns more from such images
    than from others is not measured: `tools/benchmarks/learning_curve.py --orders random doubt` does.

    Args:
        doubts: of each image (N,), see `outline_doubts`; of equal sums the first image comes first.

    >>> order_to_correct([np.array([0.1]), np.array([0.4, 0.5]), np.array([])])
    [1, 0, 2]
    """
    return sorted(range(len(doubts)), key=lambda image: -float(np.sum(doubts[image])))
