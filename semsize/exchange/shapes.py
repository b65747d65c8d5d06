"""Shapes as annotation tools store them, in float coordinates, and the one place where they become pixels.

Coordinates are (x, y) in pixels with (0, 0) at the image's upper left corner, so that pixel centres lie at integers +
0.5; VIA, LabelMe, COCO and ImageJ's areas all count so. A pixel belongs to a shape if its centre does; a centre that
lies exactly on an outline belongs to the shape on its right and lower side, so that tiles neither overlap nor gape.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from semsize.exchange.crossings import cross_each_other, crosses_itself
from semsize.structures.polygons import ShapeError, polygons

_LEAST_OVERLAP = 0.5  # intersection over union of the box of an outline and the stated one
_BOX_TOLERANCE_PX = 2.0  # programs count the last pixel in or not, and round

Placed = tuple[np.ndarray, tuple[int, int]]
"""A crop (h, w) of uint8 0/1 and the (row, column) of its first pixel."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """One particle's outlines.

    Attributes:
        rings: (K, 2) float64 arrays of corners, open or closed. Each is filled wherever it winds round a point.
        with_holes: the rings are added modulo two, so that one inside another is a hole; otherwise they are joined.
    """

    rings: tuple[np.ndarray, ...]
    with_holes: bool = False

    def __post_init__(self):
        if not self.rings:
            raise ShapeError("they have no outline")
        for ring in self.rings:
            if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
                raise ShapeError("they have fewer than three corners")
            if not np.isfinite(ring).all():
                raise ShapeError("a coordinate of theirs is no number")

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2)."""
        corners = np.concatenate(self.rings)
        return *corners.min(axis=0), *corners.max(axis=0)

    def covers(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Whether the centres of the pixels of a window lie inside, (R, C) bool.

        Args:
            rows: (R,) ascending, without gaps.
            columns: (C,) likewise.
        """
        filled = [winding_numbers(ring, rows, columns) != 0 for ring in self.rings]
        return np.logical_xor.reduce(filled) if self.with_holes else np.logical_or.reduce(filled)


@dataclass(frozen=True)
class Ellipse:
    """An ellipse, or a circle.

    Attributes:
        centre: (x, y).
        semi_axes: positive; before the turn the first lies along x.
        angle: radians, from x towards y (clockwise on the screen).
    """

    centre: tuple[float, float]
    semi_axes: tuple[float, float]
    angle: float = 0.0

    def __post_init__(self):
        if not all(map(math.isfinite, (*self.centre, *self.semi_axes, self.angle))):
            raise ShapeError("a coordinate of theirs is no number")
        if min(self.semi_axes) <= 0:
            raise ShapeError("their radius is not above 0")

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2)."""
        (x, y), (a, b) = self.centre, self.semi_axes
        half_width = math.hypot(a * math.cos(self.angle), b * math.sin(self.angle))
        half_height = math.hypot(a * math.sin(self.angle), b * math.cos(self.angle))
        return x - half_width, y - half_height, x + half_width, y + half_height

    def covers(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Whether the centres of the pixels of a window lie inside, (R, C) bool; see `Polygon.covers`."""
        x, y = columns[None, :] + 0.5 - self.centre[0], rows[:, None] + 0.5 - self.centre[1]
        along = x * math.cos(self.angle) + y * math.sin(self.angle)
        across = y * math.cos(self.angle) - x * math.sin(self.angle)
        return (along / self.semi_axes[0]) ** 2 + (across / self.semi_axes[1]) ** 2 <= 1


@dataclass(frozen=True, eq=False)
class Bitmap:
    """Pixels that the source stores as such.

    Attributes:
        crop: (h, w), zero is background.
        origin: (row, column) of its first pixel; may lie outside the image.
    """

    crop: np.ndarray
    origin: tuple[int, int]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2) of the pixels that are set; all the same point where none is."""
        row, column = self.origin
        rows, columns = np.flatnonzero(self.crop.any(axis=1)), np.flatnonzero(self.crop.any(axis=0))
        if len(rows) == 0:
            return column, row, column, row
        return column + columns[0], row + rows[0], column + columns[-1] + 1, row + rows[-1] + 1

    def covers(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The pixels of a window within the crop, (R, C) bool; see `Polygon.covers`."""
        return self.crop[np.ix_(rows - self.origin[0], columns - self.origin[1])] != 0


Shape = Polygon | Ellipse | Bitmap


def rectangle(x1: float, y1: float, x2: float, y2: float) -> Polygon:
    """An upright rectangle between two opposite corners."""
    return Polygon((np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64),))


def polygon_shapes(value: Any) -> tuple[Polygon, ...]:
    """One particle's polygons from a JSON value in any of the forms of `polygons`, holes included.

    Raises:
        ShapeError: it cannot be read, or can be read in two ways.
    """
    found = polygons(value)
    if any(cross_each_other(a, b) for rings in found for a, b in combinations(rings, 2)):
        raise ShapeError("an outline and its hole cross")
    if len(found) == 2 and len(found[0]) == len(found[1]) == 1 and _are_x_and_y(found[0][0], found[1][0]):
        raise ShapeError("their two lists may be two outlines, or the x and the y of one")
    return tuple(Polygon(tuple(rings), with_holes=len(rings) > 1) for rings in found)


def _are_x_and_y(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two flat lists, read as pairs, rather hold all x and all y of one ring.

    Neighbours in a list of x are alike, so that its pairs lie along the line x = y.
    """
    x, y = first.ravel(), second.ravel()
    if len(x) != len(y):
        return False
    alike = (np.abs(np.diff(ring, axis=1)).max() <= 0.6 * np.ptp(ring) for ring in (first, second))
    return all(alike) and not crosses_itself(np.stack([x, y], axis=1))


def rasterise(shape: Shape, image_shape: tuple[int, int]) -> Placed:
    """The pixels of a shape that lie in an image of (H, W); the crop spans the shape's bounds and may be empty."""
    x1, y1, x2, y2 = shape.bounds
    top, bottom = _pixel_range(y1, y2, image_shape[0])
    left, right = _pixel_range(x1, x2, image_shape[1])
    if top >= bottom or left >= right:
        return np.zeros((0, 0), np.uint8), (0, 0)
    return shape.covers(np.arange(top, bottom), np.arange(left, right)).astype(np.uint8), (top, left)


def union(shapes: Sequence[Shape], image_shape: tuple[int, int]) -> Placed:
    """The pixels of several shapes that make one particle."""
    placed = [(crop, origin) for crop, origin in (rasterise(shape, image_shape) for shape in shapes) if crop.size]
    if len(placed) < 2:
        return placed[0] if placed else (np.zeros((0, 0), np.uint8), (0, 0))
    top, left = np.min([origin for _, origin in placed], axis=0)
    bottom, right = np.max([np.add(origin, crop.shape) for crop, origin in placed], axis=0)
    joined = np.zeros((bottom - top, right - left), np.uint8)
    for crop, (row, column) in placed:
        joined[row - top : row - top + crop.shape[0], column - left : column - left + crop.shape[1]] |= crop
    return joined, (int(top), int(left))


def are_elsewhere(shapes: Sequence[Shape], stated: Sequence[float]) -> bool:
    """Whether the box of several shapes hardly overlaps a stated one (x, y, width, height), read as two corners too."""
    bounds = np.array([shape.bounds for shape in shapes])
    own = np.concatenate([bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)])
    corner, extent = np.array(stated[:2]), np.array(stated[2:])
    boxes = [np.concatenate([corner, end]) for end in (corner + extent, extent) if (end > corner).all()]
    return all(np.abs(own - box).max() > _BOX_TOLERANCE_PX and _overlap(own, box) < _LEAST_OVERLAP for box in boxes)


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2)."""
    common = np.prod(np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0))
    return float(common / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - common))


def leaves(shape: Shape, image_shape: tuple[int, int]) -> bool:
    """Whether a shape reaches so far beyond an image of (H, W) that it could cover a pixel centre there."""
    x1, y1, x2, y2 = shape.bounds
    return min(x1, y1) < -0.5 or x2 > image_shape[1] + 0.5 or y2 > image_shape[0] + 0.5


def winding_numbers(corners: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """How often a ring winds round the centre of each pixel of a window, (R, C) int; 0 is outside.

    Each edge that crosses a row of centres counts from the first centre on or right of the crossing.
    """
    start, end = corners, np.roll(corners, -1, axis=0)
    centres = rows[:, None] + 0.5
    upwards, downwards = (
        (low[:, 1] <= centres) & (centres < high[:, 1]) for low, high in ((start, end), (end, start))
    )  # (R, K)
    row, edge = np.nonzero(upwards | downwards)
    slope = (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])
    crossing = start[edge, 0] + (centres[row, 0] - start[edge, 1]) * slope
    column = np.clip(np.ceil(crossing - 0.5) - columns[0], 0, len(columns)).astype(np.int64)
    turns = np.zeros((len(rows), len(columns) + 1), np.int64)
    np.add.at(turns, (row, column), np.where(upwards[row, edge], 1, -1))
    return np.cumsum(turns[:, :-1], axis=1)


def _pixel_range(low: float, high: float, side: int) -> tuple[int, int]:
    """First and past-the-last of the pixels, 0 to side, that a shape between two coordinates can touch."""
    return int(min(max(math.floor(low), 0), side)), int(min(max(math.ceil(high), 0), side))
