"""The paper's tables from the comparisons of images: found, overlap, residuals, sizes. NaN where there is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.comparison import ImageComparison
from semsize.metrology.distribution import DistributionErrors, distribution_errors
from semsize.metrology.matching import match

DICE_AT_IOU_50 = 2 / 3

RESIDUAL_MEASURANDS = (
    "area_px",
    "ecd_px",
    "feret_min_px",
    "feret_max_px",
    "perimeter_px",
    "aspect_ratio",
    "circularity",
    "solidity",
)
"""Residuals are relative: those in nm are the same, as one pixel size turns both sides."""


@dataclass(frozen=True)
class FoundCounts:
    """Table 2: particles that are there, those of them that were found, and their percentage."""

    reference: int
    measured: int

    @property
    def percentage(self) -> float:
        """100 · measured / reference; NaN where there are none."""
        return 100 * self.measured / self.reference if self.reference else float("nan")


@dataclass(frozen=True)
class DetectionCounts:
    """What was found in all, from the operating score on.

    Attributes:
        found: particles found, those on specks left out.
        false_positives: those of them that are no true particle.
    """

    found: int
    false_positives: int

    @property
    def precision(self) -> float:
        """Share of the found ones that are true particles; NaN where nothing was found."""
        return 1 - self.false_positives / self.found if self.found else float("nan")


@dataclass(frozen=True)
class Spread:
    """Mean, median, standard deviation (n - 1), smallest and largest of a sample; Table 4 for Dice."""

    mean: float
    median: float
    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Residuals:
    """(measured - reference) / reference in % over matched particles.

    Attributes:
        mean: bias.
        std: spread (n - 1).
        within_1: percentage of the particles within ±1 %.
        within_5: percentage within ±5 %.
        count: particles.
    """

    mean: float
    std: float
    within_1: float
    within_5: float
    count: int


@dataclass(frozen=True)
class InstanceQuality:
    """Figures that others publish, to be set beside theirs, 0 to 1.

    Attributes:
        f1: 2·right / (true + found) at IoU 0.5.
        panoptic_quality: sum of the matched IoU / (right + half the wrong + half the missed) at IoU 0.5.
        iou_over_predictions: mean over the found particles of the IoU with the true one that overlaps most.
        iou_over_truths: mean over the true particles of the IoU with the found one that overlaps most.
        foreground_iou: mean over images of the IoU of all particles' pixels together.
        foreground_dice: likewise the Dice coefficient (DSC).
    """

    f1: float
    panoptic_quality: float
    iou_over_predictions: float
    iou_over_truths: float
    foreground_iou: float
    foreground_dice: float


def found_counts(images: Sequence[ImageComparison], group: str) -> FoundCounts:
    """Table 2's row of a group of `semsize.metrology.comparison.GROUPS`."""
    reference = sum(int(image.truth.members(group).sum()) for image in images)
    measured = sum(int(image.matched_members(group).sum()) for image in images)
    return FoundCounts(reference, measured)


def detection_counts(images: Sequence[ImageComparison]) -> DetectionCounts:
    """All that was found, and what of it is false."""
    found = sum(len(image.found.masks) - len(image.matching.ignored) for image in images)
    return DetectionCounts(found, sum(len(image.matching.false_positives) for image in images))


def dice_spread(images: Sequence[ImageComparison], group: str) -> Spread:
    """Table 4's row of a group: Dice coefficients of the matched particles."""
    return spread(_joined([image.matching.dice[image.matched_members(group)] for image in images]))


def residuals(images: Sequence[ImageComparison], group: str, measurand: str) -> Residuals:
    """Residuals of a measurand over the matched particles of a group."""
    values = residual_values(images, group, measurand)
    if values.size == 0:
        return Residuals(*[float("nan")] * 4, count=0)
    return Residuals(
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if values.size > 1 else float("nan"),
        within_1=float(100 * (abs(values) <= 1).mean()),
        within_5=float(100 * (abs(values) <= 5).mean()),
        count=len(values),
    )


