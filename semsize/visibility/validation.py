"""Validation of a visibility model on rendered scenes: its calibration, its errors, and their sum in a distribution.

Every second image fits temperatures and intervals; the others judge them, so that no image judges its own fit.

Legend: M outlines found in an image, N true particles of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsize.metrology.bias_record import ModelUse, RecordImages, ResidualClass, correct_sizes
from semsize.metrology.border import border_weights, is_off_border
from semsize.metrology.comparison import ImageComparison
from semsize.metrology.occlusion import found_fraction
from semsize.structures.states import MASKED_FRACTION
from semsize.visibility.calibration import expected_calibration_error, fit_temperature, reliability_table
from semsize.visibility.completion import VISIBLE_FRACTION_EDGES, FractionErrors, errors_by_fraction
from semsize.visibility.conformal import fit_intervals
from semsize.visibility.crops import particle_crops
from semsize.visibility.model import CropAnswers
from semsize.visibility.nesting import (
    COMPLETED_STEPS,
    FULL,
    FULLY_IMAGED_STEPS,
    SELECTION,
    ImageSteps,
    MatchedOutlines,
    population,
    step_effects,
    steps_by_density,
)
from semsize.visibility.prediction import ECD, MIDDLE, CalibratedModel, Calibration
from semsize.visibility.record import IntervalTable, SizeCalibration, VisibilityRecord
from semsize.visibility.states import StateThresholds, class_probabilities, mean_fraction
from semsize.visibility.truth import SIZES, OutlineTruth, class_number, outline_truth, sizes_px

SIZE_EDGES_PX = (0.0, 16.0, 32.0, 64.0, 1000.0)  # of the completed size; the last class has no upper end
JUDGED = slice(1, None, 2)  # every second image measures the errors; the others fit the calibration


@dataclass(frozen=True, eq=False)
class PredictedImage:
    """A rendered image, the outlines found in it, and a model's answers for them without calibration."""

    comparison: ImageComparison
    truth: OutlineTruth  # of the M outlines
    true_classes: np.ndarray  # (N,) place in VISIBILITY_CLASSES
    true_sizes_px: np.ndarray  # (N,) ECD: of the visible outline if fully imaged, else of the whole particle
    classes: np.ndarray  # (M, 3) probabilities of VISIBILITY_CLASSES by the model's own thresholds
    classes_by_rule: np.ndarray  # (M, 3) by the thresholds of rendered truth
    is_particle: np.ndarray  # (M,) probability
    fractions: np.ndarray  # (M,) expected visible fraction
    whole_sizes_px: np.ndarray  # (M, 3, 3) `QUANTILES` of each of `SIZES`


def predict_compared(
    comparison: ImageComparison, particles: Sequence[Mapping[str, Any]], grey: np.ndarray, model: CalibratedModel
) -> PredictedImage:
    """Ask a model about the outlines found in a rendered image.

    Args:
        comparison: of the image's truth with the outlines found.
        particles: the image's annotations, with visible fractions and sizes.
        grey: (H, W) grey levels, 0 to 255, without a data bar.
        model: the visibility model; its calibration is ignored.
    """
    masks, pixel_nm = comparison.found.masks, comparison.truth.pixel_size.value_nm
    answers = CropAnswers.cat([CropAnswers.empty(), *map(model.answers, particle_crops(grey, masks))])
    known = [particle for particle in particles if not particle["iscrowd"]]
    whole_px = np.array([particle["ecd_nm"] for particle in known], np.float64) / pixel_nm
    true_classes = np.array([class_number(particle) for particle in known], np.int64)
    return PredictedImage(
        comparison=comparison,
        truth=outline_truth(masks, particles, pixel_nm, comparison.matching),
        true_classes=true_classes,
        true_sizes_px=np.where(true_classes == FULL, comparison.true_measurands.ecd_px, whole_px),
        classes=class_probabilities(answers.fractions, model.thresholds),
        classes_by_rule=class_probabilities(answers.fractions, StateThresholds()),
        is_particle=answers.is_particle,
        fractions=mean_fraction(answers.fractions),
        whole_sizes_px=sizes_px(masks)[..., None] * answers.size_ratios,
    )


