"""How completion and selection differ in scenes that another renderer made: what one renderer's scenes can't tell.

A renderer is somebody's idea of how particles lie and hide one another. Errors of the kind are in no standard error of
one renderer's scenes, however many there are, and no difference between two renderers is a sample of all that there
might be: the difference found is taken for a limit, within which an effect is as likely anywhere (GUM 4.3.7).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from semsize.metrology.bias_record import RecordSource, ResidualClass
from semsize.metrology.intervals import STATISTICS
from semsize.visibility.nesting import DensitySpread, EffectSpread, StepEffects, step_effects, steps_by_density
from semsize.visibility.record import RendererPrior, VisibilityRecord
from semsize.visibility.validation import COMPLETED_STEPS, SeenImage, reported_steps, selection_step

COMPLETION, SELECTION = "completion", "selection"


def renderer_prior(
    record: VisibilityRecord,
    sets: Sequence[Sequence[SeenImage]],
    residuals: Sequence[ResidualClass],
    sources: Sequence[RecordSource],
) -> RendererPrior:
    """Compare the record's effects with those in sets of other renderers' scenes, which are seen as it calibrates.

    Selection is compared class by class, as it is corrected: scenes of one density say little of another, and the
    largest difference of all classes would be the noise of the one with the fewest images.

    Args:
        record: of the rendered sets on which a measurement rests.
        sets: images of each other renderer, two at least.
        residuals: of the detector's bias record, as for `make_visibility_record`.
        sources: of the sets.

    Raises:
        ValueError: a set has fewer than two images or no particle, or none has a density in common with the record.
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
        raise ValueError("other scenes than the record's have no two images of a density that it has: give more")
    completion = effect_spread(_completion(record.completed), list(map(_completion, completed)))
    return RendererPrior(tuple(sources), completion, selection)


def effect_spread(own: StepEffects, others: Sequence[StepEffects]) -> tuple[EffectSpread, ...]:
    """How far the same step's effects in other scenes lie off, the largest of them; no less than is known of it.

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
