"""N particle masks of one image, each stored as its tight crop: memory and time grow with the particles' pixels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import cv2
import numpy as np

from semsize.structures.rle import Rle, decode_rles, encode_crops

FLIP_AXES = {"horizontal": (1,), "vertical": (0,), "diagonal": (0, 1)}
INTERPOLATIONS = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}

Placed = tuple[np.ndarray, tuple[int, int]]
"""A crop (h, w) of uint8 0/1 and the (row, column) of its first pixel."""

_EMPTY: Placed = (np.zeros((0, 0), np.uint8), (0, 0))


@dataclass(frozen=True, eq=False)
class CroppedMasks:
    """The masks of one image; no method changes them, every method returns a new object.

    Objects share arrays that do not differ: treat the arrays as read-only.

    >>> masks = CroppedMasks.from_label_image(np.array([[0, 1, 1], [2, 0, 1]]))
    >>> masks.areas, masks.boxes.tolist()
    (array([3, 1]), [[1.0, 0.0, 3.0, 2.0], [0.0, 1.0, 1.0, 2.0]])
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
        """Make masks from (crop, (row, column)) pairs, clip them to the image and tighten them; zero is background."""
        return cls._placed((clip(np.asarray(crop) != 0, at, image_shape) for crop, at in placed), image_shape)

    @classmethod
    def from_full(cls, masks: np.ndarray) -> Self:
        """Make masks from full frames (N, H, W); zero is background."""
        return cls.from_crops(((mask, (0, 0)) for mask in masks), masks.shape[1:])

    @classmethod
    def from_label_image(cls, labels: np.ndarray) -> Self:
        """Make masks from integer labels (H, W): one particle per positive label, in ascending order."""
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
        """Make masks from COCO RLEs, compressed (str or bytes) or not (list).

        Raises:
            ValueError: an RLE is damaged or not of `image_shape` (None: of the first RLE's size), or no size is given.
        """
        if image_shape is None and len(rles) == 0:
            raise ValueError("no RLE to take the image's size from: give image_shape")
        height, width = rles[0]["size"] if image_shape is None else image_shape
        for rle in rles:
            if tuple(rle["size"]) != (height, width):
                raise ValueError(f"RLE of size {tuple(rle['size'])} in an image of {(height, width)}")
        crops, origins = decode_rles(rles)
        return cls(tuple(crops), origins, (int(height), int(width)))

    @classmethod
    def cat(cls, masks: Sequence["CroppedMasks"]) -> Self:
        """Join sets of masks of one image; ValueError if there is no set or the images differ in size."""
        shapes = {m.image_shape for m in masks}
        if len(shapes) != 1:
            raise ValueError(f"masks to join must belong to images of one size, not {sorted(shapes)}")
        return cls(tuple(c for m in masks for c in m.crops), np.concatenate([m.origins for m in masks]), shapes.pop())

    @classmethod
    def _placed(cls, placed: Iterable[Placed], image_shape: tuple[int, int]) -> Self:
        """Make masks from pairs that are already tight and inside the image."""
        placed = list(placed)
        origins = np.array([origin for _, origin in placed], np.int64).reshape(-1, 2)
        return cls(tuple(crop for crop, _ in placed), origins, (int(image_shape[0]), int(image_shape[1])))

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> Self:
        """Select masks by an integer (gives one mask), a slice, or an array of integers or booleans."""
        chosen = chosen_positions(len(self), index)
        return type(self)(tuple(self.crops[i] for i in chosen), self.origins[chosen], self.image_shape)

    def __iter__(self) -> Iterator[Placed]:
        """Each mask as (crop, (row, column))."""
        return zip(self.crops, map(tuple, self.origins.tolist()), strict=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} masks, image_shape={self.image_shape})"

    @cached_property
    def sizes(self) -> np.ndarray:
        """(N, 2) int64, (h, w) of each crop."""
        return np.array([crop.shape for crop in self.crops], np.int64).reshape(-1, 2)

    @cached_property
    def areas(self) -> np.ndarray:
        """The number of pixels of each mask, (N,) int64."""
        return np.array([np.count_nonzero(crop) for crop in self.crops], np.int64)

    @cached_property
    def boxes(self) -> np.ndarray:
        """(N, 4) float32, xyxy in pixels, half-open (x2 = last column + 1); zeros for an empty mask."""
        return np.concatenate([self.origins, self.origins + self.sizes], axis=1)[:, [1, 0, 3, 2]].astype(np.float32)

    def to_rles(self) -> list[Rle]:
        """One compressed COCO RLE per mask, `counts` as str."""
        return encode_crops(self.crops, self.origins, self.image_shape)

    def to_full(self) -> np.ndarray:
        """Full frames (N, H, W) uint8, which need the memory that this class saves."""
        full = np.zeros((len(self), *self.image_shape), np.uint8)
        for frame, (crop, (row, column)) in zip(full, self, strict=True):
            frame[row : row + crop.shape[0], column : column + crop.shape[1]] = crop
        return full

    def union(self) -> np.ndarray:
        """(H, W) bool: pixels that belong to any mask."""
        frame = np.zeros(self.image_shape, bool)
        for crop, (row, column) in self:
            frame[row : row + crop.shape[0], column : column + crop.shape[1]] |= crop > 0
        return frame

    def touched_by(self, region: np.ndarray) -> np.ndarray:
        """(N,) bool: whether each mask shares a pixel with a region, bool (H or more, W)."""
        return np.array([shared_pixels((region, (0, 0)), mask) > 0 for mask in self], bool)

    def flip(self, direction: str) -> Self:
        """Mirror the image: `horizontal` (left to right), `vertical` (upside down) or `diagonal` (both)."""
        if direction not in FLIP_AXES:
            raise ValueError(f"flip direction must be one of {list(FLIP_AXES)}, not {direction!r}")
        axes = list(FLIP_AXES[direction])
        crops = tuple(np.ascontiguousarray(np.flip(crop, axes)) for crop in self.crops)
        origins = self.origins.copy()
        origins[:, axes] = np.where(self.sizes > 0, np.array(self.image_shape) - origins - self.sizes, origins)[:, axes]
        return type(self)(crops, origins, self.image_shape)

    def transpose(self) -> Self:
        """Exchange the image's rows and columns."""
        crops = tuple(np.ascontiguousarray(crop.T) for crop in self.crops)
        return type(self)(crops, self.origins[:, ::-1], self.image_shape[::-1])

    def crop(self, box: Sequence[int]) -> Self:
        """Cut the image to a box of integers (x1, y1, x2, y2), clipped to the image and at least 1 px wide and high."""
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

    def resize(self, image_shape: tuple[int, int]) -> Self:
        """Resize the image to (H, W) by nearest neighbours, the same ones that OpenCV takes."""
        sources = []
        for old, new in zip(self.image_shape, image_shape, strict=True):
            ramp = np.arange(old, dtype=np.float32)[None]
            sources.append(cv2.resize(ramp, (new, 1), interpolation=cv2.INTER_NEAREST)[0].astype(int))
        return self._placed((_resampled(*mask, sources) for mask in self), image_shape)

    def rescale(self, scale: float | tuple[int, int]) -> Self:
        """Resize the image by a factor, or at its proportions to the largest size within (longer, shorter side)."""
        height, width = self.image_shape
        if not isinstance(scale, int | float):
            scale = min(max(scale) / max(height, width), min(scale) / min(height, width))
        return self.resize((int(height * scale + 0.5), int(width * scale + 0.5)))

    def affine(self, matrix: np.ndarray, image_shape: tuple[int, int], interpolation: str = "bilinear") -> Self:
        """Map the masks by a (2, 3) matrix for pixel indices (x, y, 1) into an image of (H, W)."""
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation of masks must be one of {list(INTERPOLATIONS)}, not {interpolation!r}")
        code, matrix = INTERPOLATIONS[interpolation], np.asarray(matrix, np.float64)
        return self._placed((_warped(*mask, matrix, image_shape, code) for mask in self), image_shape)

    def rotate(
        self, angle: float, center: Sequence[float] | None = None, scale: float = 1.0, interpolation: str = "bilinear"
    ) -> Self:
        """Turn the image clockwise by `angle` degrees about `center` (x, y), its middle if None, and scale it."""
        height, width = self.image_shape
        center = ((width - 1) / 2, (height - 1) / 2) if center is None else center
        return self.affine(cv2.getRotationMatrix2D(center, -angle, scale), self.image_shape, interpolation)

    def translate(self, offset: Sequence[float], image_shape: tuple[int, int], interpolation: str = "bilinear") -> Self:
        """Cut or pad the image to (H, W), then shift it by `offset` (x, y) within that frame."""
        framed = self._moved(0, 0, image_shape)
        x, y = offset
        if x == int(x) and y == int(y):
            return framed._moved(int(y), int(x), image_shape)
        return framed.affine(np.array([[1, 0, x], [0, 1, y]]), image_shape, interpolation)

    def shear(self, magnitude: float, direction: str, interpolation: str = "bilinear") -> Self:
        """Shear the image: `horizontal` moves x by magnitude * y, `vertical` y by magnitude * x."""
        if direction not in ("horizontal", "vertical"):
            raise ValueError(f"shear direction must be horizontal or vertical, not {direction!r}")
        matrix = np.eye(2, 3)
        matrix[(0, 1) if direction == "horizontal" else (1, 0)] = magnitude
        return self.affine(matrix, self.image_shape, interpolation)

    def _moved(self, rows: int, columns: int, image_shape: tuple[int, int]) -> Self:
        """Shift by whole pixels and cut to a new frame."""
        return self.from_crops(((crop, (r + rows, c + columns)) for crop, (r, c) in self), image_shape)


