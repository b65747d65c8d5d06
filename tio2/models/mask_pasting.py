"""From a mask head's logits to masks in the image, each inside its own box only.

Bilinear resampling at pixel centres is two matrix products per mask, with hat functions as weights: the sample at
position p of a row of cells takes max(0, 1 - |p - k|) of cell k. Masks of like size are resampled together; nothing has
the size of N frames.

Between the outermost cell centres and the box's edge there is half a cell without a neighbour. Two rules stand for it:
`fade`, MMDetection's, takes zeros beyond the box, which shrinks a particle that its box touches by 0.1 to 0.3 % in
diameter; `extend` continues the last two cells linearly up to the box and ends there, which does not.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from semsize.structures.rle import encode_crops

PIXELS_PER_BATCH = 2**18
"""Pixels resampled together on a CPU: 1 MB of probabilities, so that a batch stays in the cache."""

PIXELS_PER_GPU_BATCH = 2**22

Edge = Literal["fade", "extend"]


class PastedBatch(NamedTuple):
    """Probabilities of B masks on the pixels of the image, each in a corner of an array as large as the largest."""

    indices: np.ndarray  # (B,) int64, which masks
    origins: np.ndarray  # (B, 2) int64, (row, column) of each mask's first pixel
    sizes: np.ndarray  # (B, 2) int64, (h, w) of each mask's region
    probabilities: Tensor  # (B, largest h, largest w), 0-1; 0 beyond the mask's own region


class PastedMasks(NamedTuple):
    """N masks in an image, and how sure the mask head is of their pixels."""

    rles: list[dict[str, Any]]  # N of {'size': [H, W], 'counts': str}, empty masks included
    certainties: np.ndarray  # (N,) float32, mean probability of each mask's pixels; 0 for an empty mask


class ProbabilityCrops(NamedTuple):
    """Probabilities of N masks on the pixels of the image, each a crop of its own."""

    crops: list[np.ndarray]  # N of (h, w) float32, 0-1
    origins: np.ndarray  # (N, 2) int64, (row, column) of each crop's first pixel


def paste_batches(
    logits: Tensor,
    boxes: Tensor,
    image_shape: tuple[int, int],
    edge: Edge = "fade",
    pixels_per_batch: int | None = None,
) -> Iterator[PastedBatch]:
    """Resample masks at the pixel centres of their boxes, masks of like size together.

    With the edge `fade` a mask falls to 0 from half a cell inside its box to half a cell beyond it, as with
    `grid_sample` and zero padding; up to one pixel beyond is kept. With `extend` nothing lies beyond the box. A box
    without extent, not finite, or outside the frame gives a region of 0 pixels.

    Args:
        logits: (N, S, S) float, the mask head's output for each box's class; a sigmoid makes them probabilities.
        boxes: (N, 4) float xyxy, pixels of the image; where the S x S cells lie.
        image_shape: (H, W) of the image.
        edge: What lies between the outermost cells and the box, `fade` or `extend`.
        pixels_per_batch: Bounds the memory of a batch; one mask may exceed it.

    Yields:
        Batches in order of size; each mask is in exactly one.

    Raises:
        ValueError: There is no such edge.
    """
    if edge not in EDGE_WEIGHTS:
        raise ValueError(f"mask edge {edge!r}: set test_cfg.rcnn.mask_edge to one of {', '.join(EDGE_WEIGHTS)}")
    if pixels_per_batch is None:
        pixels_per_batch = PIXELS_PER_BATCH if boxes.device.type == "cpu" else PIXELS_PER_GPU_BATCH
    origins, sizes = pixel_regions(boxes.detach().cpu().numpy(), image_shape)
    for indices in batches_of_like_size(sizes, pixels_per_batch):
        chosen = torch.from_numpy(indices).to(boxes.device)
        cells = logits[chosen].float().sigmoid_()
        probabilities = resample(cells, boxes[chosen], origins[indices], sizes[indices], edge)
        yield PastedBatch(indices, origins[indices], sizes[indices], probabilities)


def paste_probabilities(
    logits: Tensor, boxes: Tensor, image_shape: tuple[int, int], edge: Edge = "fade"
) -> ProbabilityCrops:
    """Resample masks at the pixel centres of their boxes, for those who resolve overlaps.

    Arguments as for `paste_batches`; the crops come in the order of the boxes.
    """
    crops: list[np.ndarray] = [np.zeros((0, 0), np.float32)] * len(boxes)
    origins = np.zeros((len(boxes), 2), np.int64)
    for batch in paste_batches(logits, boxes, image_shape, edge):
        pixels = batch.probabilities.cpu().numpy()
        origins[batch.indices] = batch.origins
        for index, (height, width), crop in zip(batch.indices, batch.sizes, pixels, strict=True):
            crops[index] = crop[:height, :width].copy()
    return ProbabilityCrops(crops, origins)


def paste_rles(
    logits: Tensor, boxes: Tensor, image_shape: tuple[int, int], threshold: float, edge: Edge = "fade"
) -> list[dict[str, Any]]:
    """N COCO RLEs: what `paste_masks` returns, but for the certainties."""
    return paste_masks(logits, boxes, image_shape, threshold, edge).rles


def paste_masks(
    logits: Tensor, boxes: Tensor, image_shape: tuple[int, int], threshold: float, edge: Edge = "fade"
) -> PastedMasks:
    """Resample masks inside their boxes and encode what reaches the threshold (first arguments of `paste_batches`).

    Args:
        logits: (N, S, S) float, the mask head's output for each box's class; a sigmoid makes them probabilities.
        boxes: (N, 4) float xyxy, pixels of the image.
        image_shape: (H, W) of the image.
        threshold: Least probability of a particle's pixel, above 0.
        edge: As for `paste_batches`.

    Returns:
        N masks in the order of the boxes.

    Raises:
        ValueError: The threshold is not above 0.
    """
    if not threshold > 0:
        raise ValueError(f"mask threshold {threshold}: must be above 0; set test_cfg.rcnn.mask_thr_binary, usually 0.5")
    rles: list[dict[str, Any]] = [{}] * len(boxes)
    certainties = np.zeros(len(boxes), np.float32)
    for batch in paste_batches(logits, boxes, image_shape, edge):
        inside = batch.probabilities >= threshold
        pixels = inside.sum(dim=(1, 2)).clamp_(min=1)
        certainties[batch.indices] = ((batch.probabilities * inside).sum(dim=(1, 2)) / pixels).cpu().numpy()
        crops = encode_crops(inside.cpu().numpy(), batch.origins, image_shape)
        for index, rle in zip(batch.indices, crops, strict=True):
            rles[index] = rle
    return PastedMasks(rles, certainties)


def enlarged_boxes(boxes: Tensor, scale: float) -> Tensor:
    """(N, 4) xyxy boxes, `scale` times as wide and as high about their centres; they may reach beyond the frame."""
    margins = (boxes[:, 2:] - boxes[:, :2]) * ((scale - 1) / 2)  # (N, 2)
    return boxes + torch.cat([-margins, margins], dim=1)


def resample(cells: Tensor, boxes: Tensor, origins: np.ndarray, sizes: np.ndarray, edge: Edge) -> Tensor:
    """Resample B masks at pixel centres, in float32 whatever autocast says.

    Args:
        cells: (B, S, S) float32 probabilities.
        boxes: (B, 4) float xyxy, pixels of the image.
        origins: (B, 2) int64, (row, column) of each mask's first pixel.
        sizes: (B, 2) int64, (h, w) of each mask's region.
        edge: As for `paste_batches`.

    Returns:
        (B, largest h, largest w) float32 probabilities, 0 beyond a mask's own region; in column order, as RLE runs.
    """
    first, extent = torch.from_numpy(origins).to(boxes), torch.from_numpy(sizes).to(boxes)
    height, width = (int(side) for side in sizes.max(axis=0))
    row = cell_positions(first[:, 0], extent[:, 0], boxes[:, 1], boxes[:, 3], height, cells.shape[1])
    column = cell_positions(first[:, 1], extent[:, 1], boxes[:, 0], boxes[:, 2], width, cells.shape[2])
    weights = EDGE_WEIGHTS[edge]
    rows, columns = weights(row, cells.shape[1]), weights(column, cells.shape[2])  # (B, h, S), (B, w, S)
    with torch.autocast(boxes.device.type, enabled=False):
        pixels = (columns @ cells.transpose(1, 2) @ rows.transpose(1, 2)).transpose(1, 2)
    return pixels if edge == "fade" else pixels.clamp_(0, 1)


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
    """Divide masks into batches, largest first.

    Args:
        sizes: (N, 2) int64, (h, w).
        pixels_per_batch: Most pixels of a batch, as squares of its longest side; a batch has one mask at least.

    Yields:
        (B,) int64 indices.
    """
    longest = sizes.max(axis=1, initial=1)
    order = np.argsort(-longest, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, pixels_per_batch // int(longest[order[start]]) ** 2)
        yield order[start : start + count]
        start += count


def cell_positions(first: Tensor, extent: Tensor, low: Tensor, high: Tensor, pixels: int, cells: int) -> Tensor:
    """Where pixel centres lie among a mask's cells along one direction, 0 being the first cell's centre.

    Args:
        first: (B,) first pixel.
        extent: (B,) number of pixels; those beyond lie far from any cell.
        low: (B,) where the first cell begins, in pixels.
        high: (B,) where the last cell ends.
        pixels: Most pixels of the batch.
        cells: Cells per mask.

    Returns:
        (B, pixels), from -0.5 to cells - 0.5 inside the box.
    """
    steps = torch.arange(pixels, device=first.device, dtype=first.dtype)
    centre = first[:, None] + steps + 0.5  # (B, pixels)
    position = (centre - low[:, None]) / (high - low)[:, None] * cells - 0.5
    return torch.where(steps < extent[:, None], position, -2.0)  # two cells away from any


def fading_weights(position: Tensor, cells: int) -> Tensor:
    """Share (B, P, cells) of each cell at positions (B, P) by linear interpolation, zeros beyond the outermost."""
    cell = torch.arange(cells, device=position.device, dtype=position.dtype)
    return (position[:, :, None] - cell).abs_().neg_().add_(1).clamp_(min=0)


def extending_weights(position: Tensor, cells: int) -> Tensor:
    """The same, but continuing the first two and the last two cells linearly up to the box, and nothing beyond it."""
    weights = fading_weights(position.clamp(0, cells - 1), cells)
    before, after = position.clamp(max=0), (position - (cells - 1)).clamp_(min=0)
    weights[..., 0] -= before
    weights[..., 1] += before
    weights[..., -1] += after
    weights[..., -2] -= after
    return weights * ((position >= -0.5) & (position <= cells - 0.5))[..., None]


EDGE_WEIGHTS = {"fade": fading_weights, "extend": extending_weights}
