"""Border effect: a large particle is cut by the frame more often than a small one, and counts for more when it is not.

Miles (1974) and Lantuéjoul (1980); ISO 13322-1:2014, Annex on the particles cut by the edge of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LARGE_WEIGHT = 3.0
"""A particle that stands for more than this many makes the result hang on few: it is reported."""


@dataclass(frozen=True, eq=False)
class BorderWeights:
    """What the frame does to N particles.

    Attributes:
        touches: (N,) bool: has a pixel in the frame's first or last row or column; to be left out.
        weights: (N,) float64: particles that each of the others stands for, ≥ 1; NaN for those that touch.
    """

    touches: np.ndarray
    weights: np.ndarray

    @property
    def large(self) -> np.ndarray:
        """(N,) bool: weight above `LARGE_WEIGHT`."""
        return self.weights > LARGE_WEIGHT  # NaN compares as False

    @property
    def touching_count(self) -> int:
        """Particles to be left out."""
        return int(self.touches.sum())

    @property
    def large_count(self) -> int:
        """Particles with a weight above `LARGE_WEIGHT`."""
        return int(self.large.sum())


def border_weights(boxes: np.ndarray, frame_shape: tuple[int, int]) -> BorderWeights:
    """Weights W·H/((W − Fx)(H − Fy)): one over the probability that a frame thrown at random holds the particle whole.

    Args:
        boxes: (N, 4) xyxy in px, half-open (x2 is one past the last column), none empty; Fx and Fy are their sides.
        frame_shape: (H, W) of the whole image without its data bar, not of a tile.

    Raises:
        ValueError: a box is empty or leaves the frame.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    frame = np.array(frame_shape[::-1], np.float64)  # W, H
    low, high = boxes[:, :2], boxes[:, 2:]
    if (high <= low).any():
        raise ValueError(f"{int((high <= low).any(axis=1).sum())} boxes are empty: leave empty masks out before")
    if (low < 0).any() or (high > frame).any():
        raise ValueError(f"boxes leave the frame of {frame_shape} (rows, columns): is it that of these masks?")
    touches = (low <= 0).any(axis=1) | (high >= frame).any(axis=1)
    inner = np.where(touches[:, None], np.nan, frame - (high - low))  # (N, 2)
    return BorderWeights(touches=touches, weights=(frame / inner).prod(axis=1))
