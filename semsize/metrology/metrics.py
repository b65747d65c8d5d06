"""The metrics of a test, from the comparisons of its images: the paper's tables, and all metrics under flat names.

`particle_metrics` and `metrics.json` name them: ``images``; ``<group>_reference``, ``_found``, ``_found_percent``
(Table 2); ``<group>_dice_<mean, median, std, min, max>`` (Table 4); ``<group>_<measurand>_residual_<mean, std,
within_1, within_5>`` in %; ``<group>_D10_error_percent``, ``_D50_…``, ``_D90_…``, ``<group>_kolmogorov``; ``found``,
``false_positives``, ``precision``; ``f1``, ``panoptic_quality``, ``iou_over_predictions``, ``iou_over_truths``,
``foreground_iou``, ``foreground_dice``; and the same after ``<configuration>/`` for each configuration that occurs. A
metric is NaN where there is nothing to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import median_abs_deviation

from semsize.metrology.comparison import GROUPS, ImageComparison
from semsize.metrology.matching import DICE_AT_IOU_50, f1_score
from semsize.metrology.measurands import MEASURANDS
from semsize.metrology.size_distribution import DistributionErrors, distribution_errors, mean_or_nan, std_or_nan
from semsize.structures import CONFIGURATIONS

RESIDUAL_MEASURANDS = tuple(name for name in MEASURANDS if "_nm" not in name)
"""Measurands with residuals: relative residuals in nm equal those in px, as truth and found share the pixel size."""

HEADLINES = (
    *("found", "false_positives", "precision"),
    *("f1", "panoptic_quality", "iou_over_predictions", "iou_over_truths", "foreground_iou"),
    *("all_found_percent", "useful_found_percent", "all_dice_mean", "useful_dice_mean"),
    *("useful_ecd_residual_mean", "useful_ecd_residual_std", "all_D50_error_percent", "all_kolmogorov"),
)
"""The few metrics that a log has room for."""


@dataclass(frozen=True)
class FoundCounts:
    """Table 2 of the paper: numbers of true particles, and of those that were found."""

    reference: int
    measured: int

    @property
    def percentage(self) -> float:
        """100 · measured / reference; NaN without true particles."""
        return 100 * self.measured / self.reference if self.reference else float("nan")


@dataclass(frozen=True)
class DetectionCounts:
    """Numbers of detections with at least the operating score."""

    found: int  # detections, without those on specks
    false_positives: int  # those that match no true particle

    @property
    def precision(self) -> float:
        """Share of the detections that match a true particle; NaN without detections."""
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
    """(measured - reference) / reference in % over matched particles."""

    mean: float  # bias
    std: float  # spread (n - 1)
    within_1: float  # percentage of the particles within ±1 %
    within_5: float  # percentage within ±5 %
    count: int  # particles


@dataclass(frozen=True)
class DiameterSpread:
    """Found - true equivalent circular diameters of matched particles; NaN for fewer than two."""

    mean_px: float
    std_px: float  # standard deviation (n - 1)
    middle_std_px: float  # of a normal distribution with the same median absolute deviation: without the tails


@dataclass(frozen=True)
class InstanceQuality:
    """Metrics, 0 to 1, that other publications report, for comparison with them."""

    f1: float  # 2·right / (true + found) at IoU 0.5
    panoptic_quality: float  # sum of the matched IoU / (right + half the wrong + half the missed) at IoU 0.5
    iou_over_predictions: float  # mean over the found particles of the largest IoU with a true one
    iou_over_truths: float  # mean over the true particles of the largest IoU with a found one
    foreground_iou: float  # mean over images of the IoU of all particles' pixels together
    foreground_dice: float  # mean over images of the Dice coefficient (DSC) of all particles' pixels together


def particle_metrics(images: Sequence[ImageComparison]) -> dict[str, float]:
    """Return the metrics of all images, then of the images of each configuration that occurs.

    >>> metrics = particle_metrics([])
    >>> metrics["found"], metrics["f1"]
    (0, nan)
    """
    of_configuration = {name: [i for i in images if i.truth.configuration == name] for name in CONFIGURATIONS}
    parts = {"": images} | {f"{name}/": chosen for name, chosen in of_configuration.items() if chosen}
    return {f"{part}{name}": value for part, chosen in parts.items() for name, value in _metrics(chosen).items()}


def found_counts(images: Sequence[ImageComparison], group: str) -> FoundCounts:
    """Return Table 2's row of a group of `semsize.metrology.comparison.GROUPS`."""
    reference = sum(int(image.truth.members(group).sum()) for image in images)
    measured = sum(int(image.matched_members(group).sum()) for image in images)
    return FoundCounts(reference, measured)


def detection_counts(images: Sequence[ImageComparison]) -> DetectionCounts:
    """Count the detections and the false positives."""
    found = sum(len(image.found.masks) - len(image.matching.ignored) for image in images)
    return DetectionCounts(found, sum(len(image.matching.false_positives) for image in images))


def dice_spread(images: Sequence[ImageComparison], group: str) -> Spread:
    """Return Table 4's row of a group: Dice coefficients of the matched particles."""
    dice = _joined([image.matching.dice[image.matched_members(group)] for image in images])
    if dice.size == 0:
        return Spread(*[float("nan")] * 5)
    return Spread(mean_or_nan(dice), float(np.median(dice)), std_or_nan(dice), float(dice.min()), float(dice.max()))


def residuals(images: Sequence[ImageComparison], group: str, measurand: str) -> Residuals:
    """Residuals of a measurand over the matched particles of a group."""
    values = residual_values(images, group, measurand)
    within_1, within_5 = (100 * mean_or_nan(abs(values) <= limit) for limit in (1, 5))
    return Residuals(mean_or_nan(values), std_or_nan(values), within_1, within_5, count=len(values))


