"""Which particles of an image belong together."""

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.structures.states import neighbour_pairs

JOIN_PX = 4.0
"""Annotators leave one empty pixel between touching particles; two more close the particles' diffuse borders."""


def touching_groups(masks: CroppedMasks, join_px: float = JOIN_PX) -> list[np.ndarray]:
    """Agglomerates: particles connected by steps of at most `join_px`.

    Args:
        masks: N masks of one image.
        join_px: largest distance between pixel centres of two particles that touch, as if each were dilated by half.

    Returns:
        One ascending array of positions for each group, in the order of their first members; empty masks in none.
    """
    root = np.arange(len(masks))
    for first, second in neighbour_pairs(masks, join_px):
        low, high = sorted((root[first], root[second]))
        root[root == high] = low
    filled = masks.sizes[:, 0] > 0
    return [np.flatnonzero((root == group) & filled) for group in np.unique(root[filled])]
