"""Matching of found particles with true ones by the best one-to-one assignment, and average precision.

Legend: N true particles, M found, K pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import Overlaps, overlaps

OPERATING_SCORE = 0.5
"""Least score of found particles wherever single particles are counted or measured (Table 1 of the paper)."""

MIN_DICE = 0.75
"""Dice coefficient from which two masks are taken for one particle: the smallest in Table 4 of the paper (IoU 0.6)."""

DICE_AT_IOU_50 = 2 / 3

MIN_IGNORED_SHARE = 0.5  # an unmatched found mask with this share in an ignored region is no error

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AVERAGE_PRECISIONS = {"mAP": slice(None), "AP50": slice(0, 1), "AP75": slice(5, 6), "AP90": slice(8, 9)}
"""Name of an average precision to the `IOU_THRESHOLDS` (columns of `outcomes`) that it is the mean over."""

RECALLS = np.linspace(0, 1, 101)
RIGHT, WRONG, NOT_COUNTED = 1, 0, -1


@dataclass(frozen=True, eq=False)
class Matching:
    """Pairs of true and found particles that match, and the particles of both sets without a partner."""

    truth: np.ndarray  # (K,) index of each matched true particle, ascending
    found: np.ndarray  # (K,) index of its partner among the found particles
    dice: np.ndarray  # (K,) their Dice coefficient
    iou: np.ndarray  # (K,) their intersection over union
    missed: np.ndarray  # (N - K,) indices of the true particles without a partner
    false_positives: np.ndarray  # indices of found particles without a partner, outside ignored regions
    ignored: np.ndarray  # indices of found particles without a partner, in ignored regions


def match(
    truth: CroppedMasks,
    found: CroppedMasks,
    *,
    min_dice: float = MIN_DICE,
    ignored_regions: CroppedMasks | None = None,
    pairs: Overlaps | None = None,
) -> Matching:
    """Return the one-to-one assignment with the most pairs from ``min_dice`` on, and of those the largest sum of Dice.

    Args:
        truth: N masks.
        found: M masks of the same image; masks of one set may overlap.
        min_dice: least Dice coefficient of a match, in (0, 1].
        ignored_regions: specks (``iscrowd`` = 1); an unmatched found mask with `MIN_IGNORED_SHARE` of its pixels in one
            of them is no false positive.
        pairs: `overlaps` of the two, if already known.

    Raises:
        ValueError: the masks do not belong to one image, or ``min_dice`` is out of range.

    >>> truth, found = (CroppedMasks.from_crops([(np.ones((4, 4)), origin)], (9, 9)) for origin in [(0, 0), (0, 1)])
    >>> match(truth, found).truth, match(truth, found, min_dice=0.8).false_positives
    (array([0]), array([0]))
    """
    if not 0 < min_dice <= 1:
        raise ValueError(f"min_dice {min_dice} must lie in (0, 1]")
    pairs = overlaps(truth, found) if pairs is None else pairs
    kept = best_pairs(pairs, min_dice)
    unmatched = np.setdiff1d(np.arange(len(found)), pairs.second[kept])
    excused = np.zeros(len(found), bool) if ignored_regions is None else lie_in(ignored_regions, found)
    return Matching(
        truth=pairs.first[kept],
        found=pairs.second[kept],
        dice=pairs.dice[kept],
        iou=pairs.iou[kept],
        missed=np.setdiff1d(np.arange(len(truth)), pairs.first[kept]),
        false_positives=unmatched[~excused[unmatched]],
        ignored=unmatched[excused[unmatched]],
    )


def lie_in(regions: CroppedMasks, found: CroppedMasks) -> np.ndarray:
    """Return (M,) bool: whether at least `MIN_IGNORED_SHARE` of a found mask lies in one of the regions."""
    pairs = overlaps(found, regions)
    share = pairs.intersection_px / found.areas[pairs.first]
    inside = np.zeros(len(found), bool)
    inside[pairs.first[share >= MIN_IGNORED_SHARE]] = True
    return inside


def outcomes(truth: CroppedMasks, found: CroppedMasks, scores: np.ndarray, ignored: CroppedMasks) -> np.ndarray:
    """Judge the M detections of an image at each IoU threshold: (M, 10) int8, `RIGHT`, `WRONG` or `NOT_COUNTED`.

    As in COCO, detections by descending score take the free true particle of largest IoU. A detection that takes none
    is not counted if at least the threshold's share of it lies in an ignored region.

    >>> truth, found = (CroppedMasks.from_crops([(np.ones((4, 4)), origin)], (9, 9)) for origin in [(0, 0), (0, 1)])
    >>> outcomes(truth, found, scores=np.array([0.9]), ignored=CroppedMasks.empty((9, 9)))  # its IoU is 0.6
    array([[1, 1, 1, 0, 0, 0, 0, 0, 0, 0]], dtype=int8)
    """
    pairs, on_ignored = overlaps(found, truth), overlaps(found, ignored)
    share = np.zeros(len(found))
    np.maximum.at(share, on_ignored.first, on_ignored.intersection_px / found.areas[on_ignored.first])
    candidates: list[list[tuple[float, int]]] = [[] for _ in range(len(found))]
    for detection, particle, iou in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.iou.tolist(), strict=True):
        if iou >= IOU_THRESHOLDS[0]:
            candidates[detection].append((iou, particle))
    for of_detection in candidates:
        of_detection.sort(reverse=True)
    result = np.where(share[:, None] >= IOU_THRESHOLDS, NOT_COUNTED, WRONG).astype(np.int8)
    order = np.argsort(-np.asarray(scores), kind="stable")
    for column, threshold in enumerate(IOU_THRESHOLDS):
        taken: set[int] = set()
        for detection in order:
            for iou, particle in candidates[detection]:
                if iou >= threshold and particle not in taken:
                    taken.add(particle)
                    result[detection, column] = RIGHT
                    break
    return result


def pooled_average_precision(
    scores: Sequence[np.ndarray], image_outcomes: Sequence[np.ndarray], particles: int
) -> np.ndarray:
    """Return (T,) average precisions over all detections of some images; NaN without true particles.

    Args:
        scores: (M,) of each image.
        image_outcomes: (M, T) of each image, T columns of `outcomes`.
        particles: number of true particles in these images.

    >>> pooled_average_precision([np.array([0.9, 0.8])], [np.array([[RIGHT], [WRONG]])], particles=1)
    array([1.])
    """
    thresholds = image_outcomes[0].shape[1]
    if particles == 0:
        return np.full(thresholds, np.nan)
    if sum(map(len, scores)) == 0:
        return np.zeros(thresholds)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    ranked = np.concatenate(image_outcomes)[order]  # (M, T)
    right, wrong = np.cumsum(ranked == RIGHT, axis=0), np.cumsum(ranked == WRONG, axis=0)
    precision = right / np.maximum(right + wrong, 1)
    precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]  # COCO: the best at this recall or above
    precision = np.append(precision, np.zeros((1, thresholds)), axis=0)  # at recalls that are not reached
    reached = [np.searchsorted(recall, RECALLS) for recall in right.T / particles]
    return np.array([precision[rows, t].mean() for t, rows in enumerate(reached)])


def f1_score(right: np.ndarray | int, true: np.ndarray | int, found: np.ndarray | int) -> np.ndarray:
    """Return 2·right / (true + found) of numbers of particles, any shape; NaN if there are no particles.

    >>> f1_score(right=np.array([3, 0]), true=np.array([4, 0]), found=np.array([4, 0]))
    array([0.75,  nan])
    """
    total = np.asarray(true + found, np.float64)
    return 2 * np.asarray(right) / np.where(total > 0, total, np.nan)


def best_pairs(pairs: Overlaps, min_dice: float = MIN_DICE, among: np.ndarray | None = None) -> np.ndarray:
    """Return the indices, ascending, of the pairs that `match` keeps; each group of connected masks is solved alone.

    Args:
        pairs: K pairs.
        min_dice: least Dice coefficient of a match.
        among: (K,) bool, the pairs to choose from; None: all.
    """
    candidates = np.nonzero((pairs.dice >= min_dice) & (True if among is None else among))[0]
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
    """The members in the group's best assignment; one more pair always outweighs any sum of Dice."""
    if members.size == 1:
        return members
    rows, i = np.unique(pairs.first[members], return_inverse=True)
    columns, j = np.unique(pairs.second[members], return_inverse=True)
    weight = np.zeros((len(rows), len(columns)))
    weight[i, j] = 1 + pairs.dice[members] / (2 * min(weight.shape))
    chosen = np.zeros(weight.shape, dtype=bool)
    chosen[linear_sum_assignment(weight, maximize=True)] = True
    return members[chosen[i, j]]
