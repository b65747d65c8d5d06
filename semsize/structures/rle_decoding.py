"""COCO run-length encodings of many masks decoded at once to tight crops, without a full frame.

All compressed counts are parsed together and all runs placed together, in one buffer of the crops' pixels; only the
cutting of that buffer goes mask by mask. `rle_batch` describes the format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from semsize.structures.rle_batch import MOST_GROUPS, Runs

Counts = str | bytes | Sequence[int]


class Extents(NamedTuple):
    """Tight boxes of N masks, zeros for an empty one; (N,) int64 each."""

    row: np.ndarray
    column: np.ndarray
    height: np.ndarray
    width: np.ndarray


def decode_rles(rles: Sequence[Mapping[str, Any]]) -> tuple[list[np.ndarray], np.ndarray]:
    """Decode N RLEs of frames of one size.

    Args:
        rles: ``{'size': [H, W], 'counts': str | bytes | list of run lengths}`` each.

    Returns:
        N crops (h, w) of uint8 0/1, tight, (0, 0) for an empty mask; and their origins (N, 2) int64, (row, column).

    Raises:
        ValueError: the run lengths of one do not fill its frame exactly, or are not in COCO's form.
    """
    if len(rles) == 0:
        return [], np.zeros((0, 2), np.int64)
    height, width = (int(side) for side in rles[0]["size"])
    counts, counts_per_mask = parse_counts([rle["counts"] for rle in rles])
    runs = foreground_runs(counts, counts_per_mask, (height, width))
    extents = run_extents(runs, len(rles), height)
    pixels, starts = _crop_pixels(runs, extents, height)
    shapes = zip(starts.tolist(), extents.height.tolist(), extents.width.tolist(), strict=True)
    crops = [pixels[at : at + h * w].reshape(w, h).T.copy() for at, h, w in shapes]
    return crops, np.stack([extents.row, extents.column], axis=1)


def parse_counts(counts: Sequence[Counts]) -> tuple[np.ndarray, np.ndarray]:
    """Run lengths of N masks, compressed or not.

    The compressed form holds each length, from the fourth on less the one two places before it, in groups of five bits
    from the lowest up; bit 5 of a character says that more follow, bit 4 of the last one is the sign.

    Returns:
        The run lengths of all masks one after the other, int64, and how many each mask has, (N,) int64.
    """
    compressed = [each for each in counts if isinstance(each, str | bytes)]
    if len(compressed) == len(counts):
        return _decompressed(compressed)
    plain = [
        _decompressed([each])[0] if isinstance(each, str | bytes) else np.asarray(each, np.int64).reshape(-1)
        for each in counts
    ]
    return np.concatenate(plain), np.array([len(each) for each in plain], np.int64)


def first_damaged(rles: Sequence[Mapping[str, Any]]) -> int | None:
    """Position of the first of N RLEs whose run lengths do not fill its frame exactly; None where there is none.

    Args:
        rles: of frames of any sizes, each checked by `rle.rle_size`.
    """
    try:
        counts, counts_per_mask = parse_counts([rle["counts"] for rle in rles])
    except ValueError:
        if len(rles) == 1:
            return 0
        middle = len(rles) // 2
        first = first_damaged(rles[:middle])
        return first if first is not None else middle + first_damaged(rles[middle:])
    frames = np.array([rle["size"][0] * rle["size"][1] for rle in rles], np.int64)
    mask = np.repeat(np.arange(len(rles)), counts_per_mask)
    is_wrong = np.zeros(len(rles), bool)
    is_wrong[mask[(counts < 0) | (counts > frames[mask])]] = True
    is_wrong |= np.bincount(mask, np.where(is_wrong[mask], 0, counts), len(rles)) != frames
    return int(is_wrong.argmax()) if is_wrong.any() else None


def foreground_runs(counts: np.ndarray, counts_per_mask: np.ndarray, image_shape: tuple[int, int]) -> Runs:
    """The runs of foreground pixels of the masks whose counts these are (arguments as `parse_counts` returns them)."""
    height, width = image_shape
    ends = np.cumsum(counts_per_mask)
    bounds = np.cumsum(counts)
    before = np.concatenate([[0], bounds])[ends - counts_per_mask]  # positions at which the masks' frames begin
    totals = np.concatenate([[0], bounds])[ends] - before
    mask = np.repeat(np.arange(len(counts_per_mask)), counts_per_mask)
    is_wrong = totals != height * width
    is_wrong[mask[(counts < 0) | (counts > height * width)]] = True
    if is_wrong.any():
        total = totals[is_wrong][0]
        raise ValueError(f"RLE runs add up to {total} pixels, but its size {height} x {width} has {height * width}")
    place = np.arange(len(counts)) - (ends - counts_per_mask)[mask]
    filled = np.flatnonzero((place % 2 == 1) & (counts > 0))
    end = bounds[filled] - before[mask[filled]]
    return Runs(mask[filled], end - counts[filled], end)


def run_extents(runs: Runs, masks: int, image_height: int) -> Extents:
    """Tight boxes of the masks that runs, ordered by mask and position, belong to."""
    row, column, height, width = np.zeros((4, masks), np.int64)
    if len(runs.mask):
        first = np.flatnonzero(np.diff(runs.mask, prepend=-1))
        last = np.append(first[1:], len(runs.mask)) - 1
        filled = runs.mask[first]
        start_column, start_row = np.divmod(runs.start, image_height)
        end_column, end_row = np.divmod(runs.end - 1, image_height)
        wraps = np.maximum.reduceat(end_column > start_column, first)  # such a run has the last row and the first
        row[filled] = np.where(wraps, 0, np.minimum.reduceat(start_row, first))
        height[filled] = np.where(wraps, image_height, np.maximum.reduceat(end_row, first) + 1) - row[filled]
        column[filled] = start_column[first]
        width[filled] = end_column[last] + 1 - column[filled]
    return Extents(row, column, height, width)


def _crop_pixels(runs: Runs, extents: Extents, image_height: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of all crops, column by column, uint8 0/1, and where each crop begins, (N,)."""
    ends = np.cumsum(extents.height * extents.width)
    starts = ends - extents.height * extents.width
    corner = starts - extents.column * extents.height - extents.row
    changes = np.zeros(int(ends[-1]) + 1, np.int8)
    for position, change in ((runs.start, 1), (runs.end - 1, -1)):
        column, row = np.divmod(position, image_height)
        at = corner[runs.mask] + column * extents.height[runs.mask] + row
        changes[at + (change < 0)] += change
    return np.cumsum(changes[:-1], dtype=np.int8).view(np.uint8), starts


