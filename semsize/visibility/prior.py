"""Differences of completion and selection between renderers, as limits for the uncertainty budget.

A renderer is somebody's model of how particles lie and hide one another. The error of that model is in no standard
error of its scenes, however many there are, and a few renderers are no sample of all possible ones. The largest
difference found is therefore taken as the half-width of a uniform distribution (GUM 4.3.7).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from semsize.metrology.bias_record import RecordImages, ResidualClass
from semsize.metrology.intervals import STATISTICS
from semsize.visibility.nesting import (
    SELECTION,
    DensitySpread,
    EffectSpread,
    StepEffects,
    step_effects,
    steps_by_density,
)
from semsize.visibility.record import RendererPrior, VisibilityRecord
from semsize.visibility.validation import COMPLETED_STEPS, PredictedImage, reported_steps, selection_step

COMPLETION = "completion"


def renderer_prior(
    record: VisibilityRecord,
    sets: Sequence[Sequence[PredictedImage]],
    residuals: Sequence[ResidualClass],
    sources: Sequence[RecordImages],
) -> RendererPrior:
    """Compare the record's effects with those in other renderers' scenes, by the record's calibration.

    Selection is compared in each class of density, as it is corrected: scenes of one density say little of another,
    and the largest difference of all classes would be the noise of the class with the fewest images.

    Args:
        record: the visibility record that measurements use.
        sets: for each other renderer, its images as seen by the model, at least two.
        residuals: of the detector's bias record, as for `make_visibility_record`.
        sources: where the sets come from.

    Raises:
        ValueError: a set has fewer than two images or no particle, or no set shares a class of density with the record.
    """
    calibration = record.calibration()
    completed = [
        step_effects(COMPLETED_STEPS, [reported_steps(image, residuals, calibration)[1] for image in images])
        for images in sets
    ]
    selected = defaultdict(list)
    for images in sets:
        for density in steps_by_density(SELECTION, [selection_step(image) for image in images]):
            selected[density.low, density.high].append(density.step)
    selection = tuple(
        DensitySpread(own.low, own.high, effect_spread(own.step, selected[own.low, own.high]))
        for own in record.selection
        if (own.low, own.high) in selected
    )
    if record.selection and not selection:
        raise ValueError("no set of other scenes has two images in a class of density of the record; render more")
    completion = effect_spread(_completion(record.completed), list(map(_completion, completed)))
    return RendererPrior(tuple(sources), completion, selection)


def effect_spread(own: StepEffects, others: Sequence[StepEffects]) -> tuple[EffectSpread, ...]:
    """Largest difference of a step's effects in other scenes, but no less than the difference's standard error.

    >>> from semsize.visibility.nesting import StatisticEffect
    >>> def step(effect):
    ...     return StepEffects("completion", tuple(StatisticEffect(s, effect, 0.003, 0.0, 9.0) for s in STATISTICS))
    >>> [round(effect_spread(step(0.01), [step(other)])[1].half_width, 4) for other in (-0.02, 0.01)]
    [0.03, 0.0042]
    """

    def half_width(statistic: str, other: StepEffects) -> float:
        here, there = own.of(statistic), other.of(statistic)
        return max(abs(here.effect - there.effect), math.hypot(here.standard_error, there.standard_error))

    return tuple(EffectSpread(name, max(half_width(name, other) for other in others)) for name in STATISTICS)


def _completion(steps: Sequence[StepEffects]) -> StepEffects:
    return next(step for step in steps if step.name == COMPLETION)
