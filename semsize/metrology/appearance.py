"""What the pixels in and around a particle look like, and the one thing about it that a detector finds hardest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from semsize.structures.masks import CroppedMasks

SATURATED_LEVEL = 250.0
EDGE_SCALE_PX = 1.0  # standard deviation of the Gaussian whose derivative is the gradient
FAINT_GRADIENT = 4.0  # grey levels a pixel
NEAR_PX = 3

SMALL_PX = 100
LARGE_PX = 1500
SATURATED_SHARE = 0.1
FAINT_SHARE = 0.12
SURROUNDED_SHARE = 0.45

CIRCUMSTANCES = {
    "mostly hidden": "its state is unusable",
    "cut by the frame": "a pixel lies on the image's border",
    "small": f"less than {SMALL_PX} px",
    "saturated": f"{SATURATED_SHARE:.0%} or more of its pixels have a level of {SATURATED_LEVEL:g} or more",
    "faint outline": f"{FAINT_SHARE:.0%} or more of its outline changes by less than {FAINT_GRADIENT:g} levels a pixel",
    "surrounded": f"others hold {SURROUNDED_SHARE:.0%} or more of what lies up to {NEAR_PX} px around it",
    "large": f"{LARGE_PX} px or more",
    "plain": "none of these",
}
"""Circumstance to its rule, in the order in which they are asked."""

_SQUARE = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class Appearance:
    """Of N masks of an image; an empty one has NaN for shares and level.

    Attributes:
        area_px: (N,) pixels.
        at_frame: (N,) bool: a pixel lies on the image's border.
        level: (N,) median grey level.
        saturated: (N,) share of its pixels of 250 or more.
        faint: (N,) share of its outline, one pixel on either side, where the grey level changes by less than 4 a pixel.
        surrounded: (N,) share of what lies up to 3 px around it that others hold.
    """

    area_px: np.ndarray
    at_frame: np.ndarray
    level: np.ndarray
    saturated: np.ndarray
    faint: np.ndarray
    surrounded: np.ndarray

    def circumstances(self, states: Sequence[str | None]) -> list[str]:
        """The first of `CIRCUMSTANCES` that holds for each of N particles, given their states."""
        rules = {
            "mostly hidden": np.array([state == "unusable" for state in states], bool),
            "cut by the frame": self.at_frame,
            "small": self.area_px < SMALL_PX,
            "saturated": self.saturated >= SATURATED_SHARE,
            "faint outline": self.faint >= FAINT_SHARE,
            "surrounded": self.surrounded >= SURROUNDED_SHARE,
            "large": self.area_px >= LARGE_PX,
        }
        return [next((name for name, holds in rules.items() if holds[one]), "plain") for one in range(len(states))]


def appearance(masks: CroppedMasks, others: CroppedMasks, grey: np.ndarray) -> Appearance:
    """Looks at each mask in its image.

    Args:
        masks: N masks.
        others: particles that may surround them; may hold the masks themselves.
        grey: (H, W) grey levels, 0 to 255; may be taller than the masks' image by a data bar.
    """
    height, width = masks.image_shape
    grey = np.asarray(grey[:height, :width], np.float64)
    gradient = ndimage.gaussian_gradient_magnitude(grey, EDGE_SCALE_PX)
    taken = others.union()
    looks = [_look(crop, origin, grey, gradient, taken) for crop, origin in masks]
    at_frame, level, saturated, faint, surrounded = np.array(looks, np.float64).reshape(-1, 5).T
    return Appearance(masks.areas, at_frame > 0, level, saturated, faint, surrounded)


def _look(
    crop: np.ndarray, origin: tuple[int, int], grey: np.ndarray, gradient: np.ndarray, taken: np.ndarray
) -> tuple[float, float, float, float, float]:
    """At frame, level, saturated, faint, surrounded."""
    if crop.size == 0:
        return (0.0, *[float("nan")] * 4)
    (row, column), (height, width) = origin, crop.shape
    top, left = max(row - NEAR_PX, 0), max(column - NEAR_PX, 0)
    bottom, right = min(row + height + NEAR_PX, grey.shape[0]), min(column + width + NEAR_PX, grey.shape[1])
    inside = np.zeros((bottom - top, right - left), bool)
    inside[row - top : row - top + height, column - left : column - left + width] = crop > 0
    here = slice(top, bottom), slice(left, right)
    border = ndimage.binary_dilation(inside, _SQUARE) & ~ndimage.binary_erosion(inside, _SQUARE, border_value=1)
    near = ndimage.binary_dilation(inside, _SQUARE, NEAR_PX) & ~inside
    levels = grey[here][inside]
    return (
        float(row == 0 or column == 0 or row + height == grey.shape[0] or column + width == grey.shape[1]),
        float(np.median(levels)),
        float((levels >= SATURATED_LEVEL).mean()),
        _share((gradient[here] < FAINT_GRADIENT)[border]),
        _share(taken[here][near]),
    )


def _share(holds: np.ndarray) -> float:
    return float(holds.mean()) if holds.size else float("nan")
