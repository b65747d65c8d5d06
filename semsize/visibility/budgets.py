"""Uncertainty budgets of sizes whose states are predicted, and of the powder, with the steps of a visibility record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from semsize.metrology.budget import Budget, size_budgets
from semsize.metrology.effects import NestedEffect, RendererEffect, SystematicEffects
from semsize.metrology.intervals import STATISTICS, SamplingInterval
from semsize.visibility.nesting import (
    OUTLINE,
    SELECTION,
    DensitySpread,
    DensityStep,
    EffectSpread,
    StepEffects,
    at_density,
)
from semsize.visibility.population import QUANTITY_POWDER


def nested_effects(steps: Sequence[StepEffects]) -> dict[str, tuple[NestedEffect, ...]]:
    """Statistic → the budget's lines for the steps, but for the step of the outlines, which is the line *model*."""
    return {
        statistic: tuple(
            NestedEffect(step.name, effect.effect, effect.log_std, effect.dof)
            for step in steps
            if step.name != OUTLINE and (effect := step.of(statistic))
        )
        for statistic in STATISTICS
    }


def renderer_effects(
    nested: Mapping[str, Sequence[NestedEffect]], step: str, spread: Sequence[EffectSpread]
) -> dict[str, tuple[NestedEffect | RendererEffect, ...]]:
    """Statistic → the lines of ``nested`` and, if known, a line for the step's difference between renderers."""
    half_widths = {effect.statistic: effect.half_width for effect in spread}
    return {
        statistic: (*lines, *([RendererEffect(step, half_widths[statistic])] if half_widths else []))
        for statistic, lines in nested.items()
    }


def state_budgets(
    intervals: Mapping[str, SamplingInterval], effects: SystematicEffects, quantity: str
) -> dict[str, Budget]:
    """Statistic → its budget, for particles whose states are predicted.

    Args:
        intervals: sampling intervals by statistic.
        effects: what shifts all sizes together, `nested` included.
        quantity: which particles, in words.
    """
    uncorrected = dict.fromkeys(intervals, math.nan)  # no budget without the detector's correction is needed
    return size_budgets(intervals, uncorrected, effects, quantity=quantity, states_known=True)


def powder_budgets(
    full: Mapping[str, SamplingInterval],
    effects: SystematicEffects,
    selection: Sequence[DensityStep],
    area_fraction: float,
    spread: Sequence[DensitySpread] = (),
) -> dict[str, Budget]:
    """Statistic → the powder's budget: that of the fully imaged particles, corrected for their selection.

    Args:
        full: sampling intervals of the fully imaged particles.
        effects: what shifts the sizes of the fully imaged particles together.
        selection: effect of taking the fully imaged particles for the powder, by density.
        area_fraction: of the images.
        spread: how the selection differs in another renderer's scenes, by density; empty: not known.

    Returns:
        No budget if `selection` is empty.
    """
    density = at_density(selection, area_fraction)
    if density is None:
        return {}
    intervals, nested = {}, {}
    for name, interval in full.items():
        effect = density.step.of(name)
        scaled = {end: getattr(interval, end) / math.exp(effect.effect) for end in ("value", "low", "high", "std")}
        intervals[name] = replace(interval, **scaled)
        line = NestedEffect(SELECTION, effect.effect, effect.corrected_std, effect.dof, corrected=True)
        nested[name] = (*effects.nested[name], line)
    differing = at_density(spread, area_fraction)
    nested = renderer_effects(nested, SELECTION, differing.effects if differing else ())
    return state_budgets(intervals, replace(effects, nested=nested), QUANTITY_POWDER)
