"""Weights against the border effect: the frame cuts large particles more often, so whole large ones count for more.

Miles (1974) and Lantuéjoul (1980); ISO 13322-1:2014, Annex on the particles cut by the edge of the frame.
"""

from __future__ import annotations

import numpy as np

from semsize.structures.masks import CroppedMasks

LARGE_WEIGHT = 3.0  # a warning counts the particles with a larger weight, as the result depends on few

EDGE_PX = 1
"""The frame counts as cutting an outline that comes this close to its edge.

People and networks end many outlines of cut particles one pixel short (counts in docs/notebook/border-effect.md).
"""


def touches_border(boxes: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
    """Return (N,) bool: whether a box comes within `EDGE_PX` of the frame's edge; False for an empty box.

    Args:
        boxes: (N, 4) xyxy in px, half-open: x2 is one past the last column.
        frame_shape: (H, W) of the whole image without its data bar, not of a tile.

    >>> touches_border([[0, 5, 9, 9], [1, 5, 9, 9], [2, 5, 9, 9]], (64, 96))
    array([ True,  True, False])
    """
    boxes = np.asarray(boxes).reshape(-1, 4)
    return (edge_gaps_px(boxes, frame_shape) <= EDGE_PX) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)


def edge_gaps_px(boxes: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
    """Return (N,) columns or rows between each box and the frame's nearest edge; arguments as for `touches_border`.

    >>> edge_gaps_px([[0, 5, 9, 9], [3, 5, 94, 9]], (64, 96))
    array([0, 2])
    """
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.hstack([boxes[:, :2], np.array(frame_shape[::-1]) - boxes[:, 2:]]).min(axis=1)


def is_off_border(masks: CroppedMasks, frame_shape: tuple[int, int]) -> np.ndarray:
    """Return (N,) bool: whether a mask has pixels, lies in the frame (H, W) above the data bar, and off the border.

    >>> masks = CroppedMasks.from_crops([(np.ones((3, 3)), corner) for corner in ((1, 4), (2, 4), (6, 4))], (9, 9))
    >>> is_off_border(masks, frame_shape=(8, 9))
    array([False,  True, False])
    """
    return (masks.areas > 0) & (masks.boxes[:, 3] <= frame_shape[0]) & ~touches_border(masks.boxes, frame_shape)


def border_weights(boxes: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
    """Return W·H/((W − Fx − d)(H − Fy − d)): 1 / probability that a frame at a random place leaves a particle whole.

    d = 2 · `EDGE_PX` + 1, because W − Fx − d of the W shifts by whole pixels keep a box of Fx columns off the border.

    Args:
        boxes: (N, 4) as for `touches_border`, none empty; Fx and Fy are their sides.
        frame_shape: (H, W).

    Returns:
        (N,) float64 ≥ 1: how many particles each stands for; NaN if it touches the border and must be left out.

    Raises:
        ValueError: a box is empty or leaves the frame.

    >>> border_weights([[1, 5, 9, 9], [24, 8, 69, 37]], (64, 96))
    array([nan,  4.])
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    frame = np.array(frame_shape[::-1], np.float64)  # W, H
    low, high = boxes[:, :2], boxes[:, 2:]
    if (high <= low).any():
        raise ValueError(f"{int((high <= low).any(axis=1).sum())} boxes are empty: leave out empty masks first")
    if (low < 0).any() or (high > frame).any():
        raise ValueError(f"boxes leave the frame of {frame_shape} (rows, columns): give the frame of these masks")
    shifts = frame - (high - low) - (2 * EDGE_PX + 1)
    inner = np.where(touches_border(boxes, frame_shape)[:, None], np.nan, shifts)  # (N, 2)
    return (frame / inner).prod(axis=1)
