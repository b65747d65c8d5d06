"""One agglomerate: touching particles cut out of their image together, with masks and all that is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from semsize.structures.masks import FLIP_AXES, CroppedMasks

PARTICLE_KEYS = (
    "state",
    "source_state",
    "iscrowd",
    "visible_fraction",
    "truncated",
    "ecd_nm",
    "feret_min_nm",
    "feret_max_nm",
)
"""What an agglomerate keeps of an annotation besides its mask: none of it changes by turning or mirroring."""

FLIPS = (None, *FLIP_AXES)


@dataclass(frozen=True, eq=False)
class Agglomerate:
    """A crop of an image around touching particles, with a margin for their diffuse border."""

    image: np.ndarray  # (h, w) float32, grey levels 0-255
    masks: CroppedMasks  # N masks in that crop
    particles: tuple[Mapping[str, Any], ...]  # N, each with some of PARTICLE_KEYS
    source: str  # file name of the image it was cut from
    pixel_size_nm: float | None = None

    def __post_init__(self):
        if len(self.masks) != len(self.particles) or self.masks.image_shape != self.image.shape:
            raise ValueError(
                f"{self.masks!r} do not fit {len(self.particles)} particles in a crop of {self.image.shape}"
            )

    @property
    def silhouette(self) -> np.ndarray:
        """(h, w) uint8 0/1: the union of the masks."""
        union = np.zeros(self.image.shape, np.uint8)
        for crop, (row, column) in self.masks:
            union[row : row + crop.shape[0], column : column + crop.shape[1]] |= crop
        return union

    def turned(self, angle: float = 0.0, flip: str | None = None) -> "Agglomerate":
        """Mirrored by `flip` (one of FLIPS), then turned clockwise by `angle` degrees; masks and image alike.

        The crop grows so that all of it stays inside; its new corners repeat its edge. Grey levels are interpolated
        by cubics, which keep nine tenths of the noise. Quarter turns move pixels and change none. A speck that falls
        between the new pixels is left out.
        """
        if angle % 360 == 0:
            return self if flip is None else self._mirrored(flip)
        matrix, shape = turning_matrix(self.image.shape, angle, flip)
        image = cv2.warpAffine(self.image, matrix, shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        masks, kept = turned_masks(self.masks, matrix, shape)
        particles = tuple(self.particles[i] for i in kept)
        return replace(self, image=np.clip(image, 0, 255), masks=masks, particles=particles)

    def _mirrored(self, flip: str) -> "Agglomerate":
        image = np.ascontiguousarray(np.flip(self.image, FLIP_AXES[flip]))
        return replace(self, image=image, masks=self.masks.flip(flip))


def turned_masks(masks: CroppedMasks, matrix: np.ndarray, shape: tuple[int, int]) -> tuple[CroppedMasks, np.ndarray]:
    """Masks moved by an affine map of pixel indices into a crop of (h, w), and the positions of those left.

    Disjoint masks are moved as one image of labels by nearest neighbours: quick, and they stay disjoint.
    """
    labels = np.zeros(masks.image_shape, np.uint16)
    for label, (crop, (row, column)) in enumerate(masks, start=1):
        window = labels[row : row + crop.shape[0], column : column + crop.shape[1]]
        if np.any(window[crop > 0]):
            moved = masks.affine(matrix, shape)
            kept = np.flatnonzero(moved.sizes[:, 0] > 0)
            return moved[kept], kept
        window[crop > 0] = label
    turned = cv2.warpAffine(labels, matrix, shape[::-1], flags=cv2.INTER_NEAREST)
    return CroppedMasks.from_label_image(turned), np.unique(turned[turned > 0]).astype(np.int64) - 1


def turning_matrix(shape: Sequence[int], angle: float, flip: str | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """A crop (h, w) mirrored and then turned clockwise about its middle, and the shape that holds all of it.

    Args:
        shape: (h, w).
        angle: degrees.
        flip: one of FLIPS.

    Returns:
        (2, 3) map of pixel indices (x, y, 1), and (h, w) of the turned crop.
    """
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    height, width = shape
    new_width = int(np.ceil(width * abs(cosine) + height * abs(sine) - 1e-6))
    new_height = int(np.ceil(width * abs(sine) + height * abs(cosine) - 1e-6))
    signs = [-1.0 if axis in FLIP_AXES.get(flip, ()) else 1.0 for axis in (1, 0)]  # of x, y
    turn = np.array([[cosine, -sine], [sine, cosine]]) * signs
    middle, new_middle = (
        np.array([side - 1 for side in size]) / 2 for size in ((width, height), (new_width, new_height))
    )
    return np.column_stack([turn, new_middle - turn @ middle]), (new_height, new_width)
