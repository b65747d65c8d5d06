"""What is measured on a particle's mask; the estimators were chosen by measured bias (docs/notebook/measurands.md)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from semsize.metrology.atlas import atlases
from semsize.metrology.hulls import convex_hulls, feret_diameters, hull_pixels
from semsize.metrology.perimeter import perimeters
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize


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
        area_nm2: area in square nanometres; likewise the lengths with ``_nm``.
        ecd_nm: see above.
        feret_min_nm: see above.
        feret_max_nm: see above.
        perimeter_nm: see above.
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
