"""COCO run-length encoding of many crops at once: the same strings as pycocotools, by array arithmetic.

COCO numbers the pixel in row r and column c of an image of H rows c * H + r and counts runs of 0, of 1, of 0 and so on.
From the fourth count on it stores the difference to the count two before, in groups of five bits (`rleToString` in
pycocotools' `maskApi.c`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Rle = dict[str, Any]
"""`{'size': [H, W], 'counts': str}`, as it stands in a COCO JSON file."""

MOST_GROUPS = 13  # groups of five bits that hold any 64-bit count


class Runs(NamedTuple):
    """Runs of foreground pixels of several masks, ordered by mask, then by position in the frame."""

    mask: np.ndarray  # (R,) int64, which mask
    start: np.ndarray  # (R,) int64, frame position of the run's first pixel
    end: np.ndarray  # (R,) int64, frame position after its last pixel


def encode_crops(
    crops: Sequence[np.ndarray] | np.ndarray, origins: np.ndarray, image_shape: tuple[int, int]
) -> list[Rle]:
    """Encode N crops as full-frame COCO RLE.

    Args:
        crops: N of (h, w), each of its own size or one array (N, h, w); zero is background; need not be tight, and may
            reach beyond the frame with background.
        origins: (N, 2) int64, (row, column) of each crop's first pixel.
        image_shape: (H, W) of the frame.

    Returns:
        N dicts `{'size': [H, W], 'counts': str}`.

    Raises:
        ValueError: A foreground pixel lies outside the frame.
    """
    height, width = (int(side) for side in image_shape)
    runs = find_runs(crops, np.asarray(origins, np.int64).reshape(-1, 2), (height, width))
    counts, counts_per_mask = run_counts(runs, len(crops), height * width)
    strings = compress_counts(counts, counts_per_mask)
    return [{"size": [height, width], "counts": string} for string in strings]


def find_runs(crops: Sequence[np.ndarray] | np.ndarray, origins: np.ndarray, image_shape: tuple[int, int]) -> Runs:
    """Find the foreground runs of N crops (arguments as for `encode_crops`)."""
    height, width = image_shape
    mask, row, column = changes(crops)
    row += origins[mask, 0]
    column += origins[mask, 1]
    start_row, end_row = row[0::2], row[1::2]
    mask, column = mask[0::2], column[0::2]
    outside = (start_row < 0) | (end_row > height) | (column < 0) | (column >= width)
    if outside.any():
        raise ValueError(f"mask {mask[outside][0]} has pixels outside its {width} x {height} frame")
    start, end = column * height + start_row, column * height + end_row
    goes_on = (start[1:] == end[:-1]) & (mask[1:] == mask[:-1])  # from the last row into the next column's first
    first, last = np.ones(len(start), np.bool_), np.ones(len(start), np.bool_)
    first[1:], last[:-1] = ~goes_on, ~goes_on
    return Runs(mask[first], start[first], end[last])


def changes(crops: Sequence[np.ndarray] | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where crops change down their columns: begin, end, begin, end … of each run, in order of crop and column.

    Returns:
        Crop, row and column within the crop, each (2 R,) int64.
    """
    heights = np.array([crop.shape[0] for crop in crops], np.int64)
    widths = np.array([crop.shape[1] for crop in crops], np.int64)
    ends = np.cumsum((heights + 1) * widths)  # one background pixel ahead of each column: no run goes on into the next
    starts = ends - (heights + 1) * widths
    pixels = np.zeros(int(ends[-1]) + 1 if len(ends) else 1, np.bool_)
    for crop, start, end in zip(crops, starts.tolist(), ends.tolist(), strict=True):
        pixels[start:end].reshape(crop.shape[1], crop.shape[0] + 1)[:, 1:] = crop.T
    change = np.flatnonzero(pixels[1:] != pixels[:-1])
    mask = np.repeat(np.arange(len(ends)), np.diff(np.searchsorted(change, ends), prepend=0))
    column, row = np.divmod(change - starts[mask], heights[mask] + 1)
    return mask, row, column


def run_counts(runs: Runs, masks: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn runs into COCO's counts.

    Args:
        runs: The foreground runs.
        masks: Number of masks, those without runs included.
        pixels: Pixels of the frame.

    Returns:
        The counts of all masks one after the other, int64, and the number of counts of each mask, (masks,) int64.
    """
    runs_per_mask = np.bincount(runs.mask, minlength=masks)
    edges_per_mask = 2 * runs_per_mask + 2  # 0, start, end, …, start, end, pixels
    first_edge = np.cumsum(edges_per_mask) - edges_per_mask
    first_run = np.cumsum(runs_per_mask) - runs_per_mask
    edges = np.empty(edges_per_mask.sum(), np.int64)
    edges[first_edge] = 0
    edges[first_edge + edges_per_mask - 1] = pixels
    place = first_edge[runs.mask] + 1 + 2 * (np.arange(len(runs.mask)) - first_run[runs.mask])
    edges[place] = runs.start
    edges[place + 1] = runs.end

    kept = np.ones(len(edges), np.bool_)
    kept[first_edge] = False
    last_edge = first_edge + edges_per_mask - 1
    kept[last_edge] = edges[last_edge - 1] < pixels  # no count of 0 at the end
    counts = np.diff(edges, prepend=0)[kept]
    return counts, np.add.reduceat(kept, first_edge, dtype=np.int64) if masks else np.zeros(0, np.int64)


def compress_counts(counts: np.ndarray, counts_per_mask: np.ndarray) -> list[str]:
    """Write COCO's compressed strings.

    Args:
        counts: (K,) int64, the counts of all masks one after the other.
        counts_per_mask: (N,) int64, adding up to K, each at least 1.
    """
    if not len(counts_per_mask):
        return []
    first = np.cumsum(counts_per_mask) - counts_per_mask
    place = np.arange(len(counts)) - np.repeat(first, counts_per_mask)
    later = np.flatnonzero(place > 2)
    remaining = counts.copy()
    remaining[later] -= counts[later - 2]

    groups, written = [], []
    unfinished = np.ones(len(counts), np.bool_)
    for _ in range(MOST_GROUPS):
        five_bits = remaining & 0x1F
        remaining >>= 5
        written.append(unfinished)
        unfinished = unfinished & (remaining != np.where(five_bits & 0x10, -1, 0))  # the top bit is the sign
        groups.append((five_bits | np.where(unfinished, 0x20, 0)) + 48)
        if not unfinished.any():
            break
    is_written = np.stack(written, axis=1)  # (K, groups)
    characters = np.stack(groups, axis=1)[is_written].astype(np.uint8).tobytes().decode("ascii")
    ends = np.cumsum(np.add.reduceat(is_written.sum(axis=1), first)).tolist()
    return [characters[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
