"""Compares found particles with the truth of a split, image by image, and suggests a score threshold.

As in the paper, the threshold should find almost all useful particles without false positives: it is the highest score
with the largest F = 2·useful found / (useful + useful found + false positives). A lost and a false particle count the
same, because each is one wrong member of a size distribution. A fixed bound on false positives would be out of reach
for a weak model and would make a strong one lose particles; the rate at the suggested threshold is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.matching import OPERATING_SCORE, Matching, best_pairs, f1_score, lie_in, match
from semsize.metrology.measurands import Measurands, equivalent_circular_diameter, measure
from semsize.metrology.size_distribution import quantiles
from semsize.structures import by_image, predictions_by_image
from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import Overlaps, overlaps
from semsize.structures.pixel_size import PixelSize
from semsize.structures.states import USEFUL_STATES

STATE_GROUPS = ("complete", "touch_complete", "masked", "unusable")
"""States that the paper's tables distinguish; ``complete`` includes ``isolated`` there."""

GROUPS = ("all", "useful", *STATE_GROUPS)

SCORES = np.round(np.arange(0.05, 1.0, 0.05), 2)

PLATEAU = 0.01
"""Thresholds whose F is at most this much below the best count as equally good: few images can't tell them apart."""


@dataclass(frozen=True, eq=False)
class ImageTruth:
    """The truth of an image with N particles."""

    image_id: int  # its id in the annotation file
    file_name: str
    configuration: str | None  # ``agglomerated``, ``scattered``, ``matrix`` or None
    pixel_size: PixelSize | None  # None where not known
    particle_ids: np.ndarray  # (N,) ids of the annotations
    masks: CroppedMasks  # N true particles
    states: tuple[str | None, ...]  # N states, None where not known
    truncated: np.ndarray  # (N,) bool, marked in the truth as cut by the frame: left out of size distributions
    ignored: CroppedMasks  # specks and regions to ignore

    def members(self, group: str) -> np.ndarray:
        """Return (N,) bool: which particles belong to a group of `GROUPS`."""
        if group == "all":
            return np.ones(len(self.masks), bool)
        wanted = {"useful": USEFUL_STATES, "complete": ("isolated", "complete")}.get(group, (group,))
        return np.array([state in wanted for state in self.states], bool)


@dataclass(frozen=True, eq=False)
class ImageFound:
    """The M particles found in an image."""

    masks: CroppedMasks
    scores: np.ndarray  # (M,)


@dataclass(frozen=True, eq=False)
class ImageComparison:
    """The N true particles of an image, the M found ones with at least the operating score, and their K matches."""

    truth: ImageTruth
    found: ImageFound
    detections: ImageFound  # the particles found with any score
    overlaps: Overlaps  # of the true particles with the found ones
    matching: Matching
    true_measurands: Measurands  # of the N true masks
    found_measurands: Measurands  # of the M found masks

    @property
    def best_iou_of_truth(self) -> np.ndarray:
        """(N,) largest IoU of each true particle with a found one, 0 without any."""
        best = np.zeros(len(self.truth.masks))
        np.maximum.at(best, self.overlaps.first, self.overlaps.iou)
        return best

    @property
    def best_iou_of_found(self) -> np.ndarray:
        """(M,) largest IoU of each found particle with a true one, 0 without any."""
        best = np.zeros(len(self.found.masks))
        np.maximum.at(best, self.overlaps.second, self.overlaps.iou)
        return best

    def matched_from(self, min_dice: float) -> Matching:
        """Return the matching with another least Dice coefficient."""
        masks, ignored = (self.truth.masks, self.found.masks), self.truth.ignored
        return match(*masks, min_dice=min_dice, ignored_regions=ignored, pairs=self.overlaps)

    def matched_members(self, group: str) -> np.ndarray:
        """Return (K,) bool: which pairs have a true particle of a group of `GROUPS`."""
        return self.truth.members(group)[self.matching.truth]

    def residuals_percent(self, measurand: str) -> np.ndarray:
        """Return (K,) residuals 100 · (found - true) / true of a measurand."""
        true = getattr(self.true_measurands, measurand)[self.matching.truth]
        found = getattr(self.found_measurands, measurand)[self.matching.found]
        return 100 * (found - true) / true


def image_truths(truth: Mapping) -> list[ImageTruth]:
    """Return the images of an annotation file's contents, in the file's order."""
    annotations = by_image(truth["annotations"])
    return [_image_truth(image, annotations[image["id"]]) for image in truth["images"]]


def found_by_image(predictions: Sequence[Mapping], truths: Sequence[ImageTruth]) -> list[ImageFound]:
    """Return the particles found in each image, in the order of ``truths``.

    Raises:
        PredictionError: a prediction has the id of no image, or another file name than the image with its id.
    """
    found = predictions_by_image(predictions, {truth.image_id: truth.file_name for truth in truths})
    return [_image_found(found[truth.image_id], truth.masks.image_shape) for truth in truths]


def compare_split(
    truth: Mapping, predictions: Sequence[Mapping], *, min_score: float = OPERATING_SCORE
) -> list[ImageComparison]:
    """Compare the contents of a predictions file with those of an annotation file, image by image.

    >>> image = {"id": 7, "file_name": "a.png", "height": 20, "width": 20}
    >>> [i.truth.file_name for i in compare_split({"images": [image], "annotations": []}, predictions=[])]
    ['a.png']
    """
    truths = image_truths(truth)
    images = zip(truths, found_by_image(predictions, truths), strict=True)
    return [compare_image(*image, min_score=min_score) for image in images]