def residual_values(images: Sequence[ImageComparison], group: str, measurand: str) -> np.ndarray:
    """(K,) residuals in % of the matched particles of a group, in all images."""
    return _joined([image.residuals_percent(measurand)[image.matched_members(group)] for image in images])


def true_sizes(images: Sequence[ImageComparison], group: str) -> np.ndarray:
    """ECDs of all true particles of a group, truncated ones left out; nm if every image's pixel size is known."""
    name = size_measurand(images)
    return _joined(
        [getattr(i.true_measurands, name)[i.truth.members(group) & ~i.truth.truncated] for i in images],
    )


def measured_sizes(images: Sequence[ImageComparison], group: str) -> np.ndarray:
    """ECDs of what was found: for ``all`` everything, false positives too; for a state's group what was matched."""
    name = size_measurand(images)
    return _joined([getattr(i.found_measurands, name)[_found_of(i, group)] for i in images])


def size_errors(images: Sequence[ImageComparison], group: str) -> DistributionErrors:
    """Error of the size distribution of a group, by number of particles and ECD."""
    return distribution_errors(true_sizes(images, group), measured_sizes(images, group))


def size_measurand(images: Sequence[ImageComparison]) -> str:
    """``ecd_nm`` if the pixel size of every image is known, else ``ecd_px``."""
    return "ecd_nm" if all(image.truth.pixel_size is not None for image in images) else "ecd_px"


def instance_quality(images: Sequence[ImageComparison]) -> InstanceQuality:
    """F1, PQ, instance IoU both ways and foreground IoU."""
    right = true = found = 0
    iou_sum = 0.0
    foreground = []
    for image in images:
        at_half = match(
            image.truth.masks, image.found.masks, min_dice=DICE_AT_IOU_50, ignored_regions=image.truth.ignored
        )
        right += len(at_half.truth)
        iou_sum += float(at_half.iou.sum())
        true += len(image.truth.masks)
        found += len(image.found.masks) - len(at_half.ignored)
        foreground.append(_foreground_iou(image))
    over_found = _joined([np.delete(image.best_iou_of_found, image.matching.ignored) for image in images])
    over_truth = _joined([image.best_iou_of_truth for image in images])
    iou = np.array(foreground)
    return InstanceQuality(
        f1=2 * right / (true + found) if true + found else float("nan"),
        panoptic_quality=2 * iou_sum / (true + found) if true + found else float("nan"),
        iou_over_predictions=_mean(over_found),
        iou_over_truths=_mean(over_truth),
        foreground_iou=_mean(iou[~np.isnan(iou)]),
        foreground_dice=_mean((2 * iou / (1 + iou))[~np.isnan(iou)]),
    )


def spread(values: np.ndarray) -> Spread:
    """Of a sample (K,); NaN where it is empty, the standard deviation also of a single value."""
    if values.size == 0:
        return Spread(*[float("nan")] * 5)
    std = float(values.std(ddof=1)) if values.size > 1 else float("nan")
    return Spread(float(values.mean()), float(np.median(values)), std, float(values.min()), float(values.max()))


def _found_of(image: ImageComparison, group: str) -> np.ndarray:
    """Indices of the found particles that count for a group's size distribution."""
    truncated = image.truth.truncated[image.matching.truth]
    if group == "all":
        left_out = np.concatenate([image.matching.ignored, image.matching.found[truncated]])
        return np.setdiff1d(np.arange(len(image.found.masks)), left_out)
    return image.matching.found[image.matched_members(group) & ~truncated]


def _foreground_iou(image: ImageComparison) -> float:
    """IoU of the pixels of all particles, specks left out of both; NaN where neither has any."""
    true, found, ignored = (masks.union() for masks in (image.truth.masks, image.found.masks, image.truth.ignored))
    counted = ~(ignored & ~true)
    either = ((true | found) & counted).sum()
    return float((true & found).sum() / either) if either else float("nan")


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
