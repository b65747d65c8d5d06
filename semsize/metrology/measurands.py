"""Size and shape of single particles: equivalent circle diameter, Feret diameters, ellipse, perimeter."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from semsize.metrology.atlas import MARGIN_PX, Atlas, atlases
from semsize.metrology.hulls import convex_hulls, feret_diameters, hull_pixels
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize


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


STEPS = {
    4: ((0, 1), (1, 1), (1, 0), (1, -1)),
    8: ((0, 1), (1, 2), (1, 1), (2, 1), (1, 0), (2, -1), (1, -1), (1, -2)),
}
"""Steps (rows, columns) along lattice lines, by number of directions."""

DIRECTIONS = 8
"""Chosen by measured bias (docs/notebook/measurands.md): on straight edges four are off by up to 5 %, eight by 2 %."""


def perimeters(atlas: Atlas, directions: int = DIRECTIONS) -> np.ndarray:
    """Length of the outlines, those of holes included, of the M masks of an atlas, (M,) float64 px; 0 for an empty one.

    Perimeter = half the integral over all directions of the number of crossings with parallel lines a unit apart.
    Directions are weighted by the angle nearer to them than to any other.

    Source: Legland, Kiêu, Devaux, Image Analysis & Stereology 26 (2007) 83, doi:10.5566/ias.v26.p83-92.
    """
    steps = STEPS[directions]
    crossings = np.stack([atlas.sums(_changes(atlas.pixels, *step)) for step in steps])  # (D, M)
    angles = np.array([np.arctan2(rows, columns) % np.pi for rows, columns in steps])
    spacings = 1 / np.array([np.hypot(*step) for step in steps])  # between the lattice lines of a direction
    return (_angular_shares(angles) * spacings) @ crossings / 2


def _changes(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(W,) how many pixels of each column differ from the one a step further; strips are padded, so none is lost."""
    height, width = pixels.shape
    first = pixels[: height - rows, max(0, -columns) : width - max(0, columns)]
    second = pixels[rows:, max(0, columns) : width - max(0, -columns)]
    changes = np.zeros(width, np.int64)
    changes[max(0, -columns) : width - max(0, columns)] = (first != second).view(np.uint8).sum(axis=0, dtype=np.uint32)
    return changes


def _angular_shares(angles: np.ndarray) -> np.ndarray:
    """(D,) radians, π in all: the half circle divided among the directions, each taking what is nearest."""
    order = np.argsort(angles)
    gaps = np.diff(angles[order], append=angles[order][0] + np.pi)
    shares = np.empty_like(angles)
    shares[order] = (gaps + np.roll(gaps, 1)) / 2
    return shares


@dataclass(frozen=True, eq=False)
class SizeMeasurands:
    """Size of each of N particles, unrounded.

    A diameter is NaN where the mask is empty; everything in nanometres is NaN where the pixel size is not known.
    """

    area_px: np.ndarray  # (N,) float64, pixels
    ecd_px: np.ndarray  # (N,) float64
    area_nm2: np.ndarray  # (N,) float64
    ecd_nm: np.ndarray  # (N,) float64


