"""Sizes that a model reports of an image's outlines, beside those of the annotated particles, in steps of the error.

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
from semsize.visibility.seeing import Calibration
from semsize.visibility.states import Thresholds, class_probabilities, mean_fraction
from semsize.visibility.truth import OutlineTruth, class_number, sizes_px

KINDS = {"fully_imaged": FULLY_IMAGED_STEPS, "completed": COMPLETED_STEPS}
"""Kind of particles whose sizes are reported to the steps of its error; completed: fully imaged and partly hidden."""


@dataclass(frozen=True, eq=False)
class ReportedSizes:
    """Sizes (ECD) that a model reports of one kind of particles off the border, and the true ones, image by image.

    Weights are against the border effect; those of found outlines also the probability of being such a particle.
    """

    kind: str  # of `KINDS`
    images: tuple[ImageSteps, ...]

    @property
    def found(self) -> SizeSample:
        """What is reported; images are numbered from 0."""
        return pooled([image.populations[-1] for image in self.images])

    @property
    def true(self) -> SizeSample:
        """What ought to be."""
        return pooled([image.populations[0] for image in self.images])

    def steps(self) -> tuple[StepEffects, ...]:
        """The steps of this kind; none of a single image, or where a population is empty."""
        populations = zip(*(image.populations for image in self.images), strict=True)
        if len(self.images) < 2 or not all(any(len(part.sizes) for part in parts) for parts in populations):
            return ()
        return step_effects(KINDS[self.kind], self.images)

    def ratios(self, confidence: float = 0.9, seed: int = 0) -> dict[str, tuple[float, float, float]]:
        """Each statistic found / true, and its interval over images drawn with repeats; NaN where either is empty."""
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
    """The kinds that are known in all images, each of all images; at least one image.

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
    answers: CropAnswers, by_rule: bool | np.ndarray, people: Thresholds | None, calibration: Calibration | None
) -> tuple[np.ndarray, np.ndarray]:
    """(M, 3) of VISIBILITY_CLASSES, and (M,) of being a particle.

    Args:
        answers: of a model, M.
        by_rule: whether the truth's classes are by the rule's thresholds, of all or (M,) of each outline.
        people: thresholds of the others; None: the rule's too.
        calibration: None: the answers are taken as they are.
    """
    rule, others = (class_probabilities(answers.fractions, thresholds) for thresholds in (Thresholds(), people))
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
    people: Thresholds | None = None,
    calibration: Calibration | None = None,
) -> list[ReportedSizes]:
    """What an image reports by a model's answers on its M outlines, beside its annotations, in the order of `KINDS`.

    Args:
        outlines: M masks, none empty.
        answers: of a model.
        truth: of the M outlines; those in regions to ignore do not count.
        particles: all annotations of the image.
        pixel_size_nm: sizes are in nm where it is known, else in px.
        people: thresholds by which people gave states, where the annotations have no visible fractions.
        calibration: of the model's answers; None: they are taken as they are.

    Returns:
        Nothing if the class of a particle off the border is not known; no completed ones without a pixel size, or if
        the whole size of a partly hidden one is not known.
    """
    frame, pixel_size = outlines.image_shape, pixel_size_nm or 1.0
    known = [particle for particle in particles if not particle["iscrowd"]]
    masks = CroppedMasks.from_rles([particle["segmentation"] for particle in known], frame)
    classes = np.array([class_number(particle) for particle in known], np.int64)
    is_whole = is_off_border(masks, frame) & ~np.array([bool(p.get("truncated")) for p in known], bool)
    if (classes[is_whole] < 0).any():
        return []
    by_rule = any(particle.get("visible_fraction") is not None for particle in known)
    visible, sizes = sizes_px(masks)[:, 0] * pixel_size, sizes_px(outlines)[:, 0] * pixel_size
    whole = np.array([particle.get("ecd_nm", np.nan) for particle in known]) * (1 if pixel_size_nm else np.nan)
    probabilities, is_particle = stated_probabilities(answers, by_rule, people, calibration)
    true_sizes = np.where(classes == FULL, visible, whole)
    are_known = not np.isnan(true_sizes[is_whole & np.isin(classes, (FULL, MASKED))]).any()
    is_sized = mean_fraction(answers.fractions) >= MASKED_FRACTION
    matched = MatchedOutlines(
        true_sizes=true_sizes,
        true_visible_sizes=visible,
        true_classes=classes,
        true_weights=border_weights(masks.boxes, frame),
        true_off_border=is_whole,
        sizes=sizes,
        whole_sizes=np.where(is_sized, sizes * answers.size_ratios[:, 0, 1], np.nan),
        classes=probabilities,
        is_particle=is_particle,
        weights=border_weights(outlines.boxes, frame),
        partner=truth.partner,
        counted=is_off_border(outlines, frame) & ~np.isnan(truth.is_particle),
        area_fraction=area_fraction(outlines, frame),
    )
    completed = [ReportedSizes("completed", (matched.completed(),))] if are_known and pixel_size_nm else []
    return [ReportedSizes("fully_imaged", (matched.fully_imaged(),)), *completed]
