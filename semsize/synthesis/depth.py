"""Samples particles on the pixel grid and lays them upon one another; each pixel shows the highest surface."""

from dataclasses import dataclass

import cv2
import numpy as np

from semsize.synthesis.bodies import surfaces
from semsize.synthesis.populations import Lobe, Particle

SUBSTRATE = 0  # id of pixels where no body is seen; body k has id k + 1


@dataclass(frozen=True, eq=False)
class Patch:
    """The pixels that one particle covers, as if it lay alone; heights are relative to its centre, in px."""

    inside: np.ndarray  # (h, w) bool, pixels whose centre lies within the silhouette
    depth: np.ndarray  # (h, w) float32, px from the silhouette's curve, positive within
    top: np.ndarray  # (h, w) float32, -inf outside
    bottom: np.ndarray  # (h, w) float32, +inf outside
    normal: np.ndarray  # (3, h, w) float32, unit outward normal of the upper surface, x, y, z; z >= 0
    offset: tuple[int, int]  # (row, column) of the first pixel relative to the pixel that holds the centre

    @property
    def coverage(self) -> np.ndarray:
        """(h, w) float32, share of the pixel's area within the silhouette, 0-1."""
        return np.clip(self.depth + np.float32(0.5), 0, 1)


def rasterise(particle: Particle, pixel_size_nm: float, fraction: tuple[float, float]) -> Patch:
    """Sample a particle on pixel centres (integers + 0.5), its own centre at `fraction` = (y, x) within pixel (0, 0).

    A particle so small that it covers no pixel centre gets the pixel that holds its centre.
    """
    particle = particle.scaled(1 / pixel_size_nm)
    x_low, y_low = np.floor(particle.silhouette.points.min(axis=0) + fraction[::-1]).astype(int) - 1
    x_high, y_high = np.ceil(particle.silhouette.points.max(axis=0) + fraction[::-1]).astype(int) + 1
    y, x = np.mgrid[y_low:y_high, x_low:x_high] + 0.5 - np.array(fraction)[:, None, None]
    top = np.full(x.shape, -np.inf, dtype=np.float32)
    normal = np.zeros((3, *x.shape), dtype=np.float32)
    patch = Patch(np.zeros(x.shape, dtype=bool), top.copy(), top, -top, normal, (int(y_low), int(x_low)))
    for lobe in particle.lobes:
        _add_lobe(lobe, x - lobe.centre[0], y - lobe.centre[1], patch)
    if not patch.inside.any():
        centre = -y_low, -x_low
        patch.inside[centre] = True
        patch.depth[centre] = min(particle.silhouette.area, 1) - 0.5  # the coverage of the pixel is then the area
        patch.top[centre] = patch.bottom[centre] = 0
        patch.normal[2][centre] = 1
    return patch


def _add_lobe(lobe: Lobe, x: np.ndarray, y: np.ndarray, patch: Patch) -> None:
    """Merge a lobe into the patch of its particle; x, y are the patch's pixel centres relative to the lobe's centre."""
    depth = lobe.silhouette.depth(x, y)
    if lobe.silhouette.is_slender:  # its sides are nearer than the curve along a ray to a far end
        within = np.pad(depth >= 0, 1).astype(np.uint8)
        depth = np.minimum(depth, np.where(depth > 0, cv2.distanceTransform(within, cv2.DIST_L2, 5)[1:-1, 1:-1], depth))
    np.maximum(patch.depth, depth, out=patch.depth, casting="same_kind")
    inside = depth >= 0
    top, bottom, normal = surfaces(lobe.body, x[inside], y[inside])
    top, bottom = top + np.float32(lobe.centre[2]), bottom + np.float32(lobe.centre[2])
    patch.normal[:, inside] = np.where(top > patch.top[inside], normal, patch.normal[:, inside])
    patch.top[inside] = np.maximum(patch.top[inside], top)
    patch.bottom[inside] = np.minimum(patch.bottom[inside], bottom)
    patch.inside[inside] = True


