"""Truth and found of a split compared: what became of each particle, and the figures of each image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.matching import MIN_DICE, Matching, match, overlaps
from semsize.metrology.measurands import Measurands, measure
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize
from semsize.structures.states import USEFUL_STATES

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


OPERATING_SCORE = 0.5
"""Found particles below it are left out wherever single particles are counted or measured (Table 1 of the paper)."""

STATE_GROUPS = ("complete", "touch_complete", "masked", "unusable")
"""States that the paper's tables tell apart; ``complete`` includes ``isolated`` there."""

GROUPS = ("all", "useful", *STATE_GROUPS)


@dataclass(frozen=True, eq=False)
class ImageTruth:
    """What is known of an image.

    Attributes:
        image_id: its id in the annotation file.
        file_name: its file.
        configuration: ``agglomerated``, ``scattered``, ``matrix`` or None.
        pixel_size: None where not known.
        particle_ids: (N,) ids of the annotations.
        masks: N true particles.
        states: their states, None where not known.
        truncated: (N,) bool, cut by the frame as far as the truth says so: left out of size distributions.
        ignored: specks and regions to ignore.
    """

    image_id: int
    file_name: str
    configuration: str | None
    pixel_size: PixelSize | None
    particle_ids: np.ndarray
    masks: CroppedMasks
    states: tuple[str | None, ...]
    truncated: np.ndarray
    ignored: CroppedMasks

    def members(self, group: str) -> np.ndarray:
        """(N,) bool: which particles belong to one of `GROUPS`."""
        if group == "all":
            return np.ones(len(self.masks), bool)
        wanted = {"useful": USEFUL_STATES, "complete": ("isolated", "complete")}.get(group, (group,))
        return np.array([state in wanted for state in self.states], bool)


@dataclass(frozen=True, eq=False)
class ImageFound:
    """What was found in an image: M masks and their scores, (M,)."""

    masks: CroppedMasks
    scores: np.ndarray

    def above(self, score: float) -> ImageFound:
        """Those of at least this score."""
        kept = self.scores >= score
        return ImageFound(self.masks[kept], self.scores[kept])


@dataclass(frozen=True, eq=False)
class ImageComparison:
    """Truth and found of one image.

    Attributes:
        truth: what is there.
        found: what was found, from the operating score on.
        detections: what was found, of every score.
        matching: which is which.
        true_measurands: of the N true masks.
        found_measurands: of the M found masks.
        best_iou_of_truth: (N,) IoU of each true particle with the found one that overlaps it most, 0 without any.
        best_iou_of_found: (M,) the same the other way round.
    """

    truth: ImageTruth
    found: ImageFound
    detections: ImageFound
    matching: Matching
    true_measurands: Measurands
    found_measurands: Measurands
    best_iou_of_truth: np.ndarray
    best_iou_of_found: np.ndarray

    def matched_members(self, group: str) -> np.ndarray:
        """(K,) bool: which pairs are of true particles of one of `GROUPS`."""
        return self.truth.members(group)[self.matching.truth]

    def residuals_percent(self, measurand: str) -> np.ndarray:
        """(K,) 100 · (found - true) / true of each pair."""
        true = getattr(self.true_measurands, measurand)[self.matching.truth]
        found = getattr(self.found_measurands, measurand)[self.matching.found]
        return 100 * (found - true) / true


def image_truths(truth: Mapping) -> list[ImageTruth]:
    """The images of an annotation file's contents, in its order."""
    by_image = defaultdict(list)
    for annotation in truth["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    return [_image_truth(image, by_image[image["id"]]) for image in truth["images"]]


def found_by_image(predictions: Sequence[Mapping], truths: Sequence[ImageTruth]) -> list[ImageFound]:
    """What was found in each of the images, in their order.

    Raises:
        ValueError: a prediction belongs to none of them.
    """
    by_image = defaultdict(list)
    for prediction in predictions:
        by_image[prediction["image_id"]].append(prediction)
    unknown = sorted(set(by_image) - {truth.image_id for truth in truths})
    if unknown:
        raise ValueError(f"predictions name images {unknown[:5]}, which the truth lacks; give the file they belong to")
    return [_image_found(by_image[truth.image_id], truth) for truth in truths]


def compare_split(
    truth: Mapping, predictions: Sequence[Mapping], *, min_score: float = OPERATING_SCORE, min_dice: float = MIN_DICE
) -> list[ImageComparison]:
    """All images of an annotation file's contents against the contents of a predictions file."""
    truths = image_truths(truth)
    founds = found_by_image(predictions, truths)
    return [
        compare_image(one, found, min_score=min_score, min_dice=min_dice)
        for one, found in zip(truths, founds, strict=True)
    ]


def compare_image(
    truth: ImageTruth, found: ImageFound, *, min_score: float = OPERATING_SCORE, min_dice: float = MIN_DICE
) -> ImageComparison:
    """Matches and measures one image; found particles below ``min_score`` are left out."""
    detections, found = found, found.above(min_score)
    pairs = overlaps(truth.masks, found.masks)
    best_of_truth, best_of_found = np.zeros(len(truth.masks)), np.zeros(len(found.masks))
    np.maximum.at(best_of_truth, pairs.first, pairs.iou)
    np.maximum.at(best_of_found, pairs.second, pairs.iou)
    return ImageComparison(
        truth=truth,
        found=found,
        detections=detections,
        matching=match(truth.masks, found.masks, min_dice=min_dice, ignored_regions=truth.ignored),
        true_measurands=measure(truth.masks, truth.pixel_size),
        found_measurands=measure(found.masks, truth.pixel_size),
        best_iou_of_truth=best_of_truth,
        best_iou_of_found=best_of_found,
    )


def _image_truth(image: Mapping, annotations: Sequence[Mapping]) -> ImageTruth:
    shape = (image["height"], image["width"])
    particles = [annotation for annotation in annotations if not annotation["iscrowd"]]
    specks = [annotation for annotation in annotations if annotation["iscrowd"]]
    size = image.get("pixel_size_nm")
    return ImageTruth(
        image_id=image["id"],
        file_name=image["file_name"],
        configuration=image.get("configuration"),
        pixel_size=None if size is None else PixelSize(size, source="annotation file"),
        particle_ids=np.array([particle["id"] for particle in particles], np.int64),
        masks=CroppedMasks.from_rles([particle["segmentation"] for particle in particles], shape),
        states=tuple(particle.get("state") for particle in particles),
        truncated=np.array([particle.get("truncated", False) for particle in particles], bool),
        ignored=CroppedMasks.from_rles([speck["segmentation"] for speck in specks], shape),
    )


def _image_found(predictions: Sequence[Mapping], truth: ImageTruth) -> ImageFound:
    rles = [prediction["segmentation"] for prediction in predictions]
    masks = CroppedMasks.from_rles(rles) if rles else CroppedMasks.empty(truth.masks.image_shape)
    return ImageFound(masks, np.array([prediction["score"] for prediction in predictions], np.float64))
