"""A particle sampled on the pixel grid: upper and lower surface, normals, and how much of each pixel it covers."""

from dataclasses import dataclass

import numpy as np

from semsize.synthesis.bodies import surfaces
from semsize.synthesis.populations import Lobe, Particle


@dataclass(frozen=True, eq=False)
class Patch:
    """The pixels that one particle covers, as if it lay alone; heights are relative to its centre, in px."""

    inside: np.ndarray  # (h, w) bool, pixels whose centre lies within the full outline
    depth: np.ndarray  # (h, w) float32, px from the outline, positive within
    top: np.ndarray  # (h, w) float32, -inf outside
    bottom: np.ndarray  # (h, w) float32, +inf outside
    normal: np.ndarray  # (3, h, w) float32, unit outward normal of the upper surface, x, y, z; z >= 0
    offset: tuple[int, int]  # (row, column) of the first pixel relative to the pixel that holds the centre

    @property
    def coverage(self) -> np.ndarray:
        """(h, w) float32, share of the pixel's area within the outline, 0-1."""
        return np.clip(self.depth + np.float32(0.5), 0, 1)


def rasterise(particle: Particle, pixel_size_nm: float, fraction: tuple[float, float]) -> Patch:
    """Samples a particle on pixel centres (integers + 0.5), its own centre at `fraction` = (y, x) within pixel (0, 0).

    A particle so small that it covers no pixel centre takes the one pixel that holds its centre.
    """
    particle = particle.scaled(1 / pixel_size_nm)
    x_low, y_low = np.floor(particle.outline.points.min(axis=0) + fraction[::-1]).astype(int) - 1
    x_high, y_high = np.ceil(particle.outline.points.max(axis=0) + fraction[::-1]).astype(int) + 1
    y, x = np.mgrid[y_low:y_high, x_low:x_high] + 0.5 - np.array(fraction)[:, None, None]
    top = np.full(x.shape, -np.inf, dtype=np.float32)
    patch = Patch(
        inside=np.zeros(x.shape, dtype=bool),
        depth=np.full(x.shape, -np.inf, dtype=np.float32),
        top=top,
        bottom=-top,
        normal=np.zeros((3, *x.shape), dtype=np.float32),
        offset=(int(y_low), int(x_low)),
    )
    for lobe in particle.lobes:
        _add_lobe(lobe, x - lobe.centre[0], y - lobe.centre[1], patch)
    if not patch.inside.any():
        _fill_pixel(patch, -y_low, -x_low, particle.outline.area)
    return patch


def _add_lobe(lobe: Lobe, x: np.ndarray, y: np.ndarray, patch: Patch) -> None:
    """Merges a lobe, seen at x, y from its own centre, into the patch of its particle."""
    depth = lobe.outline.depth(x, y)
    np.maximum(patch.depth, depth, out=patch.depth, casting="same_kind")
    inside = depth >= 0
    top, bottom, normal = surfaces(lobe.body, x[inside], y[inside])
    top, bottom = top + np.float32(lobe.centre[2]), bottom + np.float32(lobe.centre[2])
    patch.normal[:, inside] = np.where(top > patch.top[inside], normal, patch.normal[:, inside])
    patch.top[inside] = np.maximum(patch.top[inside], top)
    patch.bottom[inside] = np.minimum(patch.bottom[inside], bottom)
    patch.inside[inside] = True


def _fill_pixel(patch: Patch, row: int, column: int, area: float) -> None:
    """Lets a particle of a fraction of a pixel's area stand for the one pixel."""
    patch.inside[row, column] = True
    patch.depth[row, column] = min(area, 1) - 0.5
    patch.top[row, column] = patch.bottom[row, column] = 0
    patch.normal[2, row, column] = 1
