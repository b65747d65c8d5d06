"""Uncertainty budgets of sizes whose states are predicted: how a record's steps count in them, and the powder's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from semsize.metrology.budget import Budget, size_budgets
from semsize.metrology.effects import NestedEffect, SystematicEffects
from semsize.metrology.intervals import STATISTICS, SamplingInterval
from semsize.visibility.nesting import DensityStep, StepEffects, at_density
from semsize.visibility.population import QUANTITY_POWDER

OUTLINE = "outline"
"""The step from true to found outlines, which a detector's bias record corrects."""


def nested_effects(steps: Sequence[StepEffects]) -> dict[str, tuple[NestedEffect, ...]]:
    """Statistic to the budget's lines of the steps; that of the outlines is the budget's line *model*."""
    return {
        statistic: tuple(
            NestedEffect(step.name, effect.effect, effect.log_std, effect.dof)
            for step in steps
            if step.name != OUTLINE and (effect := step.of(statistic))
        )
        for statistic in STATISTICS
    }


def state_budgets(
    intervals: Mapping[str, SamplingInterval], effects: SystematicEffects, quantity: str
) -> dict[str, Budget]:
    """Statistic to its budget, of particles whose states are predicted.

    Args:
        intervals: sampling intervals by statistic.
        effects: what shifts all sizes together, `nested` included.
        quantity: which particles, in words.
    """
    uncorrected = dict.fromkeys(intervals, math.nan)  # what it would be without the detector's correction is not asked
    return size_budgets(intervals, uncorrected, effects, quantity=quantity, states_known=True)


def powder_budgets(
    full: Mapping[str, SamplingInterval],
    effects: SystematicEffects,
    selection: Sequence[DensityStep],
    area_fraction: float,
) -> dict[str, Budget]:
    """Statistic to the powder's budget: what the fully imaged particles say, without that they are no fair sample.

    Args:
        full: sampling intervals of the fully imaged particles.
        effects: of these.
        selection: effect of taking them for the powder, by density.
        area_fraction: of the images.

    Returns:
        Empty without a selection.
    """
    density = at_density(selection, area_fraction)
    if density is None:
        return {}
    intervals, nested = {}, {}
    for name, interval in full.items():
        effect = density.step.of(name)
        scaled = {end: getattr(interval, end) / math.exp(effect.effect) for end in ("value", "low", "high", "std")}
        intervals[name] = replace(interval, **scaled)
        line = NestedEffect("selection", effect.effect, effect.corrected_std, effect.dof, corrected=True)
        nested[name] = (*effects.nested[name], line)
    return state_budgets(intervals, replace(effects, nested=nested), QUANTITY_POWDER)
