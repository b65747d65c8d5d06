"""Geometry of one cropped mask: pure functions of a crop and its origin; nothing here is as large as the image."""

import cv2
import numpy as np

Placed = tuple[np.ndarray, tuple[int, int]]
"""A crop (h, w) of uint8 0/1 and the (row, column) of its first pixel."""

EMPTY: Placed = (np.zeros((0, 0), np.uint8), (0, 0))


def tighten(crop: np.ndarray, origin: tuple[int, int]) -> Placed:
    """Cut away the rows and columns around the mask that hold none of it."""
    rows, columns = np.flatnonzero(crop.any(axis=1)), np.flatnonzero(crop.any(axis=0))
    if len(rows) == 0:
        return EMPTY
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    tight = np.ascontiguousarray(crop[top:bottom, left:right], np.uint8)
    return tight, (int(origin[0] + top), int(origin[1] + left))


def clip(crop: np.ndarray, origin: tuple[int, int], image_shape: tuple[int, int]) -> Placed:
    """Cut a crop to the image (H, W), then to the mask."""
    row, column = origin
    top, left = max(-row, 0), max(-column, 0)
    bottom, right = max(image_shape[0] - row, 0), max(image_shape[1] - column, 0)
    return tighten(crop[top:bottom, left:right], (row + top, column + left))


def flip(crop: np.ndarray, origin: tuple[int, int], image_shape: tuple[int, int], axes: tuple[int, ...]) -> Placed:
    """Mirror the image along axis 0 (upside down), axis 1 (left to right) or both."""
    mirrored = tuple(image_shape[axis] - origin[axis] - crop.shape[axis] for axis in (0, 1))
    moved = tuple(mirrored[axis] if axis in axes and crop.size else origin[axis] for axis in (0, 1))
    return np.ascontiguousarray(np.flip(crop, axes)), moved


def nearest_sources(size: int, new_size: int) -> np.ndarray:
    """(new_size,) int64, ascending: the pixel that OpenCV's nearest resizing copies to each new one along an axis."""
    ramp = np.arange(size, dtype=np.float32)[None]
    return cv2.resize(ramp, (new_size, 1), interpolation=cv2.INTER_NEAREST)[0].astype(np.int64)


def resample(crop: np.ndarray, origin: tuple[int, int], sources: tuple[np.ndarray, np.ndarray]) -> Placed:
    """Resize by copying: new row i is old row ``sources[0][i]`` of the image, columns likewise from ``sources[1]``."""
    starts, picks = [], []
    for axis in (0, 1):
        first, stop = np.searchsorted(sources[axis], [origin[axis], origin[axis] + crop.shape[axis]])
        starts.append(int(first))
        picks.append(sources[axis][first:stop] - origin[axis])
    return tighten(crop[np.ix_(*picks)], (starts[0], starts[1]))


def warp(
    crop: np.ndarray, origin: tuple[int, int], matrix: np.ndarray, image_shape: tuple[int, int], interpolation: int
) -> Placed:
    """Move a mask by an affine map of pixel indices, keeping what falls into an image of ``image_shape`` (H, W).

    Args:
        crop: (h, w) of 0/1.
        origin: (row, column).
        matrix: (2, 3), takes an old (x, y, 1) to the new (x, y).
        image_shape: (H, W) of the result.
        interpolation: an OpenCV code; a value of one half or more is mask.
    """
    if crop.size == 0:
        return EMPTY
    start = np.array(origin[::-1], np.float64)  # x, y
    linear = matrix[:, :2]
    first, stop = start - 1, start + crop.shape[::-1]  # interpolation reaches one pixel beyond the mask
    corners = np.array([first, (first[0], stop[1]), (stop[0], first[1]), stop]) @ linear.T + matrix[:, 2]
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + 1, image_shape[::-1]).astype(int)
    if (high <= low).any():
        return EMPTY
    local = np.column_stack([linear, linear @ start + matrix[:, 2] - low])
    moved = cv2.warpAffine(crop, local, tuple((high - low).tolist()), flags=interpolation)
    return tighten(moved, (int(low[1]), int(low[0])))


def shrink(crop: np.ndarray, longest_side: int) -> np.ndarray:
    """Reduce a crop whose longer side exceeds ``longest_side`` to it; a pixel is mask where half of its area is."""
    longest = max(crop.shape)
    if longest <= longest_side:
        return crop
    height, width = (max(round(side * longest_side / longest), 1) for side in crop.shape)
    shares = cv2.resize(crop.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return (shares >= 0.5).astype(np.uint8)
