"""Masks drawn on pixels: the cells of a mask head's output, resampled inside their boxes on a CPU.

Bilinear interpolation is separable: a sample at (y, x) of an S x S grid of cells is a sum over rows and columns of
cells, each weighted by a hat function max(0, 1 - |position - k|). A mask's pixels are therefore two matrix products,
`columns @ cells @ rows`. Masks of like size go into one batched product, since a batch is padded to its largest mask.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from semsize.structures.masks import CroppedMasks

PIXELS_PER_BATCH = 2**18
"""Pixels that are resampled together: 1 MB of probabilities, so that a batch stays in the processor's cache."""


class PastedBatch(NamedTuple):
    """Probabilities of B masks on the image's pixels, each at the top left of an array as large as the largest."""

    indices: np.ndarray  # (B,) int64, numbers of the masks
    origins: np.ndarray  # (B, 2) int64, (row, column) of each mask's first pixel
    sizes: np.ndarray  # (B, 2) int64, (h, w) of each mask's region
    probabilities: np.ndarray  # (B, largest h, largest w), 0-1; 0 beyond the mask's own region


def paste_masks(
    logits: np.ndarray, boxes: np.ndarray, image_shape: tuple[int, int], threshold: float
) -> tuple[CroppedMasks, np.ndarray]:
    """Resample masks inside their boxes and keep what reaches the threshold, as one piece without holes.

    Args:
        logits: (N, S, S) float32, the mask head's output for each box; a sigmoid makes them probabilities.
        boxes: (N, 4) float32 xyxy, pixels of the image; where the S x S cells lie.
        image_shape: (H, W) of the image.
        threshold: least probability of a particle's pixel, above 0.

    Returns:
        N masks, empty ones included, and (N,) float32 the mean probability of each mask's pixels, 0 for an empty mask.

    Raises:
        ValueError: the threshold is not above 0.
    """
    check_mask_threshold(threshold)
    drawn, certainties = [], np.zeros(len(boxes), np.float32)
    for batch in paste_batches(logits, boxes, image_shape):
        inside = solid_masks(batch.probabilities >= threshold)
        pixels = np.maximum(np.count_nonzero(inside, axis=(1, 2)), 1)
        certainties[batch.indices] = np.einsum("bxy,bxy->b", batch.probabilities, inside, dtype=np.float32) / pixels
        drawn.append((batch.indices, CroppedMasks.from_crops(zip(inside, batch.origins, strict=True), image_shape)))
    return joined_batches(drawn, image_shape), certainties


def joined_batches(drawn: Sequence[tuple[np.ndarray, CroppedMasks]], image_shape: tuple[int, int]) -> CroppedMasks:
    """Join masks that were drawn in batches; each batch has the numbers of its masks, which give the order."""
    numbers = np.concatenate([np.zeros(0, np.int64), *(indices for indices, _ in drawn)])
    return CroppedMasks.cat([CroppedMasks.empty(image_shape), *(masks for _, masks in drawn)])[np.argsort(numbers)]


def solid_masks(masks: np.ndarray) -> np.ndarray:
    """Reduce each of B masks (B, h, w), bool, to its piece of most pixels, and fill the holes of that piece.

    A particle is one body: scraps of a mask lie on its neighbours, and they lengthen its Feret diameter and perimeter.
    Pixels that meet at a corner belong to one piece; of pieces of equal size the one whose outline OpenCV finds first
    stays.

    >>> solid_masks(np.array([[[1, 1, 1, 0, 1], [1, 0, 1, 0, 0], [1, 1, 1, 0, 1]]], bool)).astype(int)
    array([[[1, 1, 1, 0, 0],
            [1, 1, 1, 0, 0],
            [1, 1, 1, 0, 0]]])
    """
    transposed = np.ascontiguousarray(masks.swapaxes(1, 2)).view(np.uint8)  # the order in which RLE counts
    solid = np.zeros_like(transposed)
    for mask, filled in zip(transposed, solid, strict=True):
        outlines = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        largest = 0
        if len(outlines) > 1:
            _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            of_outlines = [pieces[outline[0, 0, 1], outline[0, 0, 0]] for outline in outlines]
            largest = int(stats[of_outlines, cv2.CC_STAT_AREA].argmax())
        if outlines:
            cv2.drawContours(filled, outlines, largest, 1, cv2.FILLED)
    return solid.view(bool).swapaxes(1, 2)


def check_mask_threshold(threshold: float) -> None:
    """Raise a ValueError if the threshold is not above 0, which every pixel would reach."""
    if not threshold > 0:
        raise ValueError(f"mask threshold {threshold}: must be above 0; set test_cfg.rcnn.mask_thr_binary, usually 0.5")


