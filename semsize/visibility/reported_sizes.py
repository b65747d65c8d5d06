"""Sizes that a model reports for an image's outlines, compared in steps with those of the annotated particles.

Legend: M outlines.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsize.metrology.border import border_weights, is_off_border
from semsize.metrology.intervals import RESAMPLES, STATISTICS, resampled_statistics, statistics
from semsize.metrology.size_distribution import SizeSample, area_fraction
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import MASKED_FRACTION
from semsize.visibility.model import CropAnswers
from semsize.visibility.nesting import (
    COMPLETED_STEPS,
    FULL,
    FULLY_IMAGED_STEPS,
    MASKED,
    ImageSteps,
    MatchedOutlines,
    StepEffects,
    pooled,
    step_effects,
)
from semsize.visibility.prediction import ECD, MIDDLE, Calibration
from semsize.visibility.states import StateThresholds, class_probabilities, mean_fraction
from semsize.visibility.truth import OutlineTruth, class_number, sizes_px

KINDS = {"fully_imaged": FULLY_IMAGED_STEPS, "completed": COMPLETED_STEPS}
"""Kind of particles → steps of the error of its sizes; *completed* are fully imaged and partly hidden particles."""


@dataclass(frozen=True, eq=False)
class ReportedSizes:
    """Reported and true sizes (ECD) of one kind of particles off the border, image by image.

    Weights correct the border effect; those of found outlines include the probability of being a particle of the kind.
    """

    kind: str  # of `KINDS`
    images: tuple[ImageSteps, ...]

    @property
    def found(self) -> SizeSample:
        """The reported sizes; images are numbered from 0."""
        return pooled([image.populations[-1] for image in self.images])

    @property
    def true(self) -> SizeSample:
        """The true sizes; images are numbered from 0."""
        return pooled([image.populations[0] for image in self.images])

    def steps(self) -> tuple[StepEffects, ...]:
        """Effects of the steps of this kind; empty for a single image, or if a population is empty."""
        populations = zip(*(image.populations for image in self.images), strict=True)
        if len(self.images) < 2 or not all(any(len(part.sizes) for part in parts) for parts in populations):
            return ()
        return step_effects(KINDS[self.kind], self.images)

    def ratios(self, confidence: float = 0.9, seed: int = 0) -> dict[str, tuple[float, float, float]]:
        """Statistic → found / true and its bootstrap interval over images; NaN if either sample is empty."""
        found, true = self.found, self.true
        if not (len(found) and len(true)):
            return dict.fromkeys(STATISTICS, (float("nan"),) * 3)
        drawn = [
            resampled_statistics(side, np.random.default_rng(seed), RESAMPLES, side.images, len(self.images))
            for side in (found, true)
        ]
        value = statistics(found) / statistics(true)
        low, high = np.nanquantile(drawn[0] / drawn[1], [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
        return {name: tuple(map(float, row)) for name, *row in zip(STATISTICS, value, low, high, strict=True)}


def pooled_sizes(images: Sequence[Sequence[ReportedSizes]]) -> tuple[ReportedSizes, ...]:
    """Pool the sizes of several images, at least one, for each kind that is known in all of them.

    >>> full, completed = (ReportedSizes(kind, ()) for kind in KINDS)
    >>> [sizes.kind for sizes in pooled_sizes([[full, completed], [full]])]
    ['fully_imaged']
    """
    by_kind = [{sizes.kind: sizes.images for sizes in of_image} for of_image in images]
    return tuple(
        ReportedSizes(kind, tuple(itertools.chain.from_iterable(of_image[kind] for of_image in by_kind)))
        for kind in KINDS
        if all(kind in of_image for of_image in by_kind)
    )


def stated_probabilities(
    answers: CropAnswers, by_rule: bool | np.ndarray, people: StateThresholds | None, calibration: Calibration | None
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of VISIBILITY_CLASSES (M, 3), and of being a particle (M,), that a model states.

    Args:
        answers: the model's, for M outlines.
        by_rule: whether the true classes follow the rule's thresholds, for all or (M,) for each outline.
        people: thresholds for the other outlines; None: the rule's.
        calibration: of the answers; None: they stay as they are.
    """
    rule, others = (class_probabilities(answers.fractions, thresholds) for thresholds in (StateThresholds(), people))
    classes = np.where(np.reshape(by_rule, (-1, 1)), rule, others)
    if calibration is None:
        return classes, answers.is_particle
    return calibration.classes(classes), calibration.particle(answers.is_particle)


def reported_sizes(
    outlines: CroppedMasks,
    answers: CropAnswers,
    truth: OutlineTruth,
    particles: Sequence[Mapping[str, Any]],
    pixel_size_nm: float | None = None,
    people: StateThresholds | None = None,
    calibration: Calibration | None = None,
) -> list[ReportedSizes]:
    """Reported and true sizes of an image with M outlines, for each of `KINDS` that is known, in their order.

    Args:
        outlines: M masks, none empty.
        answers: a model's, for the M outlines.
        truth: of the M outlines; outlines in regions to ignore do not count.
        particles: all annotations of the image.
        pixel_size_nm: None: sizes are in px instead of nm.
        people: thresholds by which people gave the states; used if the annotations have no visible fractions.
        calibration: of the model's answers; None: they stay as they are.

    Returns:
        Nothing if the class of a particle off the border is not known; no *completed* without a pixel size, or if the
        whole size of a partly hidden particle off the border is not known.
    """
    frame, pixel_size = outlines.image_shape, pixel_size_nm or 1.0
    known = [particle for particle in particles if not particle["iscrowd"]]
    masks = CroppedMasks.from_rles([particle["segmentation"] for particle in known], frame)
    classes = np.array([class_number(particle) for particle in known], np.int64)
    true_off = is_off_border(masks, frame) & ~np.array([bool(p.get("truncated")) for p in known], bool)
    if (classes[true_off] < 0).any():
        return []
    by_rule = any(particle.get("visible_fraction") is not None for particle in known)
    visible, sizes = sizes_px(masks)[:, 0] * pixel_size, sizes_px(outlines)[:, 0] * pixel_size
    whole = np.array([particle.get("ecd_nm", np.nan) for particle in known]) * (1 if pixel_size_nm else np.nan)
    probabilities, is_particle = stated_probabilities(answers, by_rule, people, calibration)
    true_sizes = np.where(classes == FULL, visible, whole)
    are_known = not np.isnan(true_sizes[true_off & np.isin(classes, (FULL, MASKED))]).any()
    is_sized = mean_fraction(answers.fractions) >= MASKED_FRACTION
    matched = MatchedOutlines(
        true_sizes=true_sizes,
        true_visible_sizes=visible,
        true_classes=classes,
        true_weights=border_weights(masks.boxes, frame),
        true_off_border=true_off,
        sizes=sizes,
        whole_sizes=np.where(is_sized, sizes * answers.size_ratios[:, ECD, MIDDLE], np.nan),
        classes=probabilities,
        is_particle=is_particle,
        weights=border_weights(outlines.boxes, frame),
        partner=truth.partner,
        counted=is_off_border(outlines, frame) & ~np.isnan(truth.is_particle),
        area_fraction=area_fraction(outlines, frame),
    )
    completed = [ReportedSizes("completed", (matched.completed(),))] if are_known and pixel_size_nm else []
    return [ReportedSizes("fully_imaged", (matched.fully_imaged(),)), *completed]
