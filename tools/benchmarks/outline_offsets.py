"""Offset of the grey level's edge from a particle's outline, point by point, to a fraction of a pixel.

Offsets are in px along the outline's normal, positive outside. The stepped outline of pixels is first made smooth: it
becomes the line on which the distance from it, averaged with a Gaussian of 1 px, is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SMOOTHING_PX = 1.0
BAND_PX = 0.75
PLAIN_NORMAL = 0.8  # least slope of the smoothed distance at a usable point
PROFILE_STEP_PX = 0.25
DISTANCES_PX = np.arange(-4, 6 + PROFILE_STEP_PX / 2, PROFILE_STEP_PX)
CLEAR_PX = 7.0
RIM_PX = 0.75  # the brightest level of a particle lies no further out than this
SUBSTRATE_PX = 3.5
LEAST_STEP = 30.0
VALLEY_RANGE_PX = (-2.0, 3.0)
VALLEY_DEPTH = 12.0
TOUCHING_PX = 2.6
LAGS_PX = np.arange(21)


@dataclass(frozen=True, eq=False)
class Offsets:
    """Offsets of edges from one outline."""

    points: np.ndarray  # (K, 2) row and column of the points where an edge was found
    offsets_px: np.ndarray  # (K,) distance of the edge from the outline, positive outside
    looked_at: int  # number of points searched


@dataclass(frozen=True, eq=False)
class OffsetSpread:
    """Mean and spread of the offsets of several outlines."""

    mean_px: float  # over all points
    between_std_px: float  # standard deviation of the outlines' means
    # (21,) covariance in px² of two points of an outline, after its mean, 0 to 20 px apart
    within_covariance: np.ndarray
    outlines: int  # number of outlines


def smooth_distance(mask: np.ndarray) -> np.ndarray:
    """Smoothed distance from the outline of a mask (h, w), px, negative inside; the mask needs a margin of 4 px."""
    inside, outside = (ndimage.distance_transform_edt(side) for side in (mask, ~mask))
    return ndimage.gaussian_filter(np.where(mask, 0.5 - inside, outside - 0.5), SMOOTHING_PX)


def edge_offsets(mask: np.ndarray, others: np.ndarray, grey: np.ndarray) -> Offsets:
    """Offsets where the level has fallen by half from the rim to the substrate, over 7 px from other particles.

    Args:
        mask: (h, w) bool, the particle with 10 px around it.
        others: (h, w) bool, other particles.
        grey: (h, w) levels.
    """
    clear = ndimage.distance_transform_edt(~others) > CLEAR_PX if others.any() else np.ones_like(mask)
    points, profiles = _profiles(mask, clear, grey)
    outside = profiles[:, DISTANCES_PX >= SUBSTRATE_PX].mean(axis=1)
    top = profiles[:, DISTANCES_PX <= RIM_PX].argmax(axis=1)
    peak = profiles[np.arange(len(points)), top]
    half = (peak + outside) / 2
    after = (profiles < half[:, None]) & (np.arange(len(DISTANCES_PX)) > top[:, None])
    found = after.any(axis=1) & (peak - outside >= LEAST_STEP)
    at, rows = after.argmax(axis=1)[found], np.flatnonzero(found)
    before, behind = profiles[rows, at - 1], profiles[rows, at]
    part = (before - half[rows]) / (before - behind)
    return Offsets(points[rows], DISTANCES_PX[at - 1] + part * PROFILE_STEP_PX, len(points))


def valley_offsets(mask: np.ndarray, others: np.ndarray, grey: np.ndarray) -> Offsets:
    """Offsets of the lowest level between touching particles, if the level rises by 12 on both sides.

    Arguments as for `edge_offsets`.
    """
    beside = (ndimage.distance_transform_edt(~others) <= TOUCHING_PX) & ~others if others.any() else others
    points, profiles = _profiles(mask, beside, grey)
    profiles = ndimage.gaussian_filter1d(profiles, 0.5 / PROFILE_STEP_PX, axis=1)
    low, high = np.searchsorted(DISTANCES_PX, VALLEY_RANGE_PX)
    lowest = profiles[:, low : high + 1].argmin(axis=1) + low
    near = abs(DISTANCES_PX) <= 4
    column = np.arange(len(DISTANCES_PX))
    before = np.where(column <= lowest[:, None], profiles, -np.inf).max(axis=1)
    behind = np.where((column >= lowest[:, None]) & near, profiles, -np.inf).max(axis=1)
    depth = np.minimum(before, behind) - profiles[np.arange(len(points)), lowest]
    found = (depth >= VALLEY_DEPTH) & (lowest > low) & (lowest < high)
    return Offsets(points[found], DISTANCES_PX[lowest[found]], len(points))


def offset_spread(outlines: Sequence[Offsets], least_points: int = 20) -> OffsetSpread:
    """Spread over outlines with at least `least_points` points; NaN without such outlines."""
    used = [outline for outline in outlines if len(outline.points) >= least_points]
    means = np.array([outline.offsets_px.mean() for outline in used])
    total, number = np.zeros((2, len(LAGS_PX)))
    for outline in used:
        rest = outline.offsets_px - outline.offsets_px.mean()
        apart = np.rint(np.hypot(*(outline.points[:, None] - outline.points[None]).transpose(2, 0, 1))).astype(int)
        apart[np.diag_indices(len(rest))] = 0
        chosen = (apart < len(LAGS_PX)) & ((apart > 0) | np.eye(len(rest), dtype=bool))
        total += np.bincount(apart[chosen], np.outer(rest, rest)[chosen], len(LAGS_PX))
        number += np.bincount(apart[chosen], minlength=len(LAGS_PX))
    with np.errstate(invalid="ignore"):
        covariance = total / number
    everything = np.concatenate([outline.offsets_px for outline in used]) if used else np.array([np.nan])
    between = float(means.std(ddof=1)) if len(means) > 1 else float("nan")
    return OffsetSpread(float(everything.mean()), between, covariance, len(used))


def _profiles(mask: np.ndarray, where: np.ndarray, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (K, 2) on the smooth outline within `where`, and levels along their normals (K, len(DISTANCES_PX))."""
    distance = smooth_distance(mask)
    slope = np.stack(np.gradient(distance))
    steepness = np.hypot(*slope)
    band = (abs(distance) < BAND_PX) & where & (steepness > PLAIN_NORMAL)
    normal = (slope[:, band] / steepness[band]).T  # (K, 2)
    points = np.argwhere(band) - distance[band][:, None] * normal
    at = points[:, :, None] + normal[:, :, None] * DISTANCES_PX  # (K, 2, D)
    return points, ndimage.map_coordinates(np.asarray(grey, float), at.transpose(1, 0, 2), order=1, mode="nearest")