def paste_batches(logits: np.ndarray, boxes: np.ndarray, image_shape: tuple[int, int]) -> Iterator[PastedBatch]:
    """Resample masks (arguments of `paste_masks`) at the pixel centres of their boxes, masks of like size together.

    Beyond the outermost cells' centres a mask falls to 0 over one cell, as with `grid_sample` and zero padding, so half
    a cell lies beyond the box; up to one pixel beyond it is kept. A box without extent, not finite, or outside the
    frame gives a region of 0 pixels. Batches come in order of size; each mask is in exactly one.
    """
    origins, sizes = pixel_regions(boxes, image_shape)
    for indices in batches_of_like_size(sizes, PIXELS_PER_BATCH):
        probabilities = resample(sigmoid(logits[indices]), boxes[indices], origins[indices], sizes[indices])
        yield PastedBatch(indices, origins[indices], sizes[indices], probabilities)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, float32."""
    with np.errstate(over="ignore"):  # exp overflows to inf, and 1 / (1 + inf) is rightly 0
        return 1 / (1 + np.exp(-logits.astype(np.float32, copy=False)))


def resample(cells: np.ndarray, boxes: np.ndarray, origins: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Resample B masks at pixel centres.

    Args:
        cells: (B, S, S) float32 probabilities.
        boxes: (B, 4) float xyxy, pixels of the image.
        origins: (B, 2) int64, (row, column) of each mask's first pixel.
        sizes: (B, 2) int64, (h, w) of each mask's region.

    Returns:
        (B, largest h, largest w) float32 probabilities, 0 beyond a mask's own region. Memory is in column order,
        because RLE counts down the columns.
    """
    side = cells.shape[1]
    rows, columns = (
        cell_weights(each, side) for each in pixel_positions(boxes, origins, sizes, side)
    )  # (B, h or w, S)
    return (columns @ cells.swapaxes(1, 2) @ rows.swapaxes(1, 2)).swapaxes(1, 2)


def pixel_positions(
    boxes: np.ndarray, origins: np.ndarray, sizes: np.ndarray, cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """`cell_positions` of the rows (B, largest h) and of the columns (B, largest w) of masks' regions."""
    height, width = sizes.max(axis=0).tolist()
    rows = cell_positions(origins[:, 0], sizes[:, 0], boxes[:, 1::2], height, cells)
    return rows, cell_positions(origins[:, 1], sizes[:, 1], boxes[:, ::2], width, cells)


def cell_positions(first: np.ndarray, extent: np.ndarray, sides: np.ndarray, pixels: int, cells: int) -> np.ndarray:
    """Positions of pixel centres among a mask's cells along one direction; 0 is the first cell's centre.

    Args:
        first: (B,) first pixel.
        extent: (B,) number of pixels; pixels beyond it get a position far from any cell.
        sides: (B, 2) where the first cell begins and the last one ends, in pixels.
        pixels: largest number of pixels in the batch.
        cells: cells per mask.

    Returns:
        (B, pixels) float32, from -0.5 to cells - 0.5 inside the box.
    """
    low, high = np.asarray(sides, np.float32).T
    steps = np.arange(pixels, dtype=np.float32)
    centre = first[:, None].astype(np.float32) + steps + np.float32(0.5)  # (B, pixels)
    with np.errstate(divide="ignore", invalid="ignore"):  # of boxes without extent, which have no pixels
        position = (centre - low[:, None]) / (high - low)[:, None] * np.float32(cells) - np.float32(0.5)
    return np.where(steps < extent[:, None], position, np.float32(-2))  # two cells away from any


def cell_weights(position: np.ndarray, cells: int) -> np.ndarray:
    """Weight (B, P, cells) of each cell at positions (B, P) by linear interpolation, zeros beyond the outermost."""
    weights = position[:, :, None] - np.arange(cells, dtype=np.float32)
    np.abs(weights, out=weights)
    np.subtract(1, weights, out=weights)
    return np.maximum(weights, 0, out=weights)


def pixel_regions(boxes: np.ndarray, image_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels that a box's mask may reach: the box, rounded outwards, and one pixel around it, in the frame.

    Args:
        boxes: (N, 4) float xyxy.
        image_shape: (H, W).

    Returns:
        Origins (N, 2) as (row, column) and sizes (N, 2) as (h, w), int64; both sizes are 0 where nothing is left.
    """
    height, width = image_shape
    has_extent = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & np.isfinite(boxes).all(axis=1)
    sound = np.where(has_extent[:, None], boxes, 0)
    limit = np.array([width, height])
    first = np.clip(np.floor(sound[:, :2]) - 1, 0, limit).astype(np.int64)  # (N, 2) x, y
    end = np.clip(np.ceil(sound[:, 2:]) + 1, 0, limit).astype(np.int64)
    sizes = end - first
    sizes[~has_extent | (sizes <= 0).any(axis=1)] = 0
    return first[:, ::-1], sizes[:, ::-1]


def batches_of_like_size(sizes: np.ndarray, pixels_per_batch: int) -> Iterator[np.ndarray]:
    """Divide masks of sizes (N, 2), (h, w), into batches, largest first, and yield their (B,) int64 indices.

    A batch holds at least one mask, and at most `pixels_per_batch` if each is a square of the batch's longest side.
    """
    longest = sizes.max(axis=1, initial=1)
    order = np.argsort(-longest, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, pixels_per_batch // int(longest[order[start]]) ** 2)
        yield order[start : start + count]
        start += count
