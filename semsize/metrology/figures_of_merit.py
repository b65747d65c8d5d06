"""All figures of a test under flat names, as `metrics.json` holds them.

``<group>_reference``, ``_found``, ``_found_percent`` (Table 2); ``<group>_dice_<mean, median, std, min, max>``
(Table 4); ``<group>_<measurand>_residual_<mean, std, within_1, within_5>`` in %; ``<group>_D10_error_percent``,
``_D50_…``, ``_D90_…``, ``<group>_kolmogorov``; ``found``, ``false_positives``, ``precision``; ``f1``,
``panoptic_quality``, ``iou_over_predictions``, ``iou_over_truths``, ``foreground_iou``, ``foreground_dice``; and for
each configuration the same again after ``<configuration>/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from semsize.metrology import summaries
from semsize.metrology.comparison import GROUPS, ImageComparison

CONFIGURATIONS = ("agglomerated", "scattered", "matrix")

HEADLINES = (
    "found",
    "false_positives",
    "precision",
    "f1",
    "panoptic_quality",
    "iou_over_predictions",
    "iou_over_truths",
    "foreground_iou",
    "all_found_percent",
    "useful_found_percent",
    "all_dice_mean",
    "useful_dice_mean",
    "useful_ecd_residual_mean",
    "useful_ecd_residual_std",
    "all_D50_error_percent",
    "all_kolmogorov",
)
"""The few that a log has room for."""


def figures_of_merit(images: Sequence[ImageComparison]) -> dict[str, float]:
    """Figures of all images, then of those of each configuration that occurs; NaN where there is nothing to judge."""
    figures = _figures(images)
    for configuration in CONFIGURATIONS:
        chosen = [image for image in images if image.truth.configuration == configuration]
        if chosen:
            figures |= {f"{configuration}/{name}": value for name, value in _figures(chosen).items()}
    return figures


def _figures(images: Sequence[ImageComparison]) -> dict[str, float]:
    detection = summaries.detection_counts(images)
    figures = {
        "images": len(images),
        "found": detection.found,
        "false_positives": detection.false_positives,
        "precision": detection.precision,
        **asdict(summaries.instance_quality(images)),
    }
    for group in GROUPS:
        figures |= {f"{group}_{name}": value for name, value in _of_group(images, group).items()}
    return figures


def _of_group(images: Sequence[ImageComparison], group: str) -> dict[str, float]:
    counts = summaries.found_counts(images, group)
    figures = {"reference": counts.reference, "found": counts.measured, "found_percent": counts.percentage}
    figures |= {f"dice_{name}": value for name, value in asdict(summaries.dice_spread(images, group)).items()}
    for measurand in summaries.RESIDUAL_MEASURANDS:
        result = asdict(summaries.residuals(images, group, measurand))
        del result["count"]  # the number found
        figures |= {f"{measurand.removesuffix('_px')}_residual_{name}": value for name, value in result.items()}
    errors = summaries.size_errors(images, group)
    return figures | {
        "D10_error_percent": errors.d10_percent,
        "D50_error_percent": errors.d50_percent,
        "D90_error_percent": errors.d90_percent,
        "kolmogorov": errors.kolmogorov,
    }
