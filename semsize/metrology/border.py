"""Border effect: the frame cuts large particles more often than small ones, so that a large whole one counts for more.

Miles (1974) and Lantuéjoul (1980); ISO 13322-1:2014, Annex on the particles cut by the edge of the frame.
"""

from __future__ import annotations

import numpy as np

from semsize.structures.masks import CroppedMasks

LARGE_WEIGHT = 3.0  # A particle that stands for more than this many makes the result hang on few: it is reported

EDGE_PX = 1
"""Outlines that leave no more than this to the frame's edge count as cut by it.

People and networks end many outlines of cut particles one pixel short: docs/notebook/border-effect.md counts them.
"""


def touches_border(boxes: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
    """(N,) bool: a box comes within `EDGE_PX` of the frame's edge; an empty one does not.

    Args:
        boxes: (N, 4) xyxy in px, half-open: x2 is one past the last column.
        frame_shape: (H, W) of the whole image without its data bar, not of a tile.

    >>> touches_border([[0, 5, 9, 9], [1, 5, 9, 9], [2, 5, 9, 9]], (64, 96))
    array([ True,  True, False])
    """
    boxes = np.asarray(boxes).reshape(-1, 4)
    return (edge_gaps_px(boxes, frame_shape) <= EDGE_PX) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)


def edge_gaps_px(boxes: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
    """(N,) columns or rows between each box and the nearest edge of the frame; arguments as of `touches_border`.

    >>> edge_gaps_px([[0, 5, 9, 9], [3, 5, 94, 9]], (64, 96))
    array([0, 2])
    """
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.hstack([boxes[:, :2], np.array(frame_shape[::-1]) - boxes[:, 2:]]).min(axis=1)


def is_off_border(masks: CroppedMasks, frame_shape: tuple[int, int]) -> np.ndarray:
    """(N,) bool: a mask is not empty, lies whole within a frame (H, W), not in a data bar below, and off its border.

    >>> masks = CroppedMasks.from_crops([(np.ones((3, 3)), corner) for corner in ((1, 4), (2, 4), (6, 4))], (9, 9))
    >>> is_off_border(masks, frame_shape=(8, 9))
    array([False,  True, False])
    """
    return (masks.areas > 0) & (masks.boxes[:, 3] <= frame_shape[0]) & ~touches_border(masks.boxes, frame_shape)


def border_weights(boxes: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
    """Weights W·H/((W − Fx − d)(H − Fy − d)): one over the probability that a frame thrown at random leaves it whole.

    Here d = 2 · `EDGE_PX` + 1: of all whole shifts of a box of Fx columns, W − Fx − d keep it off the border.

    Args:
        boxes: (N, 4) as for `touches_border`, none empty; Fx and Fy are their sides.
        frame_shape: (H, W).

    Returns:
        (N,) float64: particles that each one stands for, ≥ 1; NaN for one that touches the border, to be left out.

    Raises:
        ValueError: a box is empty or leaves the frame.

    >>> border_weights([[1, 5, 9, 9], [24, 8, 69, 37]], (64, 96))
    array([nan,  4.])
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    frame = np.array(frame_shape[::-1], np.float64)  # W, H
    low, high = boxes[:, :2], boxes[:, 2:]
    if (high <= low).any():
        raise ValueError(f"{int((high <= low).any(axis=1).sum())} boxes are empty: leave empty masks out before")
    if (low < 0).any() or (high > frame).any():
        raise ValueError(f"boxes leave the frame of {frame_shape} (rows, columns): is it that of these masks?")
    shifts = frame - (high - low) - (2 * EDGE_PX + 1)
    inner = np.where(touches_border(boxes, frame_shape)[:, None], np.nan, shifts)  # (N, 2)
    return (frame / inner).prod(axis=1)