def _decompressed(counts: Sequence[str | bytes]) -> tuple[np.ndarray, np.ndarray]:
    strings = [each.encode("ascii") if isinstance(each, str) else each for each in counts]
    groups = np.frombuffer(b"".join(strings), np.uint8).astype(np.int64) - 48
    ends = np.cumsum([len(string) for string in strings])
    is_last = groups & 32 == 0
    if not all(strings) or groups.min() < 0 or groups.max() > 63 or not is_last[ends - 1].all():
        raise ValueError("RLE counts are not in COCO's compressed form")
    last = np.flatnonzero(is_last)
    first = np.concatenate([[0], last[:-1] + 1])
    if (last - first).max() >= MOST_GROUPS:
        raise ValueError("RLE counts are not in COCO's compressed form")
    bits = 5 * (np.arange(len(groups)) - np.repeat(first, last - first + 1))
    lengths = np.add.reduceat((groups & 31) << bits, first)
    lengths -= np.where(groups[last] & 16, 1 << (5 * (last - first + 1)), 0)
    counts_per_mask = np.diff(np.searchsorted(last, ends), prepend=0)
    return _undo_differences(lengths, counts_per_mask), counts_per_mask


def _undo_differences(lengths: np.ndarray, counts_per_mask: np.ndarray) -> np.ndarray:
    """Run lengths from what is stored: sums over every other place from the second and from the third on."""
    begins = np.cumsum(counts_per_mask) - counts_per_mask
    mask = np.repeat(np.arange(len(counts_per_mask)), counts_per_mask)
    place = np.arange(len(lengths)) - begins[mask]
    for chosen in (place % 2 == 1, (place % 2 == 0) & (place > 0)):
        sums = np.cumsum(lengths[chosen])
        per_mask = np.bincount(mask[chosen], minlength=len(counts_per_mask))
        earlier = np.concatenate([[0], sums])[np.cumsum(per_mask) - per_mask]
        lengths[chosen] = sums - earlier[mask[chosen]]
    return lengths
