"""The uncertainty budget of a size (GUM, JCGM 100:2008; docs/uncertainty.md), and how many particles a target needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from semsize.metrology.effects import NOT_GIVEN, ONE_SIDED, BudgetLine, SystematicEffects
from semsize.metrology.intervals import CONFIDENCE, WITHIN_IMAGE, SamplingInterval
from semsize.metrology.occlusion import OcclusionEffect

_MOST = 2**20  # a target that needs more than this many times the images is out of reach


@dataclass(frozen=True)
class Budget:
    """Uncertainty of one statistic of a size distribution."""

    statistic: str  # ``D10``, ``D50``, ``D90`` or ``mean``
    unit: str  # ``nm`` or ``px``
    quantity: str  # whose size: `PopulationSplit.quantity`
    value: float  # the result, corrected where the model has a bias record
    uncorrected: float  # the result without the correction
    lines: tuple[BudgetLine, ...]  # sampling, `SystematicEffects.lines`, and occlusion where no states are known
    combined_std: float  # u, root of the sum of the squared lines
    dof: float  # effective degrees of freedom (Welch and Satterthwaite)
    label: str  # what limits U: ``calibration excluded``, ``within one image only``; empty if nothing
    population_low: float | None  # lower end of the fully imaged particles' 95 % interval; None if withheld
    population_high: float | None  # upper end
    withheld: str  # why that interval is not stated; empty if it is

    @property
    def coverage_factor(self) -> float:
        """k: Student's t of the effective degrees of freedom at 95 %."""
        return coverage_factor(self.dof)

    @property
    def expanded(self) -> float:
        """U = k·u, 95 %."""
        return self.coverage_factor * self.combined_std

    @property
    def relative_expanded(self) -> float:
        """U / value."""
        return self.expanded / self.value

    def en_number(self, reference: float, reference_expanded: float) -> float:
        """Return E_n (ISO 13528): difference from a reference / its expanded uncertainty; -1 to 1 means agreement."""
        return float((self.value - reference) / np.hypot(self.expanded, reference_expanded))


def size_budgets(
    intervals: Mapping[str, SamplingInterval],
    uncorrected: Mapping[str, float],
    effects: SystematicEffects,
    *,
    quantity: str,
    states_known: bool,
    occlusion: OcclusionEffect | None = None,
) -> dict[str, Budget]:
    """Return the budget of each statistic.

    Args:
        intervals: `size_intervals` of the sizes reported, in the unit of ``effects``.
        uncorrected: statistic to its value without the model's correction.
        effects: what shifts all sizes together.
        quantity: `PopulationSplit.quantity` of the sizes.
        states_known: whether the sizes are those of fully imaged particles.
        occlusion: effect of partly hidden and overlooked particles on D50; None if not known.

    >>> d50 = SamplingInterval(50.0, 48.1, 52.0, std=0.8, dof=9, images=10, particles=400, scope="between images")
    >>> effects = SystematicEffects(2.0, calibration_relative_std=0.01, residuals=None)
    >>> budget = size_budgets({"D50": d50}, {"D50": 50.0}, effects, quantity="", states_known=True)["D50"]
    >>> [(line.source, line.std) for line in budget.lines], round(budget.expanded, 2)
    ([('sampling', 0.8), ('calibration', 0.5), ('reference', 1.2), ('model', None)], 3.02)
    """
    budgets = {}
    for name, interval in intervals.items():
        note = f"{interval.particles} particles of {interval.images} images"
        status = interval.scope if interval.scope == WITHIN_IMAGE else ""
        sampling = BudgetLine("sampling", "A", interval.std, interval.dof, status, note)
        summed = (sampling, *effects.lines(interval.value, name))
        stds, dofs = zip(*((line.std, line.dof) for line in summed if line.std is not None), strict=True)
        std, dof = float(np.sqrt(sum(value**2 for value in stds))), effective_dof(stds, dofs)
        low, high, withheld = _population(name, interval.value, std, dof, states_known, occlusion)
        budgets[name] = Budget(
            statistic=name,
            unit=effects.unit,
            quantity=quantity,
            value=interval.value,
            uncorrected=uncorrected[name],
            lines=summed if states_known else (*summed, _occlusion_line(name, occlusion)),
            combined_std=std,
            dof=dof,
            label=_label(summed),
            population_low=low,
            population_high=high,
            withheld=withheld,
        )
    return budgets


def coverage_factor(dof: float) -> float:
    """Return Student's t for a 95 % interval; 1.96 for infinitely many degrees of freedom.

    >>> round(coverage_factor(9), 3)
    2.262
    """
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, dof))


