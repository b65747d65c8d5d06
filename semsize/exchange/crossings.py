"""Whether outlines cross themselves or one another, which is a slip of the hand more often than a particle."""

import numpy as np

_BLOCK = 64  # edges compared with all others that overlap them in x at one time


def crosses_itself(corners: np.ndarray) -> bool:
    """Whether two edges of a ring (K, 2), open or closed, cross at a point inside both.

    Edges that only touch, share a corner or lie on one another do not count.
    """
    corners = corners[np.any(corners != np.roll(corners, 1, axis=0), axis=1)]
    if len(corners) < 4:
        return False
    start, end = corners, np.roll(corners, -1, axis=0)
    left, right = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    order = np.argsort(left)
    start, end, left, right = start[order], end[order], left[order], right[order]
    for first in range(0, len(start), _BLOCK):
        block = slice(first, first + _BLOCK)
        last = np.searchsorted(left, right[block].max(), side="right")
        if _any_cross(start[block, None], end[block, None], start[None, first:last], end[None, first:last]):
            return True
    return False


def cross_each_other(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether an edge of a ring (K, 2) and one of another (L, 2), open or closed, cross at a point inside both."""
    start, end = second, np.roll(second, -1, axis=0)
    for low in range(0, len(first), _BLOCK):
        edges = np.arange(low, min(low + _BLOCK, len(first)))
        if _any_cross(first[edges, None], first[(edges + 1) % len(first), None], start[None], end[None]):
            return True
    return False


def _any_cross(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> bool:
    """Whether any edge a-b properly crosses any edge c-d; arrays (N, 1, 2) and (1, M, 2)."""
    parted_by_ab = _side(a, b, c) * _side(a, b, d) < 0
    parted_by_cd = _side(c, d, a) * _side(c, d, b) < 0
    return bool((parted_by_ab & parted_by_cd).any())


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    """On which side of the line from a to b points lie: -1, 0 or 1."""
    along, towards = b - a, point - a
    return np.sign(along[..., 0] * towards[..., 1] - along[..., 1] * towards[..., 0])