class DepthBuffer:
    """The visible surface of a growing scene, pixel by pixel; parts of bodies beyond the frame are not kept.

    Pixels on a silhouette's edge also keep the second body that they show, so that edges are drawn without steps.
    """

    def __init__(self, shape: tuple[int, int]):
        self.heights = np.zeros(shape, dtype=np.float32)  # (H, W) px above the flat substrate
        self.ids = np.full(shape, SUBSTRATE, dtype=np.int32)  # (H, W)
        self.normals = np.zeros((3, *shape), dtype=np.float32)  # unit normal of the visible surface, x, y, z
        self.normals[2] = 1
        self.depths = np.full(shape, np.inf, dtype=np.float32)  # (H, W) px within the visible body's own silhouette
        self.covered_ids = np.full(shape, SUBSTRATE, dtype=np.int32)  # (H, W) id that the visible body covered
        self.covered_cosines = np.ones(shape, dtype=np.float32)  # (H, W) z of the normal of the covered surface
        self.fringes = np.zeros(shape, dtype=np.float32)  # (H, W) share that a higher neighbour covers, < 0.5
        self.fringe_ids = np.full(shape, SUBSTRATE, dtype=np.int32)  # (H, W) that neighbour

    @property
    def coverages(self) -> np.ndarray:
        """(H, W) share of each pixel that its visible body covers."""
        return np.clip(self.depths + np.float32(0.5), 0, 1)

    def rest_height(self, patch: Patch, row: int, column: int) -> float:
        """Return the height of the body's centre over pixel (row, column) when it first touches bodies or substrate."""
        frame, part = self._overlap(patch, row, column)
        ground = -float(patch.bottom[patch.inside].min())
        if frame is None:
            return ground
        return max(ground, float((self.heights[frame] - patch.bottom[part]).max()))

    def place(self, patch: Patch, row: int, column: int, height: float, identity: int) -> None:
        """Put a body with its centre at `height` over pixel (row, column); each pixel keeps the higher surface."""
        frame, part = self._overlap(patch, row, column)
        if frame is None:
            return
        top = patch.top[part] + np.float32(height)
        seen = top > self.heights[frame]
        coverage = patch.coverage[part]
        beside = (coverage > 0) & ~patch.inside[part] & (self.heights[frame] < height)
        np.copyto(self.covered_ids[frame], self.ids[frame], where=seen)
        np.copyto(self.covered_cosines[frame], self.normals[2][frame], where=seen)
        np.copyto(self.depths[frame], patch.depth[part], where=seen)
        np.copyto(self.fringes[frame], 0, where=seen)
        np.copyto(self.fringes[frame], coverage, where=beside)
        np.copyto(self.fringe_ids[frame], identity, where=beside)
        np.copyto(self.heights[frame], top, where=seen)
        np.copyto(self.ids[frame], identity, where=seen)
        np.copyto(self.normals[(slice(None), *frame)], patch.normal[(slice(None), *part)], where=seen)

    def full_mask(self, patch: Patch, row: int, column: int) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the body's whole silhouette within the frame.

        Returns:
            Crop (h, w) bool and the (row, column) of its first pixel; an empty crop at (0, 0) for a body outside.
        """
        frame, part = self._overlap(patch, row, column)
        if frame is None:
            return np.zeros((0, 0), dtype=bool), (0, 0)
        return patch.inside[part], (frame[0].start, frame[1].start)

    def _overlap(
        self, patch: Patch, row: int, column: int
    ) -> tuple[tuple[slice, slice] | None, tuple[slice, slice] | None]:
        """Return the slices of frame and patch that coincide; None, None if the patch lies outside the frame."""
        first = np.add((row, column), patch.offset)
        low = np.maximum(first, 0)
        high = np.minimum(first + patch.inside.shape, self.heights.shape)
        if (low >= high).any():
            return None, None
        frame = tuple(map(slice, low.tolist(), high.tolist()))
        return frame, tuple(map(slice, (low - first).tolist(), (high - first).tolist()))
