"""Centres and second moments of many masks at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semsize.metrology.atlas import MARGIN_PX, Atlas, atlases
from semsize.structures.masks import CroppedMasks


@dataclass(frozen=True, eq=False)
class Moments:
    """Of N masks; NaN where one is empty.

    Attributes:
        centroid_px: (N, 2) row, column in the image, pixel centres at integers + 0.5.
        covariance_px2: (N, 2, 2) second central moments of the pixel centres over the area, in (row, column).
    """

    centroid_px: np.ndarray
    covariance_px2: np.ndarray


def measure_moments(masks: CroppedMasks) -> Moments:
    """Centroid and second central moments of N masks."""
    centroid = np.full((len(masks), 2), np.nan)
    covariance = np.full((len(masks), 2, 2), np.nan)
    for atlas in atlases(masks):
        centre, spread = _of_atlas(atlas)
        centroid[atlas.index] = centre + masks.origins[atlas.index] + 0.5
        covariance[atlas.index] = spread
    return Moments(centroid, covariance)


def _of_atlas(atlas: Atlas) -> tuple[np.ndarray, np.ndarray]:
    """Centre within the crop, pixel centres at integers, (M, 2), and covariance (M, 2, 2); exact sums of integers."""
    height, width = atlas.pixels.shape
    row = np.arange(height, dtype=np.float64) - MARGIN_PX
    strip = np.searchsorted(atlas.starts, np.arange(width), side="right") - 1
    column = np.arange(width, dtype=np.float64) - atlas.starts[strip] - MARGIN_PX
    count, rows, squares = np.stack([np.ones(height), row, row**2]) @ atlas.pixels.astype(np.float64)  # (W,) each
    area = atlas.sums(count)
    area[area == 0] = np.nan
    first = np.stack([atlas.sums(rows), atlas.sums(column * count)])  # (2, M)
    mixed = atlas.sums(column * rows)
    second = np.array([[atlas.sums(squares), mixed], [mixed, atlas.sums(column**2 * count)]])  # (2, 2, M)
    centre = first / area
    return centre.T, np.moveaxis(second / area - centre[:, None] * centre[None], 2, 0)
