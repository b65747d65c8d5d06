"""The interface of engines: grey levels and a scale in, masks, scores and boxes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from semsize.detecting.boxes import box_sizes
from semsize.structures.masks import CroppedMasks


@dataclass(frozen=True)
class DrawnSizes:
    """Sizes (`box_sizes`), px in a network's input, of particles whose masks are drawn; others remain boxes."""

    from_px: float = 0.0
    to_px: float = np.inf

    def split(
        self, boxes: np.ndarray, scores: np.ndarray, factors: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (N,) whether each box in the network's input is drawn, and boxes (M, 4) and scores (M,) of the others.

        Args:
            boxes: (N, 4) xyxy.
            scores: (N,).
            factors: enlargements of x and y; the other boxes are divided by them, back to the window's pixels.
        """
        sizes_px = box_sizes(boxes)
        is_drawn = (sizes_px >= self.from_px) & (sizes_px <= self.to_px)
        return is_drawn, boxes[~is_drawn] / np.array([*factors, *factors], np.float32), scores[~is_drawn]


ALL_SIZES = DrawnSizes()


@dataclass(frozen=True, eq=False)
class Found:
    """The N particles that an engine finds in a window at one scale, in the window's own pixels.

    Attributes:
        masks: N masks.
        scores: (N,) 0 to 1.
        boxes: (N, 4) xyxy.
        limit: warning of a limit that was reached, so that particles may be lost; else empty.
        undrawn_boxes: (M, 4) xyxy of particles outside the sizes to draw.
        undrawn_scores: (M,).
    """

    masks: CroppedMasks
    scores: np.ndarray
    boxes: np.ndarray
    limit: str = ""
    undrawn_boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    undrawn_scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


Engine = Callable[[Sequence[np.ndarray], float, DrawnSizes], list[Found]]
"""Finds the particles of windows of one size, (H, W) float32 grey levels of 0-255, enlarged by a factor.

Particles outside the given sizes may be left without a mask; a look at another scale draws it."""
