"""What surrounds an outline in a window of the image: other outlines, the edge of the frame, and where a part may hide.

A window is a rectangle of image pixels that may reach beyond the frame. The masks of an image are counted into one
frame of pixels, once; the work for a window then goes with its pixels, however many outlines lie in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from semsize.structures.masks import CroppedMasks, Placed

_NEXT = np.ones((3, 3), np.uint8)  # a pixel and its eight neighbours


@dataclass(frozen=True, eq=False)
class Surroundings:
    """How many outlines hold each pixel of a frame; the frame ends above a data bar.

    >>> masks = CroppedMasks.from_label_image(np.array([[1, 2, 0]]))
    >>> around = Surroundings.of(masks, (1, 3))
    >>> around.may_hide(np.ones((1, 1), bool), (0, 0), (1, 5), (0, -1)).astype(int)
    array([[1, 0, 1, 0, 1]])
    """

    coverage: np.ndarray  # (H, W) uint16

    @classmethod
    def of(cls, masks: CroppedMasks, frame_shape: tuple[int, int]) -> Surroundings:
        """Counts the masks of an image whose frame, without a data bar, is (H, W)."""
        coverage = np.zeros(frame_shape, np.uint16)
        for crop, (row, column) in masks:
            window = coverage[row : row + crop.shape[0], column : column + crop.shape[1]]
            window += crop[: window.shape[0], : window.shape[1]]
        return cls(coverage)

    def others(self, own: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
        """(h, w) bool: pixels of a window that an outline other than ``own`` holds.

        Args:
            own: (h, w) bool, the outline's pixels in the window; all of them were counted.
            corner: (row, column) of the window's first pixel.
        """
        seen = own if self._holds(own.shape, corner) else own & self.inside(own.shape, corner)
        return cut(self.coverage, own.shape, corner) > seen

    def _holds(self, shape: tuple[int, int], corner: tuple[int, int]) -> bool:
        """Whether a window lies in the frame whole."""
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

        These are the pixels of other outlines, those beyond the frame, and the gaps one pixel wide that detected
        outlines leave between one another; never bare substrate, never the outline itself.

        Args:
            crop: (a, b) bool, the outline.
            origin: (row, column) of its first pixel.
            shape: (h, w) of the window.
            corner: (row, column) of its first pixel.
        """
        wide, start = (shape[0] + 2, shape[1] + 2), (corner[0] - 1, corner[1] - 1)  # gaps need the pixels around
        own = placed_in(crop, origin, wide, start)
        others = self.others(own, start) & ~own
        allowed = others if self._holds(wide, start) else others | (~self.inside(wide, start) & ~own)
        if others.any():
            near_both = _grown(own) & _grown(others) & ~own
            allowed = allowed | near_both & cv2.morphologyEx(
                (own | others).view(np.uint8), cv2.MORPH_CLOSE, _NEXT
            ).view(bool)
        return allowed[1:-1, 1:-1]


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
    """A crop that holds a placed outline and the pixels of a window (h, w) of bools that holds all of it."""
    crop, (row, column) = visible
    whole = window.astype(np.uint8)
    top, left = row - corner[0], column - corner[1]
    whole[top : top + crop.shape[0], left : left + crop.shape[1]] |= crop
    return whole, corner


def _grown(pixels: np.ndarray) -> np.ndarray:
    return cv2.dilate(pixels.view(np.uint8), _NEXT).view(bool)
