"""Where the grey level falls beside a particle's outline, point by point and to a fraction of a pixel.

Offsets are in px along the outline's normal, positive outside. An outline of pixels is made smooth first: the distance
from it, averaged with a Gaussian of 1 px, is zero along a line that has no steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SMOOTHING_PX = 1.0
BAND_PX = 0.75
PLAIN_NORMAL = 0.8  # least slope of the smoothed distance at a point that is used
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
    """Of one outline."""

    points: np.ndarray  # (K, 2) row and column of the points where an edge was found
    offsets_px: np.ndarray  # (K,) how far outside the outline it lies there
    looked_at: int  # points where one was looked for


@dataclass(frozen=True, eq=False)
class OffsetSpread:
    """How offsets vary."""

    mean_px: float  # over all points
    between_std_px: float  # standard deviation of the outlines' means
    # (21,) covariance in px² of two points of an outline, after its mean, 0 to 20 px apart
    within_covariance: np.ndarray
    outlines: int  # how many


def smooth_distance(mask: np.ndarray) -> np.ndarray:
    """Smoothed distance from the outline of a mask (h, w), px, negative inside; about 4 px around it must be there."""
    inside, outside = (ndimage.distance_transform_edt(side) for side in (mask, ~mask))
    return ndimage.gaussian_filter(np.where(mask, 0.5 - inside, outside - 0.5), SMOOTHING_PX)


def edge_offsets(mask: np.ndarray, others: np.ndarray, grey: np.ndarray) -> Offsets:
    """Where the level has fallen by half from the particle's rim to the substrate, further than 7 px from others.

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
    """Where the level is lowest between the particle and one that touches it, if it rises by 12 on both sides.

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
    """Spread over outlines of so many points at least; NaN where there is none."""
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
    """Points on the smooth outline (K, 2) where allowed, and levels along their normals (K, len(DISTANCES_PX))."""
    distance = smooth_distance(mask)
    slope = np.stack(np.gradient(distance))
    steepness = np.hypot(*slope)
    band = (abs(distance) < BAND_PX) & where & (steepness > PLAIN_NORMAL)
    normal = (slope[:, band] / steepness[band]).T  # (K, 2)
    points = np.argwhere(band) - distance[band][:, None] * normal
    at = points[:, :, None] + normal[:, :, None] * DISTANCES_PX  # (K, 2, D)
    return points, ndimage.map_coordinates(np.asarray(grey, float), at.transpose(1, 0, 2), order=1, mode="nearest")
