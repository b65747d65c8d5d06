"""COCO run-length encoding of one cropped mask, without the full frame ever being made; and of polygons.

COCO counts runs down the columns: the pixel in row r and column c of an image of H rows has the position c * H + r.
A crop's runs are therefore known from its own pixels, its origin and H alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from tio2.structures.rle_batch import Rle, encode_crops
from tio2.structures.rle_decoding import decode_rles


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


def polygons_to_rles(particles: Sequence[Sequence[Sequence[float]]], image_shape: tuple[int, int]) -> list[Rle]:
    """RLE of each particle's polygons, joined, rasterised by COCO's rule.

    Args:
        particles: per particle its polygons, each flat [x0, y0, x1, y1, …] in pixels.
        image_shape: (H, W).

    Raises:
        ValueError: a particle has no polygon, or one with fewer than three corners.
    """
    if any(len(polygons) == 0 for polygons in particles):
        raise ValueError("a mask of polygons needs at least one, each a flat list of three or more corners x, y")
    flat = [list(map(float, polygon)) for polygons in particles for polygon in polygons]
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in flat):
        raise ValueError("a mask of polygons needs at least one, each a flat list of three or more corners x, y")
    height, width = int(image_shape[0]), int(image_shape[1])
    parts = iter(coco_mask.frPyObjects(flat, height, width) if flat else [])
    rles = [[next(parts) for _ in polygons] for polygons in particles]
    joined = [pieces[0] if len(pieces) == 1 else coco_mask.merge(pieces) for pieces in rles]
    return [{"size": [height, width], "counts": rle["counts"].decode("ascii")} for rle in joined]
