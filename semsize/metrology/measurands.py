"""Size and shape of single particles: area, equivalent circular diameter, Feret diameters, perimeter, centroid."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

from semsize.metrology.hulls import Atlas, atlases, convex_hulls, feret_diameters, hull_pixels
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize

STEPS = ((0, 1), (1, 2), (1, 1), (2, 1), (1, 0), (2, -1), (1, -1), (1, -2))
"""Steps (rows, columns) in the perimeter's eight directions: straight edges come out up to 2 % wrong, with four
directions 5 % (docs/notebook/measurands.md)."""


@dataclass(frozen=True, eq=False)
class Measurands:
    """Size and shape of each of N particles, (N,) float64 each, unrounded.

    An empty mask has area and perimeter 0, all else NaN; values in nanometres are NaN if the pixel size is not known.
    A mask in several pieces is measured as one particle, and the perimeter includes the outlines of holes.
    """

    area_px: np.ndarray  # pixels of the mask
    ecd_px: np.ndarray  # diameter of the circle of that area (ISO 9276-6)
    feret_min_px: np.ndarray  # smallest caliper width
    feret_max_px: np.ndarray  # largest caliper width
    perimeter_px: np.ndarray  # length of the outline
    area_nm2: np.ndarray
    ecd_nm: np.ndarray
    feret_min_nm: np.ndarray
    feret_max_nm: np.ndarray
    perimeter_nm: np.ndarray
    aspect_ratio: np.ndarray  # smallest Feret diameter / largest, in (0, 1] (ISO 9276-6)
    # perimeter of the circle of the same area / perimeter, 1 for a disk (ISO 9276-6); its square is the form factor
    # 4π·area/perimeter², which some programs call circularity
    circularity: np.ndarray
    solidity: np.ndarray  # area / pixels of the convex hull, in (0, 1]; 1 for every convex shape

    def columns(self) -> dict[str, np.ndarray]:
        """Return the (N,) values of each of `MEASURANDS`, by name."""
        return {name: getattr(self, name) for name in MEASURANDS}


MEASURANDS = tuple(field.name for field in fields(Measurands))  # names of all measurands, units included


def equivalent_circular_diameter(areas: np.ndarray) -> np.ndarray:
    """Return the diameter of the circle of the same area (ISO 9276-6), in the unit whose square the areas are in.

    Args:
        areas: any shape, not negative.

    Returns:
        Same shape, float64; NaN where the area is 0, as an empty mask has no diameter.

    >>> equivalent_circular_diameter([100 * np.pi, 0])
    array([20., nan])
    """
    areas = np.asarray(areas, dtype=np.float64)
    return np.where(areas > 0, 2 * np.sqrt(areas / np.pi), np.nan)


def measure(masks: CroppedMasks, pixel_size: PixelSize | None = None) -> Measurands:
    """Measure N masks, in pixels and, if `pixel_size` is given, in nanometres.

    >>> bar = CroppedMasks.from_crops([(np.ones((3, 4)), (5, 7))], image_shape=(20, 20))
    >>> found = measure(bar, PixelSize(2.0))
    >>> found.area_px, found.feret_min_nm, found.feret_max_px
    (array([12.]), array([6.]), array([5.]))
    """
    feret_min, feret_max, perimeter, hull = np.full((4, len(masks)), np.nan)
    for atlas in atlases(masks):
        hulls = convex_hulls(atlas)
        feret_min[atlas.index], feret_max[atlas.index] = feret_diameters(hulls)
        perimeter[atlas.index] = _perimeters(atlas)
        hull[atlas.index] = hull_pixels(hulls)
    hull[hull == 0] = np.nan
    area = masks.areas.astype(np.float64)
    ecd = equivalent_circular_diameter(area)
    unknown = np.full(len(masks), np.nan)
    lengths_nm = [
        unknown if pixel_size is None else pixel_size.to_nm(px) for px in (ecd, feret_min, feret_max, perimeter)
    ]
    return Measurands(
        *(area, ecd, feret_min, feret_max, perimeter),
        unknown if pixel_size is None else pixel_size.area_to_nm2(area),
        *lengths_nm,
        aspect_ratio=feret_min / feret_max,
        circularity=np.pi * ecd / np.where(perimeter > 0, perimeter, np.nan),
        solidity=area / hull,
    )


def centroids_px(masks: CroppedMasks) -> np.ndarray:
    """Return (N, 2) mean (row, column) of each mask's pixels, px, centres at integers + 0.5; NaN for an empty mask.

    >>> centroids_px(CroppedMasks.from_crops([(np.ones((3, 4)), (5, 7))], image_shape=(20, 20)))
    array([[6.5, 9. ]])
    """
    centres = np.full((len(masks), 2), np.nan)
    for number in np.flatnonzero(masks.areas):
        sums = cv2.moments(masks.crops[number], binaryImage=True)
        centres[number] = sums["m01"] / sums["m00"], sums["m10"] / sums["m00"]
    return centres + masks.origins + 0.5


def _perimeters(atlas: Atlas) -> np.ndarray:
    """Length of the outlines, with those of holes, of the M masks of an atlas, (M,) float64 px; 0 for an empty mask.

    Perimeter = half the integral over all directions of the number of crossings with parallel lines a unit apart.
    A direction's weight is the range of angles that are nearer to it than to any other direction.

    Source: Legland, Kiêu, Devaux, Image Analysis & Stereology 26 (2007) 83, doi:10.5566/ias.v26.p83-92.
    """
    crossings = np.stack([atlas.sums(_changes(atlas.pixels, *step)) for step in STEPS])  # (D, M)
    angles = np.array([np.arctan2(rows, columns) % np.pi for rows, columns in STEPS])
    spacings = 1 / np.array([np.hypot(*step) for step in STEPS])  # between the lattice lines of a direction
    return (_angular_shares(angles) * spacings) @ crossings / 2


def _changes(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(W,) pixels of each column that differ from the pixel a step further; margins keep steps within a strip."""
    height, width = pixels.shape
    first = pixels[: height - rows, max(0, -columns) : width - max(0, columns)]
    second = pixels[rows:, max(0, columns) : width - max(0, -columns)]
    changes = np.zeros(width, np.int64)
    changes[max(0, -columns) : width - max(0, columns)] = (first != second).view(np.uint8).sum(axis=0, dtype=np.uint32)
    return changes


def _angular_shares(angles: np.ndarray) -> np.ndarray:
    """(D,) radians, π in all: the half circle divided among the directions, each taking the angles nearest to it."""
    order = np.argsort(angles)
    gaps = np.diff(angles[order], append=angles[order][0] + np.pi)
    shares = np.empty_like(angles)
    shares[order] = (gaps + np.roll(gaps, 1)) / 2
    return shares
