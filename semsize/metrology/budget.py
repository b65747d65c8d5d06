"""The uncertainty budget of D10, D50, D90 and the mean (GUM, JCGM 100:2008; docs/uncertainty.md derives each line)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from semsize.metrology.correction import OcclusionEffect, model_uncertainty
from semsize.metrology.intervals import CONFIDENCE, WITHIN_IMAGE, SamplingInterval
from semsize.metrology.validation import ResidualClass

REFERENCE_STD_PX = 0.6
"""Of a diameter whose truth people outlined: one-pixel gaps and diffuse edges (docs/uncertainty.md)."""

NOT_GIVEN = "not given"
NOT_APPLICABLE = "not applicable"
ONE_SIDED = "one-sided, not corrected"


@dataclass(frozen=True)
class SystematicEffects:
    """What shifts all sizes together.

    Attributes:
        nm_per_px: pixel size, of images with several their mean; None: sizes are in px.
        calibration_relative_std: relative standard uncertainty of the pixel size, the same error in all images; None
            where nobody stated one.
        reference_std_px: standard uncertainty of a diameter from where the outlines of the truth lie; 0 for rendered
            truth.
        residuals: classes of the model's validation record; empty where it has none; None where no model was used.
        calibrated: whether that uncertainty is one of a calibration; False: it is only that of reading the pixel size
            off a scale bar, and the calibration's is missing.
    """

    nm_per_px: float | None
    calibration_relative_std: float | None = None
    reference_std_px: float = REFERENCE_STD_PX
    residuals: Sequence[ResidualClass] | None = ()
    calibrated: bool = True

    @property
    def unit(self) -> str:
        """``nm`` or ``px``."""
        return "px" if self.nm_per_px is None else "nm"

    def lines(self, size: float) -> tuple[BudgetLine, ...]:
        """Calibration, reference and model at a size in `unit`."""
        return self._calibration(size), self._reference(), self._model(size)

    def std(self, size: float) -> float:
        """Standard uncertainty that all particles of a size share, in `unit`; lines not given count as nothing."""
        return float(np.sqrt(sum((line.std or 0.0) ** 2 for line in self.lines(size))))

    def _calibration(self, size: float) -> BudgetLine:
        if self.nm_per_px is None:
            return BudgetLine("calibration", "B", None, np.inf, NOT_APPLICABLE, "sizes are in pixels")
        if self.calibration_relative_std is None:
            return BudgetLine("calibration", "B", None, np.inf, NOT_GIVEN, "state --calibration-uncertainty")
        std, relative = self.calibration_relative_std * size, f"{self.calibration_relative_std:.2%}"
        if not self.calibrated:
            note = f"only of a scale bar in whole pixels, relative {relative}; state --calibration-uncertainty"
            return BudgetLine("calibration", "B", std, np.inf, NOT_GIVEN, note)
        note = f"pixel size, relative {relative}, common to all particles"
        return BudgetLine("calibration", "B", std, np.inf, note=note)

    def _reference(self) -> BudgetLine:
        note = f"where the truth's outlines lie: {self.reference_std_px:.2g} px of a diameter"
        return BudgetLine("reference", "B", self.reference_std_px * (self.nm_per_px or 1.0), np.inf, note=note)

    def _model(self, size: float) -> BudgetLine:
        if self.residuals is None:
            return BudgetLine("model", "A", None, np.inf, NOT_APPLICABLE, "no model drew these outlines")
        if not self.residuals:
            return BudgetLine("model", "A", None, np.inf, NOT_GIVEN, "not validated: no record of the model holds")
        model = model_uncertainty(self.residuals, size / (self.nm_per_px or 1.0))
        note = f"mean ECD residual at this size: standard error and spread between images, {model.relative_std:.2%}"
        return BudgetLine("model", "A", model.relative_std * size, model.dof, note=note)


@dataclass(frozen=True)
class BudgetLine:
    """One source of uncertainty.

    Attributes:
        source: ``sampling``, ``calibration``, ``reference``, ``model`` or ``occlusion``.
        evaluation: ``A`` from statistics, ``B`` otherwise (GUM 4.2, 4.3).
        std: standard uncertainty in the budget's unit; None where it is not known or is no part of the sum.
        dof: degrees of freedom, infinite where taken for exact.
        status: empty, `NOT_GIVEN`, `NOT_APPLICABLE` or `ONE_SIDED`.
        note: in words.
    """

    source: str
    evaluation: str
    std: float | None
    dof: float
    status: str = ""
    note: str = ""


@dataclass(frozen=True)
class Budget:
    """Uncertainty of one statistic of a size distribution.

    Attributes:
        statistic: ``D10``, ``D50``, ``D90`` or ``mean``.
        unit: ``nm`` or ``px``.
        quantity: of which particles.
        value: the result, corrected where the model has a validation record.
        uncorrected: the same without the correction.
        lines: sampling, calibration, reference, model, and occlusion where no states are known.
        combined_std: u, root of the sum of squares.
        dof: effective degrees of freedom (Welch and Satterthwaite).
        label: what U leaves out, for example ``calibration excluded``; empty where nothing.
        population_low: lower end of the 95 % interval of the fully imaged particles' value; None where withheld.
        population_high: upper end.
        withheld: why there is no such interval; empty where there is.
    """

    statistic: str
    unit: str
    quantity: str
    value: float
    uncorrected: float
    lines: tuple[BudgetLine, ...]
    combined_std: float
    dof: float
    label: str
    population_low: float | None
    population_high: float | None
    withheld: str

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

    def share(self, line: BudgetLine) -> float | None:
        """Of a line in the combined variance, 0 to 1; None where it is no part of the sum."""
        return None if line.std is None else line.std**2 / self.combined_std**2


def size_budgets(
    intervals: Mapping[str, SamplingInterval],
    uncorrected: Mapping[str, float],
    effects: SystematicEffects,
    *,
    quantity: str,
    states_known: bool,
    occlusion: OcclusionEffect | None = None,
) -> dict[str, Budget]:
    """Statistic to its budget.

    Args:
        intervals: `size_intervals` of the sizes reported, in the unit of ``effects``.
        uncorrected: statistic to its value without the model's correction.
        effects: what shifts all sizes together.
        quantity: of `PopulationSplit`.
        states_known: whether the sizes are those of fully imaged particles.
        occlusion: effect on D50 of detecting what is partly hidden too; None where not known.
    """
    return {
        name: _budget(name, interval, uncorrected[name], effects, quantity, states_known, occlusion)
        for name, interval in intervals.items()
    }


def coverage_factor(dof: float) -> float:
    """Student's t for a 95 % interval; 1.96 for infinitely many degrees of freedom."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, dof))