def fit_calibration(images: Sequence[PredictedImage]) -> Calibration:
    """Fit temperatures and intervals to the rendered truth of some images.

    Raises:
        ValueError: all outlines are particles, or none is.
    """
    is_particle = np.concatenate([image.truth.is_particle for image in images])
    known, stated = ~np.isnan(is_particle), np.concatenate([image.is_particle for image in images])
    if len(set(is_particle[known].tolist())) < 2:
        raise ValueError("give images in which some outlines are particles and some are not")
    of_class = np.concatenate([image.truth.visibility_class for image in images])
    by_rule = np.concatenate([image.classes_by_rule for image in images])
    edges = {"fraction_edges": [*VISIBLE_FRACTION_EDGES[1:], 1.0], "size_edges": SIZE_EDGES_PX}
    completed = [_CompletedSizes.of(images, number) for number in range(len(SIZES))]
    return Calibration(
        class_temperature=fit_temperature(by_rule[of_class >= 0], of_class[of_class >= 0]),
        particle_temperature=fit_temperature(
            np.column_stack([1 - stated, stated])[known], is_particle[known].astype(int)
        ),
        intervals=tuple(fit_intervals(c.predicted_fraction, c.predicted_px, c.true_px, **edges) for c in completed),
    )


def make_visibility_record(
    images: Sequence[PredictedImage],
    residuals: Sequence[ResidualClass],
    *,
    checkpoint: str,
    sha256: str,
    engine: str,
    precision: str,
    detector: ModelUse,
    min_score: float,
    sources: Sequence[RecordImages],
) -> VisibilityRecord:
    """Make a model's record from rendered images: every second one fits, the others judge; all give the selection.

    Args:
        images: at least four.
        residuals: of the detector's bias record, by which a measurement corrects sizes; empty: no correction.
        checkpoint: file name of the visibility weights.
        sha256: of these weights.
        engine: what computed the answers, such as ``torch``.
        precision: of the products, such as ``float32``.
        detector: the use of the detector that found the outlines.
        min_score: least score of the outlines.
        sources: where the images come from.

    Raises:
        ValueError: there are fewer than four images, no outline is a particle, or every outline is one.
    """
    if len(images) < 4:
        raise ValueError(f"{len(images)} rendered images are too few for a record: give four or more")
    fitted, judged = images[::2], images[JUDGED]
    calibration = fit_calibration(fitted)
    of_class = np.concatenate([image.truth.visibility_class for image in judged])
    classes = calibration.classes(np.concatenate([image.classes_by_rule for image in judged]))[of_class >= 0]
    right = classes.argmax(axis=1) == of_class[of_class >= 0]
    table = reliability_table(np.minimum(classes.max(axis=1, initial=0), 1), right)
    steps = [reported_steps(image, residuals, calibration) for image in judged]
    errors = size_errors(judged, calibration)
    return VisibilityRecord(
        checkpoint=checkpoint,
        sha256=sha256,
        engine=engine,
        precision=precision,
        detector=detector,
        min_score=min_score,
        sources=tuple(sources),
        fitted_images=len(fitted),
        judged_images=len(judged),
        class_temperature=calibration.class_temperature,
        particle_temperature=calibration.particle_temperature,
        intervals=IntervalTable.of(calibration.intervals[ECD]),
        states_right=float(right.mean()),
        calibration_error=expected_calibration_error(table),
        reliability=tuple(row for row in table if row.count),
        errors=errors[SIZES[ECD]],
        feret=tuple(
            SizeCalibration(name, IntervalTable.of(intervals), errors[name])
            for name, intervals in zip(SIZES, calibration.intervals, strict=True)
            if name != SIZES[ECD]
        ),
        fully_imaged=step_effects(FULLY_IMAGED_STEPS, [full for full, _ in steps]),
        completed=step_effects(COMPLETED_STEPS, [completed for _, completed in steps]),
        selection=steps_by_density(SELECTION, [selection_step(image) for image in images]),
    )