@dataclass(frozen=True, eq=False)
class Measurands:
    """Size and shape of each of N particles, (N,) float64 each, unrounded.

    NaN where the mask is empty (its area and perimeter are 0); lengths in nanometres are NaN where the pixel size is
    not known. A mask in several pieces is measured as one particle, and the outlines of holes count to the perimeter.

    Attributes:
        area_px: pixels of the mask.
        ecd_px: diameter of the circle of that area.
        feret_min_px: smallest caliper width.
        feret_max_px: largest caliper width.
        perimeter_px: length of the outline.
        area_nm2: area in square nanometres.
        ecd_nm: diameter of the circle of that area, nanometres.
        feret_min_nm: smallest caliper width, nanometres.
        feret_max_nm: largest caliper width, nanometres.
        perimeter_nm: length of the outline, nanometres.
        aspect_ratio: smallest Feret diameter / largest, in (0, 1] (ISO 9276-6).
        circularity: perimeter of the circle of the same area / perimeter, 1 for a disk (ISO 9276-6); its square is the
            form factor 4π·area/perimeter², which some programs call circularity.
        solidity: area / pixels of the convex hull, in (0, 1]; 1 for every convex shape.
    """

    area_px: np.ndarray
    ecd_px: np.ndarray
    feret_min_px: np.ndarray
    feret_max_px: np.ndarray
    perimeter_px: np.ndarray
    area_nm2: np.ndarray
    ecd_nm: np.ndarray
    feret_min_nm: np.ndarray
    feret_max_nm: np.ndarray
    perimeter_nm: np.ndarray
    aspect_ratio: np.ndarray
    circularity: np.ndarray
    solidity: np.ndarray

    def __len__(self) -> int:
        return len(self.area_px)

    def __getitem__(self, index: slice | np.ndarray) -> Measurands:
        """Those of the particles at a slice or an array of integers or booleans."""
        return Measurands(*(getattr(self, field.name)[index] for field in fields(self)))

    def columns(self) -> dict[str, np.ndarray]:
        """Name to (N,) values, in the order above."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


MEASURANDS = tuple(field.name for field in fields(Measurands))
"""Names of all measurands, units included."""


def areas_px(masks: CroppedMasks) -> np.ndarray:
    """Projected area of each mask in pixels, (N,) float64."""
    return masks.areas.astype(np.float64)


def equivalent_circular_diameter(areas: np.ndarray) -> np.ndarray:
    """Diameter of the circle of the same area (ISO 9276-6), in the unit whose square the areas are in.

    Args:
        areas: any shape, not negative.

    Returns:
        Same shape, float64; NaN where the area is 0, as an empty mask has no diameter.
    """
    areas = np.asarray(areas, dtype=np.float64)
    return np.where(areas > 0, 2 * np.sqrt(areas / np.pi), np.nan)


def measure_sizes(masks: CroppedMasks, pixel_size: PixelSize | None = None) -> SizeMeasurands:
    """Area and equivalent circular diameter of N masks, in pixels and through `pixel_size` in nanometres."""
    area_px = areas_px(masks)
    ecd_px = equivalent_circular_diameter(area_px)
    area_nm2, ecd_nm = _in_nm2(area_px, pixel_size), _in_nm(ecd_px, pixel_size)
    return SizeMeasurands(area_px=area_px, ecd_px=ecd_px, area_nm2=area_nm2, ecd_nm=ecd_nm)


def measure(masks: CroppedMasks, pixel_size: PixelSize | None = None) -> Measurands:
    """All measurands of N masks, in pixels and through `pixel_size` in nanometres."""
    feret_min, feret_max, perimeter, hull = np.full((4, len(masks)), np.nan)
    for atlas in atlases(masks):
        hulls = convex_hulls(atlas)
        feret_min[atlas.index], feret_max[atlas.index] = feret_diameters(hulls)
        perimeter[atlas.index] = perimeters(atlas)
        hull[atlas.index] = hull_pixels(hulls)
    area = areas_px(masks)
    ecd = equivalent_circular_diameter(area)
    hull[hull == 0] = np.nan
    return Measurands(
        area_px=area,
        ecd_px=ecd,
        feret_min_px=feret_min,
        feret_max_px=feret_max,
        perimeter_px=perimeter,
        area_nm2=_in_nm2(area, pixel_size),
        ecd_nm=_in_nm(ecd, pixel_size),
        feret_min_nm=_in_nm(feret_min, pixel_size),
        feret_max_nm=_in_nm(feret_max, pixel_size),
        perimeter_nm=_in_nm(perimeter, pixel_size),
        aspect_ratio=feret_min / feret_max,
        circularity=np.pi * ecd / np.where(perimeter > 0, perimeter, np.nan),
        solidity=area / hull,
    )


def _in_nm(lengths_px: np.ndarray, pixel_size: PixelSize | None) -> np.ndarray:
    return np.full(len(lengths_px), np.nan) if pixel_size is None else pixel_size.to_nm(lengths_px)


def _in_nm2(areas: np.ndarray, pixel_size: PixelSize | None) -> np.ndarray:
    return np.full(len(areas), np.nan) if pixel_size is None else pixel_size.area_to_nm2(areas)
