"""Turns the shapes of annotation tools into pixels, and masks into polygons.

Coordinates are (x, y) in pixels with (0, 0) at the image's upper left corner, so that pixel centres lie at integers +
0.5, as in VIA, LabelMe, COCO and ImageJ's areas. A pixel belongs to a shape if its centre does; a centre exactly on a
polygon's edge belongs to the polygon to the right or below, so that neighbours neither overlap nor leave a gap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import cv2
import numpy as np

from semsize.structures.masks import Placed
from semsize.structures.polygons import ShapeError, polygons

_EDGES_AT_ONCE = 64  # edges that are compared at once with all edges that overlap them in x
Bounds = tuple[float, float, float, float]

_NO_PIXELS: Placed = (np.zeros((0, 0), np.uint8), (0, 0))


@dataclass(frozen=True, eq=False)
class Polygon:
    """A particle, or a piece of one, as one or more rings; a ring encloses the points that it winds round."""

    rings: tuple[np.ndarray, ...]  # (K, 2) float64 arrays of corners, open or closed
    with_holes: bool = False  # True: points that an odd number of rings enclose lie inside; False: that any does

    def __post_init__(self):
        if not self.rings:
            raise ShapeError("they have no outline")
        for ring in self.rings:
            if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
                raise ShapeError("they have fewer than three corners")
            if not np.isfinite(ring).all():
                raise ShapeError("a coordinate is not a number")

    @property
    def bounds(self) -> Bounds:
        """The box (x1, y1, x2, y2) around the shape."""
        corners = np.concatenate(self.rings)
        return *corners.min(axis=0), *corners.max(axis=0)

    def covers(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Whether each pixel centre of a window lies inside, (R, C) bool; `rows` and `columns` have no gaps."""
        filled = [winding_numbers(ring, rows, columns) != 0 for ring in self.rings]
        return np.logical_xor.reduce(filled) if self.with_holes else np.logical_or.reduce(filled)


@dataclass(frozen=True)
class Ellipse:
    """An ellipse, or a circle."""

    centre: tuple[float, float]  # (x, y)
    semi_axes: tuple[float, float]  # positive; the first lies along x if `angle` is 0
    angle: float = 0.0  # radians, from x towards y (clockwise on the screen)

    def __post_init__(self):
        if not all(map(math.isfinite, (*self.centre, *self.semi_axes, self.angle))):
            raise ShapeError("a coordinate is not a number")
        if min(self.semi_axes) <= 0:
            raise ShapeError("their radius is not above 0")

    @property
    def bounds(self) -> Bounds:
        """The box (x1, y1, x2, y2) around the shape."""
        (x, y), (a, b) = self.centre, self.semi_axes
        half_width = math.hypot(a * math.cos(self.angle), b * math.sin(self.angle))
        half_height = math.hypot(a * math.sin(self.angle), b * math.cos(self.angle))
        return x - half_width, y - half_height, x + half_width, y + half_height

    def covers(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Whether each pixel centre of a window lies inside, (R, C) bool."""
        x, y = columns[None, :] + 0.5 - self.centre[0], rows[:, None] + 0.5 - self.centre[1]
        along = x * math.cos(self.angle) + y * math.sin(self.angle)
        across = y * math.cos(self.angle) - x * math.sin(self.angle)
        return (along / self.semi_axes[0]) ** 2 + (across / self.semi_axes[1]) ** 2 <= 1


@dataclass(frozen=True, eq=False)
class Bitmap:
    """A mask that the source stores as pixels."""

    crop: np.ndarray  # (h, w), zero is background
    origin: tuple[int, int]  # (row, column) of its first pixel; may lie outside the image

    @property
    def bounds(self) -> Bounds:
        """The box (x1, y1, x2, y2) around the pixels that are set; a point if none is."""
        row, column = self.origin
        rows, columns = np.flatnonzero(self.crop.any(axis=1)), np.flatnonzero(self.crop.any(axis=0))
        if len(rows) == 0:
            return column, row, column, row
        return column + columns[0], row + rows[0], column + columns[-1] + 1, row + rows[-1] + 1

    def covers(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Whether each pixel of a window is set, (R, C) bool; the window lies within the crop."""
        return self.crop[np.ix_(rows - self.origin[0], columns - self.origin[1])] != 0


Shape = Polygon | Ellipse | Bitmap


def rectangle(x1: float, y1: float, x2: float, y2: float) -> Polygon:
    """Return the upright rectangle between two opposite corners."""
    return Polygon((np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64),))


