"""The interface of engines: grey levels and a scale in, masks, scores and boxes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from semsize.detecting.boxes import box_sizes
from semsize.structures.masks import CroppedMasks


@dataclass(frozen=True)
class DrawnSizes:
    """Sizes (`box_sizes`) in a network's input, px, for which masks are drawn; other boxes stay boxes."""

    from_px: float = 0.0
    to_px: float = np.inf

    def split(
        self, boxes: np.ndarray, scores: np.ndarray, factors: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N,) whether N boxes in the network's input have such a size; and boxes (M, 4) and scores (M,) of the others.

        Args:
            boxes: (N, 4) xyxy.
            scores: (N,).
            factors: enlargement of x and of y, by which the others are brought back to the window's pixels.
        """
        sizes_px = box_sizes(boxes)
        is_drawn = (sizes_px >= self.from_px) & (sizes_px <= self.to_px)
        return is_drawn, boxes[~is_drawn] / np.array([*factors, *factors], np.float32), scores[~is_drawn]


ALL_SIZES = DrawnSizes()


@dataclass(frozen=True, eq=False)
class Found:
    """What an engine finds in a window at one scale: N particles in the window's own pixels.

    Attributes:
        masks: N masks.
        scores: (N,) 0 to 1.
        boxes: (N, 4) xyxy.
        limit: the engine's limit that was reached, so that others may be lost; empty where none was.
        undrawn_boxes: (M, 4) particles of sizes for which no mask was asked.
        undrawn_scores: (M,).
    """

    masks: CroppedMasks
    scores: np.ndarray
    boxes: np.ndarray
    limit: str = ""
    undrawn_boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    undrawn_scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


Engine = Callable[[Sequence[np.ndarray], float, DrawnSizes], list[Found]]
"""Finds the particles of some windows of one size, (H, W) float32 grey levels of 0-255, enlarged by a factor.

Particles of other sizes than the given ones may be left without a mask, which a look at another scale draws."""