def chosen_positions(length: int, index: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the positions, (K,) int64, that an index selects of `length` items; an empty list selects none."""
    if not isinstance(index, slice):
        index = np.asarray(index)
        index = index if index.dtype == bool else index.astype(np.int64)
    return np.atleast_1d(np.arange(length)[index])


def shared_pixels(first: Placed, second: Placed) -> int:
    """Count the pixels that two placed crops share.

    >>> shared_pixels((np.ones((3, 3), np.uint8), (0, 0)), (np.ones((2, 5), np.uint8), (2, 1)))
    2
    """
    (a, (row_a, column_a)), (b, (row_b, column_b)) = first, second
    top, left = max(row_a, row_b), max(column_a, column_b)
    bottom, right = min(row_a + a.shape[0], row_b + b.shape[0]), min(column_a + a.shape[1], column_b + b.shape[1])
    if top >= bottom or left >= right:
        return 0
    of_a = a[top - row_a : bottom - row_a, left - column_a : right - column_a]
    of_b = b[top - row_b : bottom - row_b, left - column_b : right - column_b]
    return int(np.count_nonzero(of_a & of_b))


def tighten(crop: np.ndarray, origin: tuple[int, int]) -> Placed:
    """Cut off the empty rows and columns around the mask."""
    rows, columns = np.flatnonzero(crop.any(axis=1)), np.flatnonzero(crop.any(axis=0))
    if len(rows) == 0:
        return _EMPTY
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    tight = np.ascontiguousarray(crop[top:bottom, left:right], np.uint8)
    return tight, (int(origin[0] + top), int(origin[1] + left))


def clip(crop: np.ndarray, origin: tuple[int, int], image_shape: tuple[int, int]) -> Placed:
    """Cut a crop to the image (H, W), then tighten it."""
    row, column = origin
    top, left = max(-row, 0), max(-column, 0)
    bottom, right = max(image_shape[0] - row, 0), max(image_shape[1] - column, 0)
    return tighten(crop[top:bottom, left:right], (row + top, column + left))


def _resampled(crop: np.ndarray, origin: tuple[int, int], sources: Sequence[np.ndarray]) -> Placed:
    """Resize by copying: new row i is the image's old row `sources[0][i]`, new column j its column `sources[1][j]`."""
    ends = [np.searchsorted(sources[axis], [origin[axis], origin[axis] + crop.shape[axis]]) for axis in (0, 1)]
    picks = [sources[axis][slice(*ends[axis])] - origin[axis] for axis in (0, 1)]
    return tighten(crop[np.ix_(*picks)], (int(ends[0][0]), int(ends[1][0])))


def _warped(
    crop: np.ndarray, origin: tuple[int, int], matrix: np.ndarray, image_shape: tuple[int, int], interpolation: int
) -> Placed:
    """Map a mask as `CroppedMasks.affine` does, with an OpenCV interpolation code; values from 0.5 on are mask."""
    if crop.size == 0:
        return _EMPTY
    start = np.array(origin[::-1], np.float64)  # x, y
    linear = matrix[:, :2]
    first, stop = start - 1, start + crop.shape[::-1]  # interpolation reaches one pixel beyond the mask
    corners = np.array([first, (first[0], stop[1]), (stop[0], first[1]), stop]) @ linear.T + matrix[:, 2]
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + 1, image_shape[::-1]).astype(int)
    if (high <= low).any():
        return _EMPTY
    local = np.column_stack([linear, linear @ start + matrix[:, 2] - low])
    moved = cv2.warpAffine(crop, local, tuple((high - low).tolist()), flags=interpolation)
    return tighten(moved, (int(low[1]), int(low[0])))
