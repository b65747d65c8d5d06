"""Crops laid side by side in one array, so that thousands of masks are measured by a few array operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from semsize.structures.masks import CroppedMasks

MARGIN_PX = 2
"""Background columns and rows around each crop: as far as the longest step that the perimeter looks along."""

LARGEST_ATLAS_PX = 1_000_000


@dataclass(frozen=True, eq=False)
class Atlas:
    """M of the masks of a set, each a strip of columns.

    Attributes:
        pixels: (H, W) bool.
        index: (M,) which mask of the set each strip is.
        starts: (M,) first column of each strip, ascending; crop column c stands at ``starts + MARGIN_PX + c``.
    """

    pixels: np.ndarray
    index: np.ndarray
    starts: np.ndarray

    def sums(self, columns: np.ndarray) -> np.ndarray:
        """Sums over each strip of values that belong to the columns, (W,) to (M,)."""
        return np.add.reduceat(columns, self.starts)


def atlases(masks: CroppedMasks, largest_px: int = LARGEST_ATLAS_PX) -> Iterator[Atlas]:
    """All masks, those of like height together; an atlas of more than one mask has at most ``largest_px`` pixels."""
    sizes = masks.sizes + 2 * MARGIN_PX  # (N, 2) height, width
    order = np.argsort(-sizes[:, 0], kind="stable")
    first = 0
    while first < len(order):
        height = sizes[order[first], 0]
        ends = np.cumsum(sizes[order[first:], 1])
        count = max(1, int(np.searchsorted(ends * height, largest_px, side="right")))
        chosen = order[first : first + count]
        yield _atlas(masks, chosen, ends[:count] - sizes[chosen, 1], (int(height), int(ends[count - 1])))
        first += count


def _atlas(masks: CroppedMasks, chosen: np.ndarray, starts: np.ndarray, shape: tuple[int, int]) -> Atlas:
    pixels = np.zeros(shape, bool)
    for index, start in zip(chosen.tolist(), starts.tolist(), strict=True):
        crop = masks.crops[index]
        left = start + MARGIN_PX
        pixels[MARGIN_PX : MARGIN_PX + crop.shape[0], left : left + crop.shape[1]] = crop
    return Atlas(pixels, chosen, starts)