def polygon_shapes(value: Any) -> tuple[Polygon, ...]:
    """Return one particle's polygons, with their holes, from a JSON value in any form that `polygons` reads.

    Raises:
        ShapeError: the value is malformed or can be read in two ways, or an outline crosses its hole.
    """
    found = polygons(value)
    if any(cross(a, b) for rings in found for a, b in combinations(rings, 2)):
        raise ShapeError("an outline and its hole cross")
    if len(found) == 2 and len(found[0]) == len(found[1]) == 1 and _are_x_and_y(found[0][0], found[1][0]):
        raise ShapeError("their two lists may be two outlines, or the x and the y of one")
    return tuple(Polygon(tuple(rings), with_holes=len(rings) > 1) for rings in found)


def _are_x_and_y(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two flat lists, which were read as (x, y) pairs, more likely hold all x and all y of one ring.

    Neighbouring values in a list of x are similar, so that pairs of them lie along the line x = y.
    """
    x, y = first.ravel(), second.ravel()
    if len(x) != len(y):
        return False
    alike = (np.abs(np.diff(ring, axis=1)).max() <= 0.6 * np.ptp(ring) for ring in (first, second))
    return all(alike) and not crosses_itself(np.stack([x, y], axis=1))


def rasterise(shape: Shape, image_shape: tuple[int, int]) -> Placed:
    """Return the pixels of a shape in an image of (H, W); the crop spans the bounds within it and may be empty."""
    x1, y1, x2, y2 = shape.bounds
    top, bottom, left, right = (
        int(min(max(rounded(end), 0), side))
        for ends, side in (((y1, y2), image_shape[0]), ((x1, x2), image_shape[1]))
        for rounded, end in zip((math.floor, math.ceil), ends, strict=True)
    )
    if top >= bottom or left >= right:
        return _NO_PIXELS
    return shape.covers(np.arange(top, bottom), np.arange(left, right)).astype(np.uint8), (top, left)


def union(shapes: Sequence[Shape], image_shape: tuple[int, int]) -> Placed:
    """Return the pixels of several shapes that make one particle."""
    placed = [(crop, origin) for crop, origin in (rasterise(shape, image_shape) for shape in shapes) if crop.size]
    return joined(placed) if placed else _NO_PIXELS


def joined(masks: Sequence[Placed]) -> Placed:
    """Return the pixels of one or more masks; the crop spans all their crops."""
    if len(masks) == 1:
        return masks[0]
    top, left = np.min([origin for _, origin in masks], axis=0)
    bottom, right = np.max([np.add(origin, crop.shape) for crop, origin in masks], axis=0)
    frame = np.zeros((bottom - top, right - left), np.uint8)
    for crop, (row, column) in masks:
        frame[row - top : row - top + crop.shape[0], column - left : column - left + crop.shape[1]] |= crop
    return frame, (int(top), int(left))


def leaves(shape: Shape, image_shape: tuple[int, int]) -> bool:
    """Whether a shape reaches so far beyond an image of (H, W) that it could cover a pixel centre there."""
    x1, y1, x2, y2 = shape.bounds
    return min(x1, y1) < -0.5 or x2 > image_shape[1] + 0.5 or y2 > image_shape[0] + 0.5


def winding_numbers(corners: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return how often a ring winds round the centre of each pixel of a window, (R, C) int; 0 is outside.

    Each edge that crosses a row of centres counts from the first centre at or right of the crossing.
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


def crosses_itself(corners: np.ndarray) -> bool:
    """Whether two edges of a ring (K, 2), open or closed, cross; see `cross`."""
    return cross(corners, corners)


def cross(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether an edge of a ring (K, 2) crosses an edge of a ring (L, 2), open or closed, at a point inside both edges.

    The rings may be the same. Edges that only touch, share a corner or lie on one another do not count.
    """
    order = np.argsort(np.minimum(first[:, 0], np.roll(first[:, 0], -1)))  # so that blocks of edges are narrow
    start, end = first[order], np.roll(first, -1, axis=0)[order]
    other_end = np.roll(second, -1, axis=0)
    left, right = np.minimum(second[:, 0], other_end[:, 0]), np.maximum(second[:, 0], other_end[:, 0])
    for at in range(0, len(start), _EDGES_AT_ONCE):
        a, b = start[at : at + _EDGES_AT_ONCE, None], end[at : at + _EDGES_AT_ONCE, None]
        near = (left <= max(a[..., 0].max(), b[..., 0].max())) & (right >= min(a[..., 0].min(), b[..., 0].min()))
        if _any_cross(a, b, second[None, near], other_end[None, near]):
            return True
    return False


def _any_cross(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> bool:
    """Whether any edge a-b properly crosses any edge c-d; arrays (N, 1, 2) and (1, M, 2)."""

    def side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
        along, towards = end - start, point - start
        return np.sign(along[..., 0] * towards[..., 1] - along[..., 1] * towards[..., 0])

    return bool(((side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)).any())


def mask_polygons(crop: np.ndarray, origin: tuple[int, int]) -> list[np.ndarray]:
    """Return the polygons of a mask along its pixels' edges; rasterised again, they give the same mask exactly.

    Each piece and each hole has a polygon. Pieces that touch only at a corner have two, holes that touch only at a
    corner have one. Pieces run clockwise on the screen, holes the other way; `ring_area` tells them apart.

    Returns:
        (K, 2) float64 corners (x, y) at whole pixels; the first is not repeated, and none lies on a straight line.
    """
    # OpenCV follows pixel centres and joins pixels that touch at a corner. So we follow the ground, not the mask, at
    # twice its size: the centres x = 2 c and 2 c + 1 of pixel c then lead to its edges c and c + 1 as (x + 1) // 2.
    ground = np.pad(np.asarray(crop) == 0, 1, constant_values=True).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    contours, _ = cv2.findContours(ground, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = []
    for contour in contours:
        if contour.min() == 0:  # the border of the frame that was padded on
            continue
        ring = (contour[:, 0] + 1) // 2 - 1
        ring = ring[np.any(ring != np.roll(ring, 1, axis=0), axis=1)]
        step = np.sign(ring - np.roll(ring, 1, axis=0))
        ring = ring[np.any(step != np.roll(step, -1, axis=0), axis=1)]
        to_right = np.flatnonzero(np.roll(ring[:, 0], -1) > ring[:, 0])
        rings.append(np.roll(ring, -to_right[np.lexsort(ring[to_right].T)[0]], axis=0))
    rings.sort(key=lambda ring: (ring[0, 1], ring[0, 0]))
    return [ring + np.array(origin[::-1], np.float64) for ring in rings]


def simple_polygons(crop: np.ndarray, origin: tuple[int, int]) -> list[np.ndarray]:
    """Return one polygon per piece of a mask, for formats without holes: a slit of no width cuts each hole open.

    Rasterised again by their winding numbers and joined, they give the same mask, holes included.
    """
    rings = mask_polygons(crop, origin)
    pieces = [ring for ring in rings if ring_area(ring) > 0]
    holes = [ring for ring in rings if ring_area(ring) < 0]
    for hole in sorted(holes, key=lambda ring: ring[:, 1].min()):
        _cut_open(pieces, hole)
    return pieces


def _cut_open(pieces: list[np.ndarray], hole: np.ndarray) -> None:
    """Join a hole to one of `pieces`, in place, by a slit from its topmost corner straight up to the next edge.

    The edge is that of a piece, or of a hole that begins higher up and has therefore been joined to a piece before.
    """
    first = np.lexsort(hole.T)[0]  # the topmost corner, the leftmost of several
    x, y = hole[first]
    slit_end = -np.inf
    for number, piece in enumerate(pieces):
        end = np.roll(piece, -1, axis=0)
        level = piece[:, 1] == end[:, 1]
        beneath = np.minimum(piece[:, 0], end[:, 0]) <= x
        over = x < np.maximum(piece[:, 0], end[:, 0])
        for edge in np.flatnonzero(level & beneath & over & (piece[:, 1] < y)):
            if piece[edge, 1] > slit_end:
                slit_end, met, after = piece[edge, 1], number, edge + 1
    there, back = np.roll(hole, -first, axis=0), hole[first]
    pieces[met] = np.concatenate(
        [pieces[met][:after], [(x, slit_end)], there, [back, (x, slit_end)], pieces[met][after:]]
    )


def ring_area(ring: np.ndarray) -> float:
    """Return the signed area of a ring (K, 2), positive if the ring runs clockwise on the screen."""
    x, y = (ring - ring[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