def effective_dof(stds: Sequence[float], dofs: Sequence[float]) -> float:
    """Return Welch and Satterthwaite's degrees of freedom (GUM G.4.1); infinite if no line above 0 has finite ones.

    >>> effective_dof([1.0, 1.0], [10, np.inf])
    40.0
    """
    stds, dofs = np.asarray(stds, np.float64), np.asarray(dofs, np.float64)
    denominator = (stds**4 / dofs).sum()
    return float((stds**2).sum() ** 2 / denominator) if denominator != 0 else float("inf")


@dataclass(frozen=True)
class ParticlesNeeded:
    """Numbers of particles and images that reach a target, at the present number of particles per image."""

    target_relative: float  # U / value aimed at
    particles: int | None  # None where no number is enough
    images: int | None  # None where no number is enough
    reason: str = ""  # why no number is enough; empty otherwise


def particles_needed(budget: Budget, target_relative: float, particles: int, images: int) -> ParticlesNeeded:
    """Return how many particles and images bring the expanded uncertainty of a statistic down to a target.

    More images lower the variance of sampling and raise its degrees of freedom; all other lines stay the same.

    Args:
        budget: of the present measurement.
        target_relative: U / value aimed at, > 0.
        particles: present number.
        images: present number; if it is 1, each further image stands for as many particles of the same image.

    >>> lines = (BudgetLine("sampling", "A", 2.0, dof=9), BudgetLine("reference", "B", 0.5, dof=math.inf))
    >>> budget = Budget("D50", "nm", "", 50.0, 50.0, lines, 2.06, 10.0, "", None, None, "")
    >>> particles_needed(budget, target_relative=0.05, particles=400, images=10)
    ParticlesNeeded(target_relative=0.05, particles=1280, images=32, reason='')
    """
    sampling = budget.lines[0]
    if not math.isfinite(budget.combined_std):
        return ParticlesNeeded(target_relative, None, None, "the present sample is too small to tell")
    others = [line for line in budget.lines[1:] if line.std is not None]

    def relative(count: int) -> float:
        more = count / images
        stds = [sampling.std / math.sqrt(more), *(line.std for line in others)]
        dof = count - 1 if images > 1 else (sampling.dof + 1) * more - 1
        total_dof = effective_dof(stds, [max(dof, 1), *(line.dof for line in others)])
        return coverage_factor(total_dof) * math.hypot(*stds) / abs(budget.value)

    low, high = (1 if images > 1 else 0), max(images, 2)
    while relative(high) > target_relative:
        low, high = high, 2 * high
        if high > images * _MOST:
            largest, *next_one = sorted(others, key=lambda line: -line.std)[:2]
            named = [line.source for line in (largest, *next_one) if line.std > largest.std / 2]
            reason = f"uncertainty other than sampling exceeds the target, most of it {' and '.join(named)}"
            return ParticlesNeeded(target_relative, None, None, reason)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if relative(middle) <= target_relative else (middle, high)
    return ParticlesNeeded(target_relative, math.ceil(particles * high / images), high)


def _label(lines: Sequence[BudgetLine]) -> str:
    missing = [line.source for line in lines if line.status == NOT_GIVEN]
    parts = [f"{' and '.join(missing)} excluded"] if missing else []
    parts += [line.status for line in lines if line.status == WITHIN_IMAGE]
    return ", ".join(parts)


def _occlusion_line(name: str, occlusion: OcclusionEffect | None) -> BudgetLine:
    if occlusion is None or name != "D50":
        return BudgetLine("occlusion", "A", None, np.inf, NOT_GIVEN, "states are not known")
    where = f"area fraction {occlusion.low:.2g} to {occlusion.high:.2g}" + ("" if occlusion.inside else ", the nearest")
    note = (
        f"D50 of all detections is {occlusion.effect:+.1%} off that of fully imaged particles, standard uncertainty "
        f"{occlusion.log_std:.1%} ({where})"
    )
    return BudgetLine("occlusion", "A", None, np.inf, ONE_SIDED, note)


def _population(
    name: str, value: float, std: float, dof: float, states_known: bool, occlusion: OcclusionEffect | None
) -> tuple[float | None, float | None, str]:
    """Low and high end of the fully imaged particles' interval, or why there is none.

    An uncorrected effect widens the interval on one side: it spans the interval of the value and the interval of the
    value without the effect, which includes the effect's own uncertainty.
    """
    half = coverage_factor(dof) * std
    if states_known:
        return value - half, value + half, ""
    if name != "D50":
        return None, None, "states are not known, and the effect of occlusion is known for D50 only"
    if occlusion is None:
        return None, None, "states are not known, and there is no record of the effect of occlusion"
    without = value / (1 + occlusion.effect)
    relative = (std / value, occlusion.log_std)
    half_without = coverage_factor(effective_dof(relative, (dof, occlusion.dof))) * float(np.hypot(*relative)) * without
    return min(value - half, without - half_without), max(value + half, without + half_without), ""