def compare_image(truth: ImageTruth, found: ImageFound, *, min_score: float = OPERATING_SCORE) -> ImageComparison:
    """Match and measure the particles of one image; found ones below ``min_score`` are left out."""
    counted = found.scores >= min_score
    detections, found = found, ImageFound(found.masks[counted], found.scores[counted])
    pairs = overlaps(truth.masks, found.masks)
    return ImageComparison(
        truth=truth,
        found=found,
        detections=detections,
        overlaps=pairs,
        matching=match(truth.masks, found.masks, ignored_regions=truth.ignored, pairs=pairs),
        true_measurands=measure(truth.masks, truth.pixel_size),
        found_measurands=measure(found.masks, truth.pixel_size),
    )


@dataclass(frozen=True)
class OperatingPoint:
    """A score threshold and its results on the images that it was chosen on."""

    score: float  # the threshold
    plateau_from: float  # the lowest threshold whose F is within `PLATEAU` of the best
    plateau_to: float  # the highest such threshold
    agreement: float  # F at the threshold
    useful_found_percent: float  # of the useful particles; NaN where there are none
    false_positives: int
    false_per_useful_found: float  # false positives for each useful particle found; NaN where none was
    d50_error_percent: float  # of the median ECD by number of all found particles


@dataclass(frozen=True, eq=False)
class ScoreCurve:
    """Numbers of particles and median sizes at each of T score thresholds."""

    scores: np.ndarray  # (T,) the thresholds
    useful_found: np.ndarray  # (T,) useful particles found
    useful: int  # true useful particles; all true particles if no state is known
    false_positives: np.ndarray  # (T,)
    d50: np.ndarray  # (T,) median found ECD, without specks and truncated truths; nm if all pixel sizes are known
    true_d50: float  # of all true particles that are not truncated

    @property
    def agreement(self) -> np.ndarray:
        """(T,) F, 0 to 1; 1 if all useful particles and nothing false were found."""
        return np.nan_to_num(f1_score(self.useful_found, self.useful, self.useful_found + self.false_positives))

    @property
    def d50_errors_percent(self) -> np.ndarray:
        """(T,) 100 · (found - true) / true."""
        return 100 * (self.d50 - self.true_d50) / self.true_d50

    @property
    def suggested(self) -> float:
        """The highest threshold with the largest F; NaN if no threshold finds a useful particle."""
        return self.operating_point.score

    @property
    def operating_point(self) -> OperatingPoint:
        """The suggested threshold and its results; NaN for both if no threshold finds a useful particle."""
        agreement = self.agreement
        if not agreement.any():
            none = float("nan")
            return OperatingPoint(none, none, none, 0.0, 0.0 if self.useful else none, 0, none, none)
        best = int(np.flatnonzero(agreement == agreement.max())[-1])
        near = self.scores[agreement >= agreement[best] - PLATEAU]
        found, false = int(self.useful_found[best]), int(self.false_positives[best])
        return OperatingPoint(
            score=float(self.scores[best]),
            plateau_from=float(near.min()),
            plateau_to=float(near.max()),
            agreement=float(agreement[best]),
            useful_found_percent=100 * found / self.useful if self.useful else float("nan"),
            false_positives=false,
            false_per_useful_found=false / found if found else float("nan"),
            d50_error_percent=float(self.d50_errors_percent[best]),
        )


def score_curve(truths: Sequence[ImageTruth], founds: Sequence[ImageFound]) -> ScoreCurve:
    """Return the results of each of `SCORES` as the score threshold, with matches from `MIN_DICE` on.

    Overlaps are computed once per image; each threshold has its own best assignment of the particles that remain.
    """
    known = any(state for truth in truths for state in truth.states)
    group = "useful" if known else "all"
    in_nm = all(truth.pixel_size is not None for truth in truths)
    useful_found, false_positives = np.zeros((2, len(SCORES)), np.int64)
    sizes: list[list[np.ndarray]] = [[] for _ in SCORES]
    for truth, found in zip(truths, founds, strict=True):
        pairs, excused = overlaps(truth.masks, found.masks), lie_in(truth.ignored, found.masks)
        members, ecd = truth.members(group), _ecd(found.masks, truth, in_nm)
        for step, score in enumerate(SCORES):
            counted = found.scores >= score
            best = best_pairs(pairs, among=counted[pairs.second])
            true, matched = pairs.first[best], pairs.second[best]
            unmatched = counted.copy()
            unmatched[matched] = False
            useful_found[step] += members[true].sum()
            false_positives[step] += (unmatched & ~excused).sum()
            counted[unmatched & excused] = False
            counted[matched[truth.truncated[true]]] = False
            sizes[step].append(ecd[counted])
    true_ecds = [_ecd(truth.masks, truth, in_nm)[~truth.truncated] for truth in truths]
    return ScoreCurve(
        scores=SCORES,
        useful_found=useful_found,
        useful=sum(int(truth.members(group).sum()) for truth in truths),
        false_positives=false_positives,
        d50=np.array([quantiles(np.concatenate(of_step))[1] for of_step in sizes]),
        true_d50=float(quantiles(np.concatenate(true_ecds))[1]),
    )


def _ecd(masks: CroppedMasks, truth: ImageTruth, in_nm: bool) -> np.ndarray:
    ecd_px = equivalent_circular_diameter(masks.areas)
    return truth.pixel_size.to_nm(ecd_px) if in_nm else ecd_px


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


def _image_found(predictions: Sequence[Mapping], shape: tuple[int, int]) -> ImageFound:
    rles = [prediction["segmentation"] for prediction in predictions]
    masks = CroppedMasks.from_rles(rles) if rles else CroppedMasks.empty(shape)
    return ImageFound(masks, np.array([prediction["score"] for prediction in predictions], np.float64))
