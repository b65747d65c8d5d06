"""Which particle found is which true one: overlaps of the masks whose boxes meet, then the best one-to-one assignment.

Legend: N true particles, M found, K pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from semsize.structures.masks import CroppedMasks

MIN_DICE = 0.75
"""Dice coefficient from which two masks are taken for one particle: the smallest in Table 4 of the paper (IoU 0.6)."""

MIN_IGNORED_SHARE = 0.5
"""Share of a found mask that must lie in ignored regions for it to count for and against nobody."""


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The pairs of masks that share pixels.

    Attributes:
        first: (K,) index into the first set.
        second: (K,) index into the second set.
        intersection_px: (K,) pixels shared, > 0.
        dice: (K,) 2·intersection / (sum of the two areas), in (0, 1].
        iou: (K,) intersection / union, in (0, 1].
    """

    first: np.ndarray
    second: np.ndarray
    intersection_px: np.ndarray
    dice: np.ndarray
    iou: np.ndarray


@dataclass(frozen=True, eq=False)
class Matching:
    """Who was found, who was not, and what was found that is not there.

    Attributes:
        truth: (K,) index of each matched true particle, ascending.
        found: (K,) index of the found particle that is it.
        dice: (K,) their Dice coefficient.
        iou: (K,) their intersection over union.
        missed: (N - K,) indices of the true particles without a partner.
        false_positives: indices of the found ones without a partner.
        ignored: indices of the found ones without a partner that lie in ignored regions: neither right nor wrong.
    """

    truth: np.ndarray
    found: np.ndarray
    dice: np.ndarray
    iou: np.ndarray
    missed: np.ndarray
    false_positives: np.ndarray
    ignored: np.ndarray


def overlaps(first: CroppedMasks, second: CroppedMasks) -> Overlaps:
    """Intersections of two sets of masks of one image, counted on the crops of the pairs whose boxes meet.

    Raises:
        ValueError: the images have different widths, so that their pixels do not correspond; heights may differ by a
            data bar at the foot.
    """
    _check_shapes(first, second)
    i, j = _pairs_of_meeting_boxes(first, second)
    pairs = zip(i.tolist(), j.tolist(), strict=True)
    shared = np.array([_intersection(first, second, *pair) for pair in pairs], dtype=np.int64)
    i, j, shared = i[shared > 0], j[shared > 0], shared[shared > 0]
    areas = first.areas[i] + second.areas[j]
    return Overlaps(first=i, second=j, intersection_px=shared, dice=2 * shared / areas, iou=shared / (areas - shared))


def match(
    truth: CroppedMasks,
    found: CroppedMasks,
    *,
    min_dice: float = MIN_DICE,
    ignored_regions: CroppedMasks | None = None,
    min_ignored_share: float = MIN_IGNORED_SHARE,
) -> Matching:
    """The one-to-one assignment with the most pairs of at least ``min_dice``, and among those the largest sum of Dice.

    Args:
        truth: N masks.
        found: M masks of the same image; masks of one set may overlap.
        min_dice: pairs below it are no match, in (0, 1].
        ignored_regions: regions whose finds count for and against nobody (specks, ``iscrowd`` = 1).
        min_ignored_share: share of its pixels in one of these regions from which an unmatched found mask is ignored.

    Raises:
        ValueError: the masks do not belong to one image, or a share is out of range.
    """
    if not (0 < min_dice <= 1 and 0 < min_ignored_share <= 1):
        raise ValueError(f"min_dice {min_dice} and min_ignored_share {min_ignored_share} must lie in (0, 1]")
    pairs = overlaps(truth, found)
    kept = _best_pairs(pairs, min_dice)
    partnerless = np.setdiff1d(np.arange(len(found)), pairs.second[kept])
    excused = np.empty(0, dtype=np.int64)
    if ignored_regions is not None:
        excused = np.intersect1d(partnerless, _lying_in(found, ignored_regions, min_ignored_share))
    return Matching(
        truth=pairs.first[kept],
        found=pairs.second[kept],
        dice=pairs.dice[kept],
        iou=pairs.iou[kept],
        missed=np.setdiff1d(np.arange(len(truth)), pairs.first[kept]),
        false_positives=np.setdiff1d(partnerless, excused),
        ignored=excused,
    )


