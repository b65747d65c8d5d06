"""Masks of what a person draws (polygon, ellipse, brush stroke), and masks cut along a line.

Coordinates are x, y in pixels, pixel centres at integers + 0.5. A mask is a placed crop: (h, w) of uint8 0/1 and the
(row, column) of its first pixel.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from scipy import ndimage

from semsize.exchange.shapes import Ellipse, rasterise
from semsize.structures.masks import CroppedMasks, Placed, clip, tighten
from semsize.structures.polygons import FARTHEST_PX, ShapeError
from semsize.structures.rle import polygons_to_rles

MOST_POINTS = 20_000
"""Most points of a polygon or of a line that are accepted."""

LARGEST_BRUSH_PX = 500

MOST_PAINTED_PX = 2**25
"""Most pixels that are examined for one brush stroke, summed over its straight parts."""

SMALLEST_PART_PX = 4
"""Pixels that a part needs to become an outline of its own in a cut."""


class CorrectionError(ValueError):
    """An operation cannot be done; the message is one line for the person who asked for it."""


def polygon_mask(corners: Sequence[Sequence[float]], image_shape: tuple[int, int]) -> Placed:
    """Pixels of a polygon or of a closed freehand line, by COCO's rule, clipped to the image.

    Args:
        corners: (K, 2) of x, y, K from 3.
        image_shape: (H, W).

    Raises:
        CorrectionError: too few or too many corners, a corner that is no number or far outside, or no pixel inside.

    >>> polygon_mask([(0, 0), (3, 0), (3, 2), (0, 2)], (4, 5))[0].shape
    (2, 3)
    """
    points = _points(corners, 3, "a polygon")
    try:
        rles = polygons_to_rles([[points.ravel().tolist()]], image_shape)
    except ShapeError:
        raise CorrectionError("the polygon reaches far beyond its image; draw it again") from None
    return _filled(next(iter(CroppedMasks.from_rles(rles, image_shape))), "the polygon")


def ellipse_mask(
    center: Sequence[float], radii: Sequence[float], image_shape: tuple[int, int], angle: float = 0.0
) -> Placed:
    """Pixels whose centre lies within an ellipse, its border included, clipped to the image.

    Args:
        center: x, y.
        radii: half axes in px, above 0; equal for a disk.
        image_shape: (H, W).
        angle: degrees from the x axis to the first half axis, towards y.

    Raises:
        CorrectionError: a number is not finite or far too large, a half axis is not above 0, or no pixel is inside.

    >>> int(ellipse_mask((5, 5), (2, 2), (10, 10))[0].sum())
    12
    """
    numbers = np.array([*center, *radii, angle], np.float64)
    if not (np.abs(numbers) <= FARTHEST_PX).all() or min(radii) <= 0:
        raise CorrectionError("an ellipse needs a centre near the image and half axes above 0; draw it again")
    ellipse = Ellipse(tuple(center), tuple(radii), math.radians(angle))
    return _filled(tighten(*rasterise(ellipse, image_shape)), "the ellipse")


def stroke_mask(path: Sequence[Sequence[float]], radius: float, image_shape: tuple[int, int]) -> Placed:
    """Pixels that a round brush paints, with centres at most `radius` px from a line, clipped to the image.

    Args:
        path: (K, 2) of x, y, K from 1; neighbouring points are joined by straight lines.
        radius: of the brush in px, above 0.
        image_shape: (H, W).

    Raises:
        CorrectionError: the points or the radius are unusable, the stroke is too long, or no pixel is painted.

    >>> int(stroke_mask([(2, 2), (6, 2)], 2, (9, 9))[0].sum())
    28
    """
    points = _points(path, 1, "a brush stroke")
    if not 0 < radius <= LARGEST_BRUSH_PX:
        raise CorrectionError(f"a brush has a radius above 0 and up to {LARGEST_BRUSH_PX} px; choose another size")
    low, high = points.min(axis=0) - radius, points.max(axis=0) + radius
    first = np.clip(np.floor(low[::-1]), 0, image_shape).astype(int)
    stop = np.clip(np.ceil(high[::-1]) + 1, 0, image_shape).astype(int)
    frame = np.zeros(np.maximum(stop - first, 0), np.uint8)
    ends = np.concatenate([points[:1], points[:-1]]), points
    lengths = np.abs(ends[1] - ends[0]) + 2 * radius + 2
    if lengths.prod(axis=1).sum() > MOST_PAINTED_PX:
        raise CorrectionError("the brush stroke is too long; paint shorter ones")
    for start, end in zip(*ends, strict=True):
        _paint(frame, first, start, end, radius)
    return _filled(tighten(frame, (int(first[0]), int(first[1]))), "the brush stroke")


def _paint(frame: np.ndarray, first: np.ndarray, start: np.ndarray, end: np.ndarray, radius: float) -> None:
    """Set the pixels near the line from `start` to `end` in a frame whose first pixel is (row, column) `first`."""
    low = np.floor(np.minimum(start, end) - radius)[::-1].astype(int) - first
    high = np.ceil(np.maximum(start, end) + radius)[::-1].astype(int) + 1 - first
    (top, left), (bottom, right) = np.maximum(low, 0), np.minimum(high, frame.shape)
    if top >= bottom or left >= right:
        return
    down = np.arange(top, bottom)[:, None] + first[0] + 0.5 - start[1]
    across = np.arange(left, right)[None, :] + first[1] + 0.5 - start[0]
    x, y = end - start
    share = np.clip((across * x + down * y) / max(x * x + y * y, 1e-12), 0, 1)
    near = (across - share * x) ** 2 + (down - share * y) ** 2 <= radius**2
    frame[top:bottom, left:right] |= near.astype(np.uint8)


def without(mask: Placed, taken: Placed) -> Placed:
    """Pixels of a mask that are not in another one; an empty crop if none is left."""
    (crop, origin), (other, other_origin) = mask, taken
    part, (row, column) = clip(other, tuple(np.subtract(other_origin, origin)), crop.shape)
    left = crop.copy()
    left[row : row + part.shape[0], column : column + part.shape[1]] &= part == 0
    return tighten(left, origin)


def largest_pieces(whole: Placed, left: Placed) -> tuple[Placed, int]:
    """Keep the largest remaining piece of each piece of a mask, and count the pixels of the other remaining pieces.

    `left` is what remains of `whole`; pixels that meet at a corner belong to one piece.

    >>> largest_pieces((np.ones((1, 7), np.uint8), (0, 0)), (np.uint8([[1, 1, 0, 1, 1, 1, 1]]), (0, 0)))
    ((array([[1, 1, 1, 1]], dtype=uint8), (0, 3)), 2)
    """
    (crop, (row, column)), (before, origin) = left, whole
    if not crop.size:
        return left, 0
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(crop, connectivity=8)
    before_pieces = cv2.connectedComponents(before, connectivity=8)[1]
    above, beside = row - origin[0], column - origin[1]
    of_piece = np.zeros(count, np.int64)
    of_piece[pieces] = before_pieces[above : above + crop.shape[0], beside : beside + crop.shape[1]]
    areas = stats[1:, cv2.CC_STAT_AREA]
    order = np.argsort(areas, kind="stable")[::-1]
    kept = 1 + order[np.unique(of_piece[1:][order], return_index=True)[1]]
    mask = np.isin(pieces, kept).astype(np.uint8)
    return tighten(mask, (row, column)), int(areas.sum() - mask.sum())


def cut(mask: Placed, line: Sequence[Sequence[float]]) -> list[Placed]:
    """Cut a mask along a line into parts, the largest first; every pixel of the mask is in one part.

    A pixel goes to the side on which its centre lies. Parts below `SMALLEST_PART_PX` join the part nearest to them.
    Pieces of the mask that the line does not cut stay with the largest part.

    Args:
        mask: the mask to cut.
        line: (K, 2) of x, y, K from 2; neighbouring points are joined by straight lines.

    Raises:
        CorrectionError: the points are unusable, or the line does not cut the mask in two.

    >>> [part[0].shape for part in cut((np.ones((4, 10), np.uint8), (0, 0)), [(5, -1), (5, 6)])]
    [(4, 5), (4, 5)]
    """
    points = _points(line, 2, "a line")
    crop, (row, column) = mask
    _, pieces = cv2.connectedComponents(crop, connectivity=8)
    count, parts = cv2.connectedComponents(_steps(crop, points - (column, row)), connectivity=8)
    parts = parts[::2, ::2]
    sizes = np.bincount(parts.ravel(), minlength=count)
    piece_of = np.zeros(count, np.int64)
    piece_of[parts.ravel()] = pieces.ravel()
    large = [part for part in range(1, count) if sizes[part] >= SMALLEST_PART_PX]
    shared = np.bincount(piece_of[large], minlength=2)
    cut_parts = sorted((part for part in large if shared[piece_of[part]] > 1), key=lambda part: -sizes[part])
    if not cut_parts:
        raise CorrectionError("the line does not cut the outline in two; draw it from one side beyond the other")
    labels = np.where(np.isin(parts, cut_parts), parts, 0)
    whole = ~np.isin(pieces, piece_of[cut_parts]) & (crop > 0)
    labels[whole] = cut_parts[0]
    for piece in np.unique(piece_of[cut_parts]):  # pixels of parts that are too small join a part of the same piece
        here = np.where(pieces == piece, labels, 0)
        nearest = ndimage.distance_transform_edt(here == 0, return_distances=False, return_indices=True)
        labels = np.where((pieces == piece) & (labels == 0), here[tuple(nearest)], labels)
    return [tighten((labels == part).astype(np.uint8), (row, column)) for part in cut_parts]


def _steps(crop: np.ndarray, line: np.ndarray) -> np.ndarray:
    """A mask's pixels with a cell between neighbours, which is empty if a line separates them: (2 h - 1, 2 w - 1).

    The line is extended by half a pixel at both ends and shifted a little, so that it meets no pixel's centre. Where it
    begins decides to which side, so that lines through centres make no side larger on average.
    """
    aside = 1e-6 if int(np.floor(line[0].sum())) % 2 else -1e-6
    points = line + np.array([aside, 0.618 * aside])
    for end, beside in ((0, 1), (-1, -2)):
        way = line[end] - line[beside]
        points[end] += 0.5 * way / max(np.hypot(*way), 1e-9)
    down, across = _crossed(points, crop.shape), _crossed(points[:, ::-1], crop.shape[::-1]).T
    steps = np.zeros((2 * crop.shape[0] - 1, 2 * crop.shape[1] - 1), np.uint8)
    steps[::2, ::2] = crop
    steps[1::2, ::2] = crop[:-1] & crop[1:] & ~down
    steps[::2, 1::2] = crop[:, :-1] & crop[:, 1:] & ~across
    is_crossed = down[:, :-1] | down[:, 1:] | across[:-1] | across[1:]
    steps[1::2, 1::2] = (crop[:-1, :-1] & crop[1:, 1:] | crop[1:, :-1] & crop[:-1, 1:]) & ~is_crossed
    return steps


def _crossed(line: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h - 1, w) bool: whether a line runs between the centres of a pixel and of the pixel below."""
    crossed = np.zeros((shape[0] - 1, shape[1]), bool)
    for (x, y), (to_x, to_y) in pairwise(line):
        columns = np.arange(*np.clip(np.ceil(np.sort((x, to_x)) - 0.5), 0, shape[1]).astype(int))
        rows = np.floor(y + (to_y - y) * (columns + 0.5 - x) / (to_x - x if to_x != x else 1) - 0.5).astype(int)
        is_in = (rows >= 0) & (rows < shape[0] - 1)
        crossed[rows[is_in], columns[is_in]] = True
    return crossed


def _points(values: Sequence[Sequence[float]], fewest: int, what: str) -> np.ndarray:
    """Check the number and the range of points, and return them as (K, 2) float64 of x, y."""
    if not fewest <= len(values) <= MOST_POINTS:
        raise CorrectionError(f"{what} needs {fewest} to {MOST_POINTS} points, got {len(values)}; draw it again")
    try:
        points = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.shape != (len(values), 2) or not (np.abs(points) <= FARTHEST_PX).all():
        raise CorrectionError(f"a point of {what} is no pair of numbers, or far outside any image; draw it again")
    return points


def _filled(mask: Placed, what: str) -> Placed:
    if mask[0].size == 0:
        raise CorrectionError(f"{what} holds no pixel of the image; draw it larger, or within the image")
    return mask
