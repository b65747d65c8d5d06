"""COCO run-length encoding of one cropped mask, without the full frame ever being made.

COCO counts runs down the columns: the pixel in row r and column c of an image of H rows has the position c * H + r.
A crop's runs are therefore known from its own pixels, its origin and H alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from tio2.structures.rle_batch import Rle, encode_crops


def crop_to_rle(crop: np.ndarray, origin: Sequence[int], image_shape: tuple[int, int]) -> Rle:
    """Encode a crop as the RLE of the frame that it lies in; many at once: `rle_batch.encode_crops`.

    Args:
        crop: (h, w), zero is background; need not be tight, may be empty.
        origin: (row, column) of the crop's first pixel.
        image_shape: (H, W) of the frame.

    Returns:
        The same compressed RLE that pycocotools gives for the full frame, ``counts`` as str.

    Raises:
        ValueError: the mask reaches beyond the frame.
    """
    return encode_crops([crop], np.array(origin), image_shape)[0]


def rle_to_crop(rle: Mapping[str, Any]) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an RLE into its tight crop.

    Args:
        rle: ``{'size': [H, W], 'counts': str | bytes | list of run lengths}``.

    Returns:
        The crop (h, w) of uint8 0/1 and its origin (row, column); a (0, 0) crop at (0, 0) if the mask is empty.

    Raises:
        ValueError: the run lengths do not fill the frame exactly.
    """
    height, width = (int(side) for side in rle["size"])
    counts = run_lengths(rle["counts"])
    if counts.sum() != height * width or (counts < 0).any():
        raise ValueError(
            f"RLE runs add up to {counts.sum()} pixels, but its size {height} x {width} has {height * width}"
        )
    bounds = np.cumsum(counts)
    starts, stops = bounds[0 : len(bounds) - 1 : 2], bounds[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled]
    if len(starts) == 0:
        return np.zeros((0, 0), np.uint8), (0, 0)

    (first_column, first_row), (last_column, last_row) = np.divmod(starts, height), np.divmod(stops - 1, height)
    column, right = int(first_column[0]), int(last_column[-1]) + 1
    if (first_column == last_column).all():
        row, bottom = int(first_row.min()), int(last_row.max()) + 1
    else:  # a run that passes from one column to the next covers the last row and the first
        row, bottom = 0, height
    crop_height, crop_width = bottom - row, right - column
    steps = np.zeros(crop_height * crop_width + 1, np.int8)
    steps[(first_column - column) * crop_height + first_row - row] += 1
    steps[(last_column - column) * crop_height + last_row - row + 1] -= 1
    pixels = np.cumsum(steps[:-1], dtype=np.int8).view(np.uint8)
    return np.ascontiguousarray(pixels.reshape(crop_width, crop_height).T), (row, column)


def polygons_to_rle(polygons: Sequence[Sequence[float]], image_shape: tuple[int, int]) -> Rle:
    """RLE of the union of polygons, each flat [x0, y0, x1, y1, …] in pixels, rasterised by COCO's rule.

    Raises:
        ValueError: there is no polygon, or one with fewer than three corners.
    """
    if len(polygons) == 0 or any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise ValueError("a mask of polygons needs at least one, each a flat list of three or more corners x, y")
    height, width = int(image_shape[0]), int(image_shape[1])
    parts = coco_mask.frPyObjects([list(map(float, polygon)) for polygon in polygons], height, width)
    return {"size": [height, width], "counts": coco_mask.merge(parts)["counts"].decode("ascii")}


def run_lengths(counts: str | bytes | Sequence[int]) -> np.ndarray:
    """Run lengths (K,) int64 of COCO counts, compressed or not.

    The compressed form holds each length, from the fourth on less the one two places before it, in groups of five bits
    from the lowest up; bit 5 of a character says that more follow, bit 4 of the last one is the sign.
    """
    if not isinstance(counts, str | bytes):
        return np.asarray(counts, np.int64).reshape(-1)
    characters = np.frombuffer(counts.encode("ascii") if isinstance(counts, str) else counts, np.uint8)
    groups = characters.astype(np.int64) - 48
    if len(groups) == 0 or groups.min() < 0 or groups.max() > 63 or groups[-1] & 32:
        raise ValueError("RLE counts are not in COCO's compressed form")
    last = np.flatnonzero(groups & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(len(groups)) - np.repeat(first, last - first + 1)
    lengths = np.add.reduceat((groups & 31) << (5 * place), first)
    lengths -= np.where(groups[last] & 16, 1 << (5 * (last - first + 1)), 0)
    lengths[1::2] = np.cumsum(lengths[1::2])
    lengths[2::2] = np.cumsum(lengths[2::2])
    return lengths
