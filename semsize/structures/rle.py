"""COCO run-length encoding of one cropped mask, without the full frame ever being made.

COCO counts runs down the columns: the pixel in row r and column c of an image of H rows has the position c * H + r.
A crop's runs are therefore known from its own pixels, its origin and H alone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semsize.structures.polygons import ShapeError
from semsize.structures.rle_batch import Rle, encode_crops
from semsize.structures.rle_decoding import decode_rles

MOST_PIXELS = 2**30
"""Pixels of the largest image that is read."""


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
    """Decode an RLE into its tight crop; many at once: `rle_decoding.decode_rles`.

    Args:
        rle: ``{'size': [H, W], 'counts': str | bytes | list of run lengths}``.

    Returns:
        The crop (h, w) of uint8 0/1 and its origin (row, column); a (0, 0) crop at (0, 0) if the mask is empty.

    Raises:
        ValueError: the run lengths do not fill the frame exactly.
    """
    (crop,), ((row, column),) = decode_rles([rle])
    return crop, (int(row), int(column))


def rle_size(rle: Any) -> tuple[int, int]:
    """(H, W) of an RLE from a file, after checking that it holds what an RLE holds.

    Raises:
        ShapeError: it lacks size or counts, its size is that of no image, or its counts are neither text nor whole
            numbers that add up to the size.
    """
    if not (isinstance(rle, Mapping) and {"size", "counts"} <= rle.keys()):
        raise ShapeError("their mask is neither a list of polygons nor an RLE with size and counts")
    size, counts = rle["size"], rle["counts"]
    if not (isinstance(size, list | tuple) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise ShapeError("their RLE's size is not two whole numbers above 0")
    if size[0] * size[1] > MOST_PIXELS:
        raise ShapeError("their RLE's size is that of no image")
    if isinstance(counts, list | tuple):
        if not all(type(run) in (int, float) and 0 <= run < math.inf and run == int(run) for run in counts):
            raise ShapeError("their RLE's counts are not whole numbers from 0")
        if sum(counts) != size[0] * size[1]:
            raise ShapeError("their RLE's counts do not add up to its size")
    elif not isinstance(counts, str | bytes):
        raise ShapeError("their RLE's counts are neither text nor a list")
    return size[0], size[1]
