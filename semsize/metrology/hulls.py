"""Convex hulls of many masks at once, their Feret diameters and numbers of pixels.

Crops lie side by side in one array, an atlas, so that most of the work is array operations on many masks together.
A hull encloses the pixels' centres; the outermost pixels of each row suffice to compute it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from semsize.structures.masks import CroppedMasks

MARGIN_PX = 2  # background columns and rows around each crop: as many as the perimeter's longest step covers

LARGEST_ATLAS_PX = 1_000_000


@dataclass(frozen=True, eq=False)
class Atlas:
    """M masks of a set side by side, each in a strip of columns."""

    pixels: np.ndarray  # (H, W) bool
    index: np.ndarray  # (M,) number in the set of each strip's mask
    starts: np.ndarray  # (M,) first column of each strip, ascending; crop column c stands at ``starts + MARGIN_PX + c``

    def sums(self, columns: np.ndarray) -> np.ndarray:
        """Sum the values (W,) of the columns over each strip, giving (M,)."""
        return np.add.reduceat(columns, self.starts)


def atlases(masks: CroppedMasks) -> Iterator[Atlas]:
    """Yield atlases of all masks, tall masks first; an atlas of several masks has at most `LARGEST_ATLAS_PX` pixels."""
    sizes = masks.sizes + 2 * MARGIN_PX  # (N, 2) height, width
    order = np.argsort(-sizes[:, 0], kind="stable")
    first = 0
    while first < len(order):
        height = sizes[order[first], 0]
        ends = np.cumsum(sizes[order[first:], 1])
        count = max(1, int(np.searchsorted(ends * height, LARGEST_ATLAS_PX, side="right")))
        chosen = order[first : first + count]
        starts = ends[:count] - sizes[chosen, 1]
        pixels = np.zeros((height, ends[count - 1]), bool)
        for index, start in zip(chosen.tolist(), starts.tolist(), strict=True):
            crop, left = masks.crops[index], start + MARGIN_PX
            pixels[MARGIN_PX : MARGIN_PX + crop.shape[0], left : left + crop.shape[1]] = crop
        yield Atlas(pixels, chosen, starts)
        first += count


FURTHEST_PX = 0.71  # largest distance of the outline's corner from the hull's: half the diagonal of a pixel

CUT_EDGE_PX, CUT_SIDE_PX, CUT_REACH_PX = 2.3, 2.5, 1.25
CUT_TURN = np.radians(75)
"""An edge cuts off a corner that fell between pixels if it is up to 2.3 px long and its neighbours are at least 2.5 px
long, turn by 75° or more and meet within 1.25 px of its middle. Fitted to errors (docs/notebook/measurands.md)."""


@dataclass(frozen=True, eq=False)
class Hulls:
    """Hulls of M masks, strictly convex."""

    vertices: np.ndarray  # (M, V, 2) int64 (row, column) in the strip, around the hull, padded with the last vertex
    counts: np.ndarray  # (M,) vertices of each hull, 0 where the mask is empty

    def around(self, values: np.ndarray, steps: int) -> np.ndarray:
        """Return the values (M, V, …) of the vertices ``steps`` further around; padding repeats the last vertex's."""
        counts = np.maximum(self.counts, 1)[:, None]
        place = (np.minimum(np.arange(self.vertices.shape[1]), counts - 1) + steps) % counts
        return np.take_along_axis(values, place.reshape(*place.shape, *[1] * (values.ndim - 2)), axis=1)


def convex_hulls(atlas: Atlas) -> Hulls:
    """Return the hull of each mask of an atlas; 25,000 ellipses of 15 to 60 px take 0.6 s on one core."""
    left, right, occupied = _row_extremes(atlas)  # (M, H) each
    rows = np.broadcast_to(np.arange(left.shape[1]), left.shape)
    ends = np.stack([np.concatenate([rows, rows], axis=1), np.concatenate([left, right], axis=1)], axis=2)
    known = np.concatenate([occupied, occupied], axis=1)
    counts = np.zeros(len(left), np.int64)
    vertices = np.zeros((len(left), max(1, int(known.sum(axis=1).max(initial=0))), 2), np.int64)
    for number in np.flatnonzero(occupied.any(axis=1)):
        hull = cv2.convexHull(ends[number, known[number]].astype(np.int32), clockwise=True)[:, 0]
        counts[number] = len(hull)
        vertices[number, : len(hull)], vertices[number, len(hull) :] = hull, hull[-1]
    return Hulls(vertices[:, : max(1, counts.max(initial=0))], counts)


