"""N particle masks of one image, each stored as its tight crop: memory and work go with the particles' pixels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np

from semsize.structures import mask_geometry as geometry
from semsize.structures.rle import Rle, decode_rles, encode_crops, polygons_to_rles

FLIP_AXES = {"horizontal": (1,), "vertical": (0,), "diagonal": (0, 1)}
INTERPOLATIONS = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


@dataclass(frozen=True, eq=False)
class CroppedMasks:
    """The masks of one image; every method returns a new object, none changes one.

    The arrays are shared between objects where nothing changes in them: take them as read-only.
    """

    crops: tuple[np.ndarray, ...]  # N of (h, w), uint8 0/1, tight; an empty mask is (0, 0)
    origins: np.ndarray  # (N, 2) int64, (row, column) of each crop's first pixel
    image_shape: tuple[int, int]  # (H, W)

    def __post_init__(self):
        if len(self.crops) != len(self.origins):
            raise ValueError(f"{len(self.crops)} crops, but {len(self.origins)} origins")

    @classmethod
    def empty(cls, image_shape: tuple[int, int]) -> Self:
        """No masks in an image of (H, W)."""
        return cls.from_crops([], image_shape)

    @classmethod
    def from_crops(cls, placed: Iterable[tuple[np.ndarray, tuple[int, int]]], image_shape: tuple[int, int]) -> Self:
        """Masks from (crop, (row, column)) pairs, zero is background, clipped to the image and made tight."""
        binary = ((np.asarray(crop) != 0, origin) for crop, origin in placed)
        return cls._placed((geometry.clip(*mask, image_shape) for mask in binary), image_shape)

    @classmethod
    def from_full(cls, masks: np.ndarray) -> Self:
        """Masks from full frames (N, H, W), zero is background."""
        return cls.from_crops(((mask, (0, 0)) for mask in masks), masks.shape[1:])

    @classmethod
    def from_label_image(cls, labels: np.ndarray) -> Self:
        """Masks from labels (H, W) of integers: one particle per positive label, in ascending order."""
        rows, columns = np.nonzero(labels > 0)
        ids, member = np.unique(labels[rows, columns], return_inverse=True)
        top, left = np.full((2, len(ids)), max(labels.shape))
        bottom, right = np.zeros((2, len(ids)), np.int64)
        np.minimum.at(top, member, rows)
        np.minimum.at(left, member, columns)
        np.maximum.at(bottom, member, rows + 1)
        np.maximum.at(right, member, columns + 1)
        boxes = zip(ids, top, left, bottom, right, strict=True)
        crops = [(labels[t:b, x:r] == label).astype(np.uint8) for label, t, x, b, r in boxes]
        return cls._placed(zip(crops, zip(top, left, strict=True), strict=True), labels.shape)

    @classmethod
    def from_rles(cls, rles: Sequence[Mapping[str, Any]], image_shape: tuple[int, int] | None = None) -> Self:
        """Masks from COCO RLEs, compressed (str or bytes) or not (list).

        Raises:
            ValueError: an RLE's size is not ``image_shape`` (by default the first one's), or there is none to tell it.
        """
        if image_shape is None:
            if len(rles) == 0:
                raise ValueError("no RLE to take the image's size from: give image_shape")
            image_shape = tuple(rles[0]["size"])
        for rle in rles:
            if tuple(rle["size"]) != tuple(image_shape):
                raise ValueError(f"RLE of size {tuple(rle['size'])} in an image of {tuple(image_shape)}")
        crops, origins = decode_rles(rles)
        return cls(tuple(crops), origins, (int(image_shape[0]), int(image_shape[1])))

    @classmethod
    def from_polygons(cls, particles: Sequence[Sequence[Sequence[float]]], image_shape: tuple[int, int]) -> Self:
        """Masks from polygons, rasterised by COCO's rule.

        Args:
            particles: per particle its polygons, each flat [x0, y0, x1, y1, …] in pixels; the mask is their union.
            image_shape: (H, W).
        """
        return cls.from_rles(polygons_to_rles(particles, image_shape), image_shape)

    @classmethod
    def cat(cls, masks: Sequence["CroppedMasks"]) -> Self:
        """Join masks of one image.

        Raises:
            ValueError: there are none, or they belong to images of different sizes.
        """
        shapes = {m.image_shape for m in masks}
        if len(shapes) != 1:
            raise ValueError(f"masks to join must belong to images of one size, not {sorted(shapes)}")
        return cls(sum((m.crops for m in masks), ()), np.concatenate([m.origins for m in masks]), shapes.pop())

    @classmethod
    def _placed(cls, placed: Iterable[tuple[np.ndarray, tuple[int, int]]], image_shape: tuple[int, int]) -> Self:
        """Masks from pairs that are tight and inside the image already."""
        placed = list(placed)
        origins = np.array([origin for _, origin in placed], np.int64).reshape(-1, 2)
        return cls(tuple(crop for crop, _ in placed), origins, (int(image_shape[0]), int(image_shape[1])))

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> Self:
        """The masks at an integer (a set of one), a slice, or an array of integers or booleans."""
        chosen = chosen_positions(len(self), index)
        return type(self)(tuple(self.crops[i] for i in chosen), self.origins[chosen], self.image_shape)

    def __iter__(self) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
        """Each mask as (crop, (row, column))."""
        return zip(self.crops, map(tuple, self.origins.tolist()), strict=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} masks, image_shape={self.image_shape})"

    @property
    def sizes(self) -> np.ndarray:
        """(N, 2) int64, (h, w) of each crop."""
        return np.array([crop.shape for crop in self.crops], np.int64).reshape(-1, 2)

    @property
    def areas(self) -> np.ndarray:
        """(N,) int64, pixels of each mask."""
        return np.array([np.count_nonzero(crop) for crop in self.crops], np.int64)

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) float32, xyxy in pixels, half-open (x2 = last column + 1); zeros for an empty mask."""
        return np.concatenate([self.origins, self.origins + self.sizes], axis=1)[:, [1, 0, 3, 2]].astype(np.float32)

    def to_rles(self) -> list[Rle]:
        """One compressed COCO RLE per mask, ``counts`` as str."""
        return encode_crops(self.crops, self.origins, self.image_shape)

    def to_full(self) -> np.ndarray:
        """Full frames (N, H, W) uint8: the memory that this class is there to save."""
        full = np.zeros((len(self), *self.image_shape), np.uint8)
        for frame, (crop, (row, column)) in zip(full, self, strict=True):
            frame[row : row + crop.shape[0], column : column + crop.shape[1]] = crop
        return full

    def union(self) -> np.ndarray:
        """(H, W) bool: pixels that one mask or more holds."""
        frame = np.zeros(self.image_shape, bool)
        for crop, (row, column) in self:
            frame[row : row + crop.shape[0], column : column + crop.shape[1]] |= crop > 0
        return frame

    def touched_by(self, region: np.ndarray) -> np.ndarray:
        """(N,) bool: masks that share a pixel with a region (H or more, W) of bools."""
        return np.array(
            [(region[r : r + crop.shape[0], c : c + crop.shape[1]] & (crop > 0)).any() for crop, (r, c) in self], bool
        )

    def flip(self, direction: str) -> Self:
        """Mirror the image: ``horizontal`` (left to right), ``vertical`` (upside down) or ``diagonal`` (both)."""
        if direction not in FLIP_AXES:
            raise ValueError(f"flip direction must be one of {list(FLIP_AXES)}, not {direction!r}")
        axes = FLIP_AXES[direction]
        return self._placed((geometry.flip(*mask, self.image_shape, axes) for mask in self), self.image_shape)

    def transpose(self) -> Self:
        """Exchange the image's rows and columns."""
        crops = tuple(np.ascontiguousarray(crop.T) for crop in self.crops)
        return type(self)(crops, self.origins[:, ::-1], self.image_shape[::-1])

    def crop(self, box: Sequence[int]) -> Self:
        """Cut the image to a box (x1, y1, x2, y2) of integers; a mask that lies outside becomes empty.

        The box is clipped to the image; what is left of it counts as one pixel wide and high at least, as in mmdet.
        """
        height, width = self.image_shape
        left, right = (min(max(int(x), 0), width) for x in (box[0], box[2]))
        top, bottom = (min(max(int(y), 0), height) for y in (box[1], box[3]))
        return self._moved(-top, -left, (max(bottom - top, 1), max(right - left, 1)))

    def expand(self, image_shape: tuple[int, int], top: int, left: int) -> Self:
        """Put the image into a larger one of (H, W) with its first pixel at (top, left)."""
        height, width = self.image_shape
        if not (0 <= top <= image_shape[0] - height and 0 <= left <= image_shape[1] - width):
            raise ValueError(f"an image of {self.image_shape} at {(top, left)} does not fit into {tuple(image_shape)}")
        origins = self.origins + np.where(self.sizes > 0, (top, left), 0)
        return type(self)(self.crops, origins, (int(image_shape[0]), int(image_shape[1])))

    def pad(self, image_shape: tuple[int, int]) -> Self:
        """Enlarge the image to (H, W) at its lower and right edge."""
        return self.expand(image_shape, 0, 0)

    def resize(self, image_shape: tuple[int, int]) -> Self:
        """Resize the image to (H, W) by nearest neighbours, with the pixels that OpenCV takes."""
        sources = tuple(map(geometry.nearest_sources, self.image_shape, image_shape))
        return self._placed((geometry.resample(*mask, sources) for mask in self), image_shape)

    def rescale(self, scale: float | tuple[int, int]) -> Self:
        """Resize the image by a factor, or to the largest size of its proportions within (longer, shorter side)."""
        height, width = self.image_shape
        if isinstance(scale, int | float):
            factor = scale
        else:
            factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        return self.resize((int(height * factor + 0.5), int(width * factor + 0.5)))

    def affine(self, matrix: np.ndarray, image_shape: tuple[int, int], interpolation: str = "bilinear") -> Self:
        """Move the masks by a (2, 3) map of pixel indices (x, y, 1) into an image of (H, W)."""
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation of masks must be one of {list(INTERPOLATIONS)}, not {interpolation!r}")
        code = INTERPOLATIONS[interpolation]
        matrix = np.asarray(matrix, np.float64)
        return self._placed((geometry.warp(*mask, matrix, image_shape, code) for mask in self), image_shape)

    def rotate(
        self,
        angle: float,
        center: tuple[float, float] | None = None,
        scale: float = 1.0,
        interpolation: str = "bilinear",
    ) -> Self:
        """Turn the image clockwise by ``angle`` degrees about ``center`` (x, y), its middle if None, and scale it."""
        height, width = self.image_shape
        center = ((width - 1) / 2, (height - 1) / 2) if center is None else center
        return self.affine(cv2.getRotationMatrix2D(center, -angle, scale), self.image_shape, interpolation)

    def translate(
        self, offset: tuple[float, float], image_shape: tuple[int, int], interpolation: str = "bilinear"
    ) -> Self:
        """Cut or pad the image to (H, W), then shift it by ``offset`` (x, y) within that frame."""
        framed = self._moved(0, 0, image_shape)
        x, y = offset
        if x == int(x) and y == int(y):
            return framed._moved(int(y), int(x), image_shape)
        return framed.affine(np.array([[1, 0, x], [0, 1, y]]), image_shape, interpolation)

    def shear(self, magnitude: float, direction: str, interpolation: str = "bilinear") -> Self:
        """Shear the image: ``horizontal`` moves x by magnitude * y, ``vertical`` y by magnitude * x."""
        if direction not in ("horizontal", "vertical"):
            raise ValueError(f"shear direction must be horizontal or vertical, not {direction!r}")
        matrix = np.eye(2, 3)
        matrix[(0, 1) if direction == "horizontal" else (1, 0)] = magnitude
        return self.affine(matrix, self.image_shape, interpolation)

    def _moved(self, rows: int, columns: int, image_shape: tuple[int, int]) -> Self:
        """Shift by whole pixels and cut to a new frame."""
        return self.from_crops(((crop, (r + rows, c + columns)) for crop, (r, c) in self), image_shape)


def chosen_positions(length: int, index: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
    """(K,) int64 positions that an index selects of ``length`` items: an integer selects one, an empty list none."""
    if not isinstance(index, slice):
        index = np.asarray(index)
        index = index if index.dtype == bool else index.astype(np.int64)
    return np.atleast_1d(np.arange(length)[index])
