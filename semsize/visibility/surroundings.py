"""What surrounds an outline in a window of the image: other outlines, the edge of the frame, and bare substrate.

A window is a rectangle of image pixels that may reach beyond the frame. The masks of an image are counted once
into a frame of pixels; the work for a window then depends on its pixels, not on the number of outlines in it.

A hidden part lies under another body, never over bare substrate. Some bodies have no outline (those of a matrix), so
`bare_substrate` recognises the substrate by its grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from semsize.structures.masks import CroppedMasks, Placed

RIM_PX = 2
"""Width of the rim around outlines whose grey levels count neither as substrate nor as particle."""

BLUR_PX = 1.0
"""Standard deviation of the Gaussian that reduces the noise before a pixel's grey level is judged."""

LIKELIER = 4.0
"""A grey level is the substrate's if it is more than this many times as frequent outside outlines as within them."""

_LEVELS = 256
_WIDTH = 9  # levels over which frequencies are averaged
_FEWEST_PX = 100  # needed outside outlines, and within them, to compare frequencies
_FLOOR = 1e-3  # share of either side that is spread over all levels, so that no frequency is 0


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The number of outlines that hold each pixel of a frame, without its data bar.

    >>> around = Surroundings.of(CroppedMasks.from_label_image(np.array([[1, 2, 0]])), np.zeros((1, 3)))
    >>> around.others(np.array([[True, False, False]]), (0, 0)).astype(int)
    array([[0, 1, 0]])
    """

    coverage: np.ndarray  # (H, W) uint16
    grey: np.ndarray  # (H, W) grey levels, 0 to 255

    @classmethod
    def of(cls, masks: CroppedMasks, grey: np.ndarray) -> Surroundings:
        """Count the masks of an image; ``grey`` (H, W) are the levels of its frame without a data bar."""
        coverage = np.zeros(grey.shape, np.uint16)
        for crop, (row, column) in masks:
            window = coverage[row : row + crop.shape[0], column : column + crop.shape[1]]
            window += crop[: window.shape[0], : window.shape[1]]
        return cls(coverage, grey)

    @cached_property
    def bare(self) -> np.ndarray:
        """(H, W) bool: `bare_substrate`."""
        return bare_substrate(self.grey, self.coverage > 0)

    def others(self, own: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
        """(h, w) bool: pixels of a window that an outline other than ``own`` holds.

        Args:
            own: (h, w) bool, pixels in the window of an outline that was counted.
            corner: (row, column) of the window's first pixel.
        """
        seen = own if self._holds(own.shape, corner) else own & self.inside(own.shape, corner)
        return cut(self.coverage, own.shape, corner) > seen

    def _holds(self, shape: tuple[int, int], corner: tuple[int, int]) -> bool:
        """Whether a window lies wholly in the frame."""
        (row, column), (height, width) = corner, self.coverage.shape
        return min(row, column) >= 0 and row + shape[0] <= height and column + shape[1] <= width

    def inside(self, shape: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
        """(h, w) bool: pixels of a window that lie in the frame."""
        if self._holds(shape, corner):
            return np.ones(shape, bool)
        rows, columns = (
            (np.arange(first, first + length) >= 0) & (np.arange(first, first + length) < end)
            for first, length, end in zip(corner, shape, self.coverage.shape, strict=True)
        )
        return rows[:, None] & columns

    def may_hide(
        self, crop: np.ndarray, origin: tuple[int, int], shape: tuple[int, int], corner: tuple[int, int]
    ) -> np.ndarray:
        """(h, w) bool: pixels of a window in which a hidden part of an outline may lie.

        These are all pixels but the outline's own and bare substrate: those of other outlines, of bodies without an
        outline, and beyond the frame.

        Args:
            crop: (a, b) bool, the outline.
            origin: (row, column) of its first pixel.
            shape: (h, w) of the window.
            corner: (row, column) of its first pixel.
        """
        return ~(placed_in(crop, origin, shape, corner) | cut(self.bare, shape, corner))


def bare_substrate(grey: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels outside all outlines whose grey level is that of the substrate.

    A level over `LIKELIER` times as frequent outside outlines as within them is the substrate's. No pixel is bare if
    bodies, outlined or not, fill the frame, or if fewer than 100 pixels lie outside outlines or within them.

    Args:
        grey: (H, W) levels, 0 to 255, of the frame without a data bar.
        inside: (H, W) bool, pixels of outlines.

    >>> inside = np.zeros((40, 40), bool)
    >>> inside[10:30, 10:30] = True
    >>> bare = bare_substrate(np.where(inside, 180.0, 40.0), inside)
    >>> bare[:8].all().item(), bare[10:30, 10:30].any().item()
    (True, False)
    >>> bare_substrate(np.full((40, 40), 90.0), inside).any().item()
    False
    """
    within = inside.astype(np.uint8)
    outside = 1 - cv2.dilate(within, np.ones((2 * RIM_PX + 1,) * 2, np.uint8))
    if min(np.count_nonzero(outside), np.count_nonzero(inside)) < _FEWEST_PX:
        return np.zeros(inside.shape, bool)
    blurred = cv2.GaussianBlur(np.asarray(grey, np.float32), (0, 0), BLUR_PX)
    levels = np.clip(blurred, 0, _LEVELS - 1).astype(np.uint8)
    likelier = _frequencies(levels, outside) > LIKELIER * _frequencies(levels, within)
    return cv2.LUT(levels, likelier.astype(np.uint8)).view(bool) & ~inside


def _frequencies(levels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(256,) share of each level where a mask (H, W) is 1, averaged over neighbouring levels; adds up to about 1."""
    counts = cv2.calcHist([levels], [0], where, [_LEVELS], [0, _LEVELS]).ravel().astype(np.float64)
    shares = counts / counts.sum()
    return np.convolve(shares, np.full(_WIDTH, 1 / _WIDTH), "same") + _FLOOR / _LEVELS


def cut(pixels: np.ndarray, shape: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """A window (h, w) of an image (H, W), whose first pixel is ``corner`` (row, column); 0 beyond the image.

    >>> cut(np.array([[1, 2], [3, 4]]), (2, 2), (1, -1))
    array([[0, 3],
           [0, 0]])
    """
    (row, column), (height, width) = corner, shape
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + height, pixels.shape[0]), min(column + width, pixels.shape[1])
    if (top, left, bottom, right) == (row, column, row + height, column + width):
        return pixels[top:bottom, left:right]
    window = np.zeros(shape, pixels.dtype)
    if bottom > top and right > left:
        window[top - row : bottom - row, left - column : right - column] = pixels[top:bottom, left:right]
    return window


def placed_in(crop: np.ndarray, origin: tuple[int, int], shape: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: a placed crop in a window whose first pixel is ``corner`` (row, column)."""
    return cut(crop, shape, (corner[0] - origin[0], corner[1] - origin[1])).astype(bool)


def with_hidden(visible: Placed, window: np.ndarray, corner: tuple[int, int]) -> Placed:
    """Add the true pixels of a window (h, w) to a placed outline that lies wholly in the window."""
    crop, (row, column) = visible
    whole = window.astype(np.uint8)
    top, left = row - corner[0], column - corner[1]
    whole[top : top + crop.shape[0], left : left + crop.shape[1]] |= crop
    return whole, corner
