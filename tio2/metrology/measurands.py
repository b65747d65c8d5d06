"""What is measured on a particle: its projected area and equivalent circular diameter first."""

from dataclasses import dataclass

import numpy as np

from tio2.structures.masks import CroppedMasks
from tio2.structures.pixel_size import PixelSize


@dataclass(frozen=True, eq=False)
class SizeMeasurands:
    """Size of each of N particles, unrounded.

    A diameter is NaN where the mask is empty; everything in nanometres is NaN where the pixel size is not known.
    """

    area_px: np.ndarray  # (N,) float64, pixels
    ecd_px: np.ndarray  # (N,) float64
    area_nm2: np.ndarray  # (N,) float64
    ecd_nm: np.ndarray  # (N,) float64


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
    unknown = np.full(len(masks), np.nan)
    return SizeMeasurands(
        area_px=area_px,
        ecd_px=ecd_px,
        area_nm2=unknown if pixel_size is None else pixel_size.area_to_nm2(area_px),
        ecd_nm=unknown if pixel_size is None else pixel_size.to_nm(ecd_px),
    )