@dataclass(frozen=True, eq=False)
class _CompletedSizes:
    """One of `SIZES`, predicted and true, of the K outlines that get a whole size and whose true one is known."""

    predicted_fraction: np.ndarray  # (K,)
    true_fraction: np.ndarray  # (K,)
    predicted_px: np.ndarray  # (K,)
    true_px: np.ndarray  # (K,)

    @classmethod
    def of(cls, images: Sequence[PredictedImage], size: int) -> _CompletedSizes:
        rows = []
        for image in images:
            true = image.truth.sizes_px[:, size]
            chosen = ~np.isnan(true) & (image.fractions >= MASKED_FRACTION)
            predicted = image.whole_sizes_px[chosen, size, MIDDLE]
            rows.append((image.fractions[chosen], image.truth.visible_fraction[chosen], predicted, true[chosen]))
        return cls(*(np.concatenate(values) for values in zip(*rows, strict=True)))


def size_errors(
    images: Sequence[PredictedImage], calibration: Calibration, *, by_true: bool = False
) -> dict[str, tuple[FractionErrors, ...]]:
    """Each of `SIZES` → its errors by predicted visible fraction, or by the true one."""
    errors = {}
    for number, name in enumerate(SIZES):
        sizes = _CompletedSizes.of(images, number)
        low, high = calibration.intervals[number].of(sizes.predicted_fraction, sizes.predicted_px).T
        covered = np.where(np.isfinite(high), (low <= sizes.true_px) & (sizes.true_px <= high), np.nan)
        fractions = sizes.true_fraction if by_true else sizes.predicted_fraction
        errors[name] = errors_by_fraction(fractions, 100 * (sizes.predicted_px / sizes.true_px - 1), covered)
    return errors


def reported_steps(
    image: PredictedImage, residuals: Sequence[ResidualClass], calibration: Calibration
) -> tuple[ImageSteps, ImageSteps]:
    """An image's populations of `FULLY_IMAGED_STEPS` and of `COMPLETED_STEPS`, with sizes as a measurement reports."""
    compared, found_px = image.comparison, image.comparison.found_measurands.ecd_px
    reported = correct_sizes(residuals, found_px, found_px)
    whole = image.whole_sizes_px[:, ECD, MIDDLE] * reported / found_px
    true_off, found_off = _off_border(image)
    outlines = MatchedOutlines(
        true_sizes=image.true_sizes_px,
        true_visible_sizes=compared.true_measurands.ecd_px,
        true_classes=image.true_classes,
        true_weights=border_weights(compared.truth.masks.boxes, _frame(image)),
        true_off_border=true_off,
        sizes=reported,
        whole_sizes=np.where(image.fractions >= MASKED_FRACTION, whole, np.nan),
        classes=calibration.classes(image.classes),
        is_particle=calibration.particle(image.is_particle),
        weights=border_weights(compared.found.masks.boxes, _frame(image)),
        partner=image.truth.partner,
        counted=found_off & ~np.isnan(image.truth.is_particle),
        area_fraction=found_fraction(compared),
    )
    return outlines.fully_imaged(), outlines.completed()


def selection_step(image: PredictedImage) -> ImageSteps:
    """An image's populations of the step *selection*: all true particles, then the fully imaged ones."""
    true_off, _ = _off_border(image)
    known = true_off & ~np.isnan(image.true_sizes_px)
    weights, units = border_weights(image.comparison.truth.masks.boxes, _frame(image)), np.arange(len(true_off))
    kinds = known, known & (image.true_classes == FULL)
    populations = tuple(population([(image.true_sizes_px, kind)], weights, units) for kind in kinds)
    return ImageSteps(populations, len(true_off), found_fraction(image.comparison))


def _frame(image: PredictedImage) -> tuple[int, int]:
    return image.comparison.truth.masks.image_shape


def _off_border(image: PredictedImage) -> tuple[np.ndarray, np.ndarray]:
    """(N,) and (M,) bool: true particles and outlines that lie off the border."""
    truth, found = image.comparison.truth, image.comparison.found
    return is_off_border(truth.masks, _frame(image)) & ~truth.truncated, is_off_border(found.masks, _frame(image))
