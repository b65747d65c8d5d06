"""Which detections are right by COCO's rule at each IoU threshold, and average precision pooled from that.

Outcomes are kept for each image, so that resamples of images can be evaluated anew without matching again. Equal to
`tio2.evaluation.coco_ap` on masks (a test holds them together).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semsize.metrology.matching import overlaps
from semsize.structures.masks import CroppedMasks

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
RIGHT, WRONG, NOT_COUNTED = 1, 0, -1


def outcomes(truth: CroppedMasks, found: CroppedMasks, scores: np.ndarray, ignored: CroppedMasks) -> np.ndarray:
    """(M, 10) int8, `RIGHT`, `WRONG` or `NOT_COUNTED` for each of the M detections of an image at each threshold.

    The best score chooses first, the true particle of the largest IoU that is left; what finds none is not counted if
    at least the threshold's share of it lies in an ignored region.
    """
    pairs = overlaps(found, truth)
    on_ignored = overlaps(found, ignored)
    share = np.zeros(len(found))
    inside = on_ignored.intersection_px / found.areas[on_ignored.first]
    np.maximum.at(share, on_ignored.first, inside)
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
    """(T,) average precision at each threshold over all detections of some images; NaN without true particles.

    Args:
        scores: of each image, (M,).
        image_outcomes: of each image, (M, T), the wanted columns of `outcomes`.
        particles: true particles in these images.
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
    precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    return np.array([_at_recalls(right[:, t] / particles, precision[:, t]) for t in range(thresholds)])


def _at_recalls(recall: np.ndarray, precision: np.ndarray) -> float:
    reached = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(precision, 0.0)[reached].mean())
