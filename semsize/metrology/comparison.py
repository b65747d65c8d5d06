"""One image's truth beside what was found in it: who is whom, and what both measure.

Legend: N true particles, M found ones, K pairs.
"""

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
        matching: which is which.
        true_measurands: of the N true masks.
        found_measurands: of the M found masks.
        best_iou_of_truth: (N,) IoU of each true particle with the found one that overlaps it most, 0 without any.
        best_iou_of_found: (M,) the same the other way round.
    """

    truth: ImageTruth
    found: ImageFound
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
    found = found.above(min_score)
    pairs = overlaps(truth.masks, found.masks)
    best_of_truth, best_of_found = np.zeros(len(truth.masks)), np.zeros(len(found.masks))
    np.maximum.at(best_of_truth, pairs.first, pairs.iou)
    np.maximum.at(best_of_found, pairs.second, pairs.iou)
    return ImageComparison(
        truth=truth,
        found=found,
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