def _check_shapes(first: CroppedMasks, second: CroppedMasks) -> None:
    if first.image_shape[1] != second.image_shape[1]:
        raise ValueError(
            f"masks of images {first.image_shape} and {second.image_shape} (rows, columns) cannot be compared; "
            "only a data bar at the foot may differ"
        )


def _pairs_of_meeting_boxes(first: CroppedMasks, second: CroppedMasks) -> tuple[np.ndarray, np.ndarray]:
    """Indices (K,), (K,) of the pairs whose boxes share a pixel, ordered by the first."""
    a, b = first.boxes, second.boxes  # (N, 4), (M, 4) xyxy, half-open
    meet = (a[:, None, 0] < b[None, :, 2]) & (b[None, :, 0] < a[:, None, 2])
    meet &= (a[:, None, 1] < b[None, :, 3]) & (b[None, :, 1] < a[:, None, 3])
    return np.nonzero(meet)


def _intersection(first: CroppedMasks, second: CroppedMasks, i: int, j: int) -> int:
    """Pixels that mask i of the first set and mask j of the second share."""
    a, b = first.crops[i], second.crops[j]
    (row_a, column_a), (row_b, column_b) = first.origins[i].tolist(), second.origins[j].tolist()
    top, left = max(row_a, row_b), max(column_a, column_b)
    bottom = min(row_a + a.shape[0], row_b + b.shape[0])
    right = min(column_a + a.shape[1], column_b + b.shape[1])
    window_a = a[top - row_a : bottom - row_a, left - column_a : right - column_a]
    window_b = b[top - row_b : bottom - row_b, left - column_b : right - column_b]
    return int(np.count_nonzero(window_a & window_b))


def _best_pairs(pairs: Overlaps, min_dice: float) -> np.ndarray:
    """Indices of the pairs kept, by ascending first: solved for each group of masks that candidates connect."""
    candidates = np.nonzero(pairs.dice >= min_dice)[0]
    if candidates.size == 0:
        return candidates
    rows, columns = np.unique(pairs.first[candidates], return_inverse=True)[1], pairs.second[candidates]
    columns = np.unique(columns, return_inverse=True)[1]
    n, m = rows.max() + 1, columns.max() + 1
    links = coo_array((np.ones(len(rows)), (rows, columns + n)), shape=(n + m, n + m))
    group = connected_components(links, directed=False)[1][rows]  # (K,) group of each candidate pair
    order = np.argsort(group, kind="stable")
    groups = np.split(candidates[order], np.nonzero(np.diff(group[order]))[0] + 1)
    return np.sort(np.concatenate([_best_of_group(pairs, members) for members in groups]))


def _best_of_group(pairs: Overlaps, members: np.ndarray) -> np.ndarray:
    """The members of the group's best assignment; a pair more always weighs more than any sum of Dice."""
    if members.size == 1:
        return members
    rows, i = np.unique(pairs.first[members], return_inverse=True)
    columns, j = np.unique(pairs.second[members], return_inverse=True)
    weight = np.zeros((len(rows), len(columns)))
    weight[i, j] = 1 + pairs.dice[members] / (2 * min(weight.shape))
    chosen = np.zeros(weight.shape, dtype=bool)
    chosen[linear_sum_assignment(weight, maximize=True)] = True
    return members[chosen[i, j]]


def _lying_in(found: CroppedMasks, regions: CroppedMasks, min_share: float) -> np.ndarray:
    pairs = overlaps(found, regions)
    share = pairs.intersection_px / found.areas[pairs.first]
    return np.unique(pairs.first[share >= min_share])
