"""Find which masks of an image share pixels, and how many; the time grows with the pairs whose boxes meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semsize.structures.masks import CroppedMasks, shared_pixels


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The K pairs of masks that share pixels; every array is (K,)."""

    first: np.ndarray  # index into the first set
    second: np.ndarray  # index into the second set
    intersection_px: np.ndarray  # pixels shared, > 0
    dice: np.ndarray  # 2·intersection / (sum of the two areas), in (0, 1]
    iou: np.ndarray  # intersection / union, in (0, 1]


def meeting_boxes(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs of boxes that share a pixel, ordered by first, then by second index.

    There is a grid for each power of two. Each box is filed in the finest grid whose cells are no smaller than the box,
    where it lies in at most four cells, and looked up in this grid and all coarser ones. So each box is compared only
    with boxes near it, however different the sizes are.

    Args:
        first: (N, 4) xyxy, half-open, whole numbers; boxes without a pixel are in no pair.
        second: (M, 4).

    Returns:
        (K,), (K,) int64 indices.

    >>> meeting_boxes(np.array([[0, 0, 4, 4]]), np.array([[4, 0, 8, 4], [3, 3, 9, 9]]))
    (array([0]), array([1]))
    """
    first, second = (np.asarray(boxes).astype(np.int64).reshape(-1, 4) for boxes in (first, second))
    levels = [_levels(boxes) for boxes in (first, second)]
    pairs = [np.zeros((0, 2), np.int64)]
    for level in np.unique(np.concatenate(levels)):
        if level < 0:
            continue
        # boxes filed at this level against boxes of the same or finer levels; only the first line pairs equal levels
        pairs.append(_met(first, second, (levels[0] >= 0) & (levels[0] <= level), levels[1] == level, level))
        pairs.append(_met(second, first, (levels[1] >= 0) & (levels[1] < level), levels[0] == level, level)[:, ::-1])
    found = np.concatenate(pairs)
    found = found[np.argsort(found[:, 0] * max(len(second), 1) + found[:, 1])]
    return found[:, 0], found[:, 1]


def box_ious(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union (K,) of K pairs of boxes, each (K, 4) xyxy; 0 for two boxes without area.

    >>> box_ious(np.array([[0, 0, 4, 4], [0, 0, 1, 1]]), np.array([[0, 0, 4, 2], [5, 5, 6, 6]]))
    array([0.5, 0. ])
    """
    extent = np.maximum(np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2]), 0)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    shared = extent.prod(axis=1)
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-6)


def _levels(boxes: np.ndarray) -> np.ndarray:
    """(N,) smallest k with 2^k no less than a box's longer side; -1 for a box without a pixel."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = np.maximum(sides.max(axis=1, initial=0), 1)
    return np.where((sides > 0).all(axis=1), np.ceil(np.log2(longest)).astype(np.int64), -1)


def _met(probes: np.ndarray, filed: np.ndarray, is_probe: np.ndarray, is_filed: np.ndarray, level: int) -> np.ndarray:
    """(K, 2) pairs (probe, filed) that share a pixel; each counts only in the cell of the overlap's first corner."""
    probing, filing = np.flatnonzero(is_probe), np.flatnonzero(is_filed)
    if not len(probing) or not len(filing):
        return np.zeros((0, 2), np.int64)
    cells, owners = _cells(filed[filing], level)
    looked, lookers = _cells(probes[probing], level)
    order = np.argsort(cells)
    cells, owners = cells[order], owners[order]
    start, stop = np.searchsorted(cells, looked, "left"), np.searchsorted(cells, looked, "right")
    counts = stop - start
    probe = np.repeat(probing[lookers], counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    other = filing[owners[np.repeat(start, counts) + offset]]
    low, high = np.maximum(probes[probe, :2], filed[other, :2]), np.minimum(probes[probe, 2:], filed[other, 2:])
    corner = low >> level
    meet = (low < high).all(axis=1) & ((corner[:, 1] << 32) + corner[:, 0] == np.repeat(looked, counts))
    return np.column_stack([probe, other])[meet]


def _cells(boxes: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of the cells of side 2^level that boxes up to this side lie in, and the box of each key."""
    low, high = boxes[:, :2] >> level, (boxes[:, 2:] - 1) >> level
    columns = np.column_stack([low[:, 0], high[:, 0], low[:, 0], high[:, 0]])
    rows = np.column_stack([low[:, 1], low[:, 1], high[:, 1], high[:, 1]])
    wider, taller = (high != low).T
    is_new = np.column_stack([np.ones(len(boxes), bool), wider, taller, wider & taller])
    return ((rows << 32) + columns)[is_new], np.nonzero(is_new)[0]


def overlaps(first: CroppedMasks, second: CroppedMasks, least_cover: float = 0.0) -> Overlaps:
    """Count the pixels that two sets of masks of one image share, on the crops of the pairs whose boxes meet.

    Args:
        first: N masks.
        second: M masks.
        least_cover: pairs that share less than this fraction of the smaller mask are left out, most by their boxes
            alone, which saves time where neighbours touch. An IoU of t needs a cover of at least 2t / (1 + t).

    Raises:
        ValueError: the images have different widths, so that their pixels do not correspond; heights may differ by a
            data bar at the foot.

    >>> truth, found = (CroppedMasks.from_crops([(np.ones((4, 4)), origin)], (9, 9)) for origin in [(0, 0), (0, 1)])
    >>> overlaps(truth, found).dice, overlaps(truth, found).iou
    (array([0.75]), array([0.6]))
    """
    if first.image_shape[1] != second.image_shape[1]:
        raise ValueError(
            f"masks of images {first.image_shape} and {second.image_shape} (rows, columns) cannot be compared; "
            "only a data bar at the foot may differ"
        )
    i, j = meeting_boxes(first.boxes, second.boxes)
    smaller = np.minimum(first.areas[i], second.areas[j])
    if least_cover > 0:
        low = np.maximum(first.boxes[i, :2], second.boxes[j, :2])
        common = np.prod(np.minimum(first.boxes[i, 2:], second.boxes[j, 2:]) - low, axis=1)
        can = common >= least_cover * smaller
        i, j, smaller = i[can], j[can], smaller[can]
    of_first, of_second = list(first), list(second)
    pairs = zip(i.tolist(), j.tolist(), strict=True)
    shared = np.array([shared_pixels(of_first[n], of_second[m]) for n, m in pairs], dtype=np.int64)
    is_pair = (shared > 0) & (shared >= least_cover * smaller)
    i, j, shared = i[is_pair], j[is_pair], shared[is_pair]
    areas = first.areas[i] + second.areas[j]
    return Overlaps(first=i, second=j, intersection_px=shared, dice=2 * shared / areas, iou=shared / (areas - shared))