def residual_values(images: Sequence[ImageComparison], group: str, measurand: str) -> np.ndarray:
    """(K,) residuals in % of the matched particles of a group, in all images."""
    return _joined([image.residuals_percent(measurand)[image.matched_members(group)] for image in images])


def diameter_differences(image: ImageComparison) -> np.ndarray:
    """(K,) found - true ECD of each pair, px."""
    found_px = image.found_measurands.ecd_px[image.matching.found]
    return found_px - image.true_measurands.ecd_px[image.matching.truth]


def diameter_spread(differences_px: np.ndarray) -> DiameterSpread:
    """Spread of (K,) differences, with and without the tails.

    >>> diameter_spread(np.array([-1.0, 0.0, 1.0])).std_px
    1.0
    """
    if len(differences_px) < 2:
        return DiameterSpread(*[float("nan")] * 3)
    return DiameterSpread(
        float(np.mean(differences_px)),
        float(np.std(differences_px, ddof=1)),
        float(median_abs_deviation(differences_px, scale="normal")),
    )


def true_sizes(images: Sequence[ImageComparison], group: str) -> np.ndarray:
    """Return the ECDs of a group's true particles, without truncated ones; nm if every image's pixel size is known."""
    name = size_measurand(images)
    return _joined([getattr(i.true_measurands, name)[i.truth.members(group) & ~i.truth.truncated] for i in images])


def measured_sizes(images: Sequence[ImageComparison], group: str) -> np.ndarray:
    """Return the ECDs of found particles: for ``all`` every one, also false ones; for other groups the matched ones."""
    name = size_measurand(images)
    return _joined([getattr(i.found_measurands, name)[_found_of(i, group)] for i in images])


def size_errors(images: Sequence[ImageComparison], group: str) -> DistributionErrors:
    """Return the errors of a group's size distribution, by number and ECD."""
    return distribution_errors(true_sizes(images, group), measured_sizes(images, group))


def size_measurand(images: Sequence[ImageComparison]) -> str:
    """``ecd_nm`` if the pixel size of every image is known, else ``ecd_px``."""
    return "ecd_nm" if all(image.truth.pixel_size is not None for image in images) else "ecd_px"


def instance_quality(images: Sequence[ImageComparison]) -> InstanceQuality:
    """Compute F1, PQ, instance IoU both ways, and foreground IoU and Dice."""
    matchings = [image.matched_from(DICE_AT_IOU_50) for image in images]
    right = sum(len(matching.truth) for matching in matchings)
    iou_sum = sum(float(matching.iou.sum()) for matching in matchings)
    true = sum(len(image.truth.masks) for image in images)
    found = sum(len(i.found.masks) - len(m.ignored) for i, m in zip(images, matchings, strict=True))
    over_found = _joined([np.delete(image.best_iou_of_found, image.matching.ignored) for image in images])
    iou = np.array([_foreground_iou(image) for image in images])
    return InstanceQuality(
        f1=float(f1_score(right, true, found)),
        panoptic_quality=float(f1_score(iou_sum, true, found)),  # F1 with each pair counted by its IoU
        iou_over_predictions=mean_or_nan(over_found),
        iou_over_truths=mean_or_nan(_joined([image.best_iou_of_truth for image in images])),
        foreground_iou=mean_or_nan(iou[~np.isnan(iou)]),
        foreground_dice=mean_or_nan((2 * iou / (1 + iou))[~np.isnan(iou)]),
    )


def _metrics(images: Sequence[ImageComparison]) -> dict[str, float]:
    detections = detection_counts(images)
    metrics = {"images": len(images), **asdict(detections), "precision": detections.precision}
    metrics |= asdict(instance_quality(images))
    for group in GROUPS:
        metrics |= {f"{group}_{name}": value for name, value in _metrics_of_group(images, group).items()}
    return metrics


def _metrics_of_group(images: Sequence[ImageComparison], group: str) -> dict[str, float]:
    counts = found_counts(images, group)
    metrics = {"reference": counts.reference, "found": counts.measured, "found_percent": counts.percentage}
    metrics |= {f"dice_{name}": value for name, value in asdict(dice_spread(images, group)).items()}
    for measurand in RESIDUAL_MEASURANDS:
        result = asdict(residuals(images, group, measurand))
        del result["count"]  # the same as ``found``
        metrics |= {f"{measurand.removesuffix('_px')}_residual_{name}": value for name, value in result.items()}
    errors = size_errors(images, group)
    return metrics | {
        "D10_error_percent": errors.d10_percent,
        "D50_error_percent": errors.d50_percent,
        "D90_error_percent": errors.d90_percent,
        "kolmogorov": errors.kolmogorov,
    }


def _found_of(image: ImageComparison, group: str) -> np.ndarray:
    """Indices of the found particles that count for a group's size distribution."""
    truncated = image.truth.truncated[image.matching.truth]
    if group == "all":
        left_out = np.concatenate([image.matching.ignored, image.matching.found[truncated]])
        return np.setdiff1d(np.arange(len(image.found.masks)), left_out)
    return image.matching.found[image.matched_members(group) & ~truncated]


def _foreground_iou(image: ImageComparison) -> float:
    """IoU of all particles' pixels together, without pixels that only specks hold in the truth; NaN without pixels."""
    true, found, ignored = (masks.union() for masks in (image.truth.masks, image.found.masks, image.truth.ignored))
    counted = ~(ignored & ~true)
    either = ((true | found) & counted).sum()
    return float((true & found).sum() / either) if either else float("nan")


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0)