def effective_dof(stds: Sequence[float], dofs: Sequence[float]) -> float:
    """Welch and Satterthwaite's formula (GUM G.4.1); infinite where no line with finite ones counts."""
    stds, dofs = np.asarray(stds, np.float64), np.asarray(dofs, np.float64)
    denominator = (stds**4 / dofs).sum()
    return float((stds**2).sum() ** 2 / denominator) if denominator != 0 else float("inf")


def _budget(
    name: str,
    interval: SamplingInterval,
    uncorrected: float,
    effects: SystematicEffects,
    quantity: str,
    states_known: bool,
    occlusion: OcclusionEffect | None,
) -> Budget:
    note = f"{interval.particles} particles of {interval.images} images"
    status = interval.scope if interval.scope == WITHIN_IMAGE else ""
    summed = (BudgetLine("sampling", "A", interval.std, interval.dof, status, note), *effects.lines(interval.value))
    known = [line for line in summed if line.std is not None]
    std = float(np.sqrt(sum(line.std**2 for line in known)))
    dof = effective_dof([line.std for line in known], [line.dof for line in known])
    low, high, withheld = _population(name, interval.value, (std, dof), states_known, occlusion)
    return Budget(
        statistic=name,
        unit=effects.unit,
        quantity=quantity,
        value=interval.value,
        uncorrected=uncorrected,
        lines=summed if states_known else (*summed, _occlusion_line(name, occlusion)),
        combined_std=std,
        dof=dof,
        label=_label(summed),
        population_low=low,
        population_high=high,
        withheld=withheld,
    )


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
    name: str, value: float, own: tuple[float, float], states_known: bool, occlusion: OcclusionEffect | None
) -> tuple[float | None, float | None, str]:
    """Ends of the interval of the fully imaged particles' value: widened on one side by an effect not corrected.

    From the lower to the higher end of two intervals: of the value, and of the value freed of the effect, whose own
    uncertainty counts there.

    Args:
        name: of the statistic.
        value: of it.
        own: the value's standard uncertainty and degrees of freedom.
        states_known: whether it is that of fully imaged particles.
        occlusion: what the record says.
    """
    std, dof = own
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