def feret_diameters(hulls: Hulls) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and largest caliper width, (M,) float64 px each; NaN where the mask is empty.

    An edge of the hull lies on a lattice line, and the outline between that line and the next one outwards, a gap of
    1/√(a² + b²) px for an edge along (a, b) in lowest terms: 1 px along rows and columns, almost 0 along oblique edges.
    The smallest width stands on an edge and gains half the gap on either side. The largest runs between two corners:
    each edge moves out by half its gap, and corners are where neighbouring edges then meet. Where a short edge cuts off
    a corner that fell between pixels (`CUT_TURN`), the corner is where the neighbours of that edge meet.
    """
    vertices = hulls.vertices.astype(np.float64)  # (M, V, 2)
    edges = hulls.around(vertices, 1) - vertices
    normals, gaps = _outward(edges)
    normals_in, gaps_in = hulls.around(normals, -1), hulls.around(gaps, -1)
    reach = (normals * vertices).sum(axis=2)
    smallest = (reach - (normals @ vertices.transpose(0, 2, 1)).min(axis=2) + gaps).min(axis=1)
    to_corners = _meeting_points(normals_in, gaps_in / 2, normals, gaps / 2)
    distances = np.hypot(to_corners[..., 0], to_corners[..., 1])
    to_corners *= np.minimum(1, FURTHEST_PX / np.maximum(distances, FURTHEST_PX))[..., None]
    corners = _with_cut_corners(hulls, edges, normals, gaps, vertices + to_corners)
    squares = (corners**2).sum(axis=2)  # (M, V)
    squared_distances = squares[:, :, None] + squares[:, None] - 2 * corners @ corners.transpose(0, 2, 1)
    largest = np.sqrt(squared_distances.max(axis=(1, 2)))
    largest = np.where(hulls.counts == 2, largest + 1, np.maximum(largest, smallest))  # 2: a straight line of pixels
    results = np.where(hulls.counts == 1, 1.0, (smallest, largest))  # a single pixel
    smallest, largest = np.where(hulls.counts == 0, np.nan, results)
    return smallest, largest


def hull_pixels(hulls: Hulls) -> np.ndarray:
    """Count the pixels whose centres lie in the hull or on it, (M,) int64; 0 where the mask is empty.

    By Pick's theorem: area + lattice points on the border / 2 + 1.
    """
    points = hulls.vertices
    following = np.roll(points, -1, axis=1)
    twice_area = np.abs((points[..., 0] * following[..., 1] - points[..., 1] * following[..., 0]).sum(axis=1))
    edges = following - points
    border = np.gcd(np.abs(edges[..., 0]), np.abs(edges[..., 1])).sum(axis=1)
    return np.where(hulls.counts > 0, (twice_area + border) // 2 + 1, 0)


def _outward(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (M, V, 2) out of the hull, and the distance (M, V) from each edge to the next lattice line."""
    lengths = np.hypot(edges[..., 0], edges[..., 1])
    lengths[lengths == 0] = np.inf  # hulls of one pixel
    normals = np.stack([-edges[..., 1], edges[..., 0]], axis=2) / lengths[..., None]
    steps = abs(edges).astype(np.int64)
    return normals, np.gcd(steps[..., 0], steps[..., 1]) / lengths


def _meeting_points(n1: np.ndarray, out1: np.ndarray, n2: np.ndarray, out2: np.ndarray) -> np.ndarray:
    """(M, V, 2) from a point to where two lines meet that lie out1 and out2 px off it along n1 and n2; parallels: 0."""
    determinant = n1[..., 0] * n2[..., 1] - n1[..., 1] * n2[..., 0]
    determinant = np.where(abs(determinant) > 1e-9, determinant, np.inf)
    rows = (out1 * n2[..., 1] - out2 * n1[..., 1]) / determinant
    columns = (out2 * n1[..., 0] - out1 * n2[..., 0]) / determinant
    return np.stack([rows, columns], axis=2)


def _with_cut_corners(
    hulls: Hulls, edges: np.ndarray, normals: np.ndarray, gaps: np.ndarray, corners: np.ndarray
) -> np.ndarray:
    """The corners (M, V, 2); if an edge cuts one off, the edge's first end is moved to where its neighbours meet."""
    lengths = np.hypot(edges[..., 0], edges[..., 1])
    before, after = (hulls.around(normals, steps) for steps in (-1, 1))
    from_middle = [
        hulls.around(gaps, steps) / 2 + (normal * half).sum(axis=2)
        for steps, normal, half in ((-1, before, -edges / 2), (1, after, edges / 2))
    ]  # px out from the edge's middle to its neighbours' lines
    to_corner = _meeting_points(before, from_middle[0], after, from_middle[1])
    is_cut = (
        (lengths <= CUT_EDGE_PX)
        & (np.minimum(hulls.around(lengths, -1), hulls.around(lengths, 1)) >= CUT_SIDE_PX)
        & ((before * after).sum(axis=2) <= np.cos(CUT_TURN))
        & ((to_corner * normals).sum(axis=2) > 0)  # the sides meet outside the edge
        & (np.hypot(to_corner[..., 0], to_corner[..., 1]) <= CUT_REACH_PX)
        & (hulls.counts >= 3)[:, None]
    )
    return np.where(is_cut[..., None], hulls.vertices + edges / 2 + to_corner, corners)


def _row_extremes(atlas: Atlas) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last column (within the strip) of the mask in each row, and whether the row has any: (M, H) each."""
    width = atlas.pixels.shape[1]
    strip = np.searchsorted(atlas.starts, np.arange(width), side="right") - 1
    column = (np.arange(width) - atlas.starts[strip] + 1).astype(np.int32)  # from 1: 0 is no pixel
    right = np.maximum.reduceat(atlas.pixels * column, atlas.starts, axis=1)
    left = width - np.maximum.reduceat(atlas.pixels * (width - column), atlas.starts, axis=1)
    return left.T.astype(np.int64), right.T.astype(np.int64), (right > 0).T
