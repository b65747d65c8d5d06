"""Effects that shift all sizes of a measurement together, as lines of its uncertainty budget (docs/uncertainty.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.bias_record import ResidualClass, model_uncertainty

REFERENCE_STD_PX = 0.6
"""Standard uncertainty of a diameter that people outlined: one-pixel gaps and diffuse edges (docs/uncertainty.md)."""

NEAR = 1.25  # particles within this factor of a quantile decide its pixel size

NOT_GIVEN = "not given"
NOT_APPLICABLE = "not applicable"
ONE_SIDED = "one-sided, not corrected"


@dataclass(frozen=True)
class BudgetLine:
    """One source of uncertainty."""

    # ``sampling``, ``calibration``, ``reference``, ``model``, ``occlusion``, a step of `NestedEffect`, or ``renderer``
    source: str
    evaluation: str  # ``A`` from statistics, ``B`` otherwise (GUM 4.2, 4.3)
    std: float | None  # standard uncertainty in the budget's unit; None if not known or not summed
    dof: float  # degrees of freedom; infinite if std is taken as exact
    status: str = ""  # empty, `NOT_GIVEN`, `NOT_APPLICABLE` or `ONE_SIDED`
    note: str = ""  # in words


@dataclass(frozen=True)
class NestedEffect:
    """The effect on a statistic of one step from the truth to the result, measured in scenes of known truth."""

    source: str  # the step: ``overlooked``, ``completion``, ``states``, ``false`` or ``selection``
    effect: float  # ln(after / before)
    log_std: float  # standard uncertainty of ln(result) due to the step
    dof: float
    corrected: bool = False  # whether the result is corrected for it; if not, `log_std` includes the effect

    def line(self, size: float) -> BudgetLine:
        """The effect's line of the budget at a size."""
        how = "corrected" if self.corrected else "not corrected, so that it counts in full"
        note = f"{np.expm1(self.effect):+.1%} in scenes of known truth; {how}"
        return BudgetLine(self.source, "A", self.log_std * size, self.dof, note=note)


@dataclass(frozen=True)
class RendererEffect:
    """Uncertainty of a step's effect because one renderer made its scenes, from scenes of another renderer."""

    step: str  # ``completion`` or ``selection``
    half_width: float  # of ln(after / before), uniform between its limits

    @property
    def log_std(self) -> float:
        """Standard uncertainty of ln(result) due to the renderer (GUM 4.3.7)."""
        return self.half_width / math.sqrt(3)

    def line(self, size: float) -> BudgetLine:
        """The effect's line of the budget at a size."""
        note = f"{self.step} in scenes of another renderer: up to {np.expm1(self.half_width):.1%} off"
        return BudgetLine("renderer", "B", self.log_std * size, np.inf, note=note)


@dataclass(frozen=True)
class SystematicEffects:
    """Effects that shift all sizes together (pixel size, the truth's outlines, the model), and of predicted states."""

    nm_per_px: float | None  # pixel size, the mean if images differ; None: sizes are in px
    calibration_relative_std: float | None = None  # of the pixel size, the same error in all images; None: not stated
    reference_std_px: float = REFERENCE_STD_PX  # of a diameter, by the position of the truth's outlines; 0 if rendered
    residuals: Sequence[ResidualClass] | None = ()  # of the bias record; () without one, None if no model was used
    calibrated: bool = True  # False: calibration_relative_std covers only the reading of a scale bar
    # statistic to its effects other than the outlines, if a model predicts states; empty if they are not known, None if
    # no states are predicted
    nested: Mapping[str, Sequence[NestedEffect | RendererEffect]] | None = None
    magnifications: tuple[np.ndarray, np.ndarray] | None = None  # sizes and pixel sizes of particles, if images differ

    @property
    def unit(self) -> str:
        """The unit of sizes, ``nm`` or ``px``."""
        return "px" if self.nm_per_px is None else "nm"

    def lines(self, size: float, statistic: str) -> tuple[BudgetLine, ...]:
        """Return a statistic's lines at a size in `unit`: calibration, reference, model and predicted states."""
        lines = self._calibration(size), self._reference(size), self._model(size)
        if self.nested is None:
            return lines
        if not self.nested:
            note = "a model says which particles are fully imaged; no record says how well"
            return (*lines, BudgetLine("states", "A", None, np.inf, NOT_GIVEN, note))
        return (*lines, *(effect.line(size) for effect in self.nested[statistic]))

    def std(self, size: float) -> float:
        """Return the standard uncertainty in `unit` that particles of a size share: calibration, reference, model.

        Lines that are not given count as 0. Predicted states change which particles count, not the size of one.
        """
        shared = self._calibration(size), self._reference(size), self._model(size)
        return float(np.sqrt(sum((line.std or 0.0) ** 2 for line in shared)))

    def _calibration(self, size: float) -> BudgetLine:
        if self.nm_per_px is None:
            return BudgetLine("calibration", "B", None, np.inf, NOT_APPLICABLE, "sizes are in pixels")
        if self.calibration_relative_std is None:
            return BudgetLine("calibration", "B", None, np.inf, NOT_GIVEN, "state --calibration-uncertainty")
        relative = f"{self.calibration_relative_std:.2%}"
        status, note = "", f"pixel size, relative {relative}, common to all particles"
        if not self.calibrated:
            note = f"only of a scale bar in whole pixels, relative {relative}; state --calibration-uncertainty"
            status = NOT_GIVEN
        return BudgetLine("calibration", "B", self.calibration_relative_std * size, np.inf, status, note)

    def _pixel(self, size: float) -> float:
        """Pixel size in `unit`; if images differ, the mean over particles within a factor `NEAR` of a size."""
        if self.magnifications is not None:
            sizes, pixels = self.magnifications
            near = np.abs(np.log(sizes / size)) < np.log(NEAR)
            if near.any():
                return float(pixels[near].mean())
        return self.nm_per_px or 1.0

    def _reference(self, size: float) -> BudgetLine:
        note = f"position of the truth's outlines: {self.reference_std_px:.2g} px of a diameter"
        return BudgetLine("reference", "B", self.reference_std_px * self._pixel(size), np.inf, note=note)

    def _model(self, size: float) -> BudgetLine:
        if self.residuals is None:
            return BudgetLine("model", "A", None, np.inf, NOT_APPLICABLE, "no model drew these outlines")
        if not self.residuals:
            return BudgetLine("model", "A", None, np.inf, NOT_GIVEN, "not validated: no bias record holds")
        relative_std, dof = model_uncertainty(self.residuals, size / self._pixel(size))
        note = f"mean ECD residual at this size: standard error and spread between images, {relative_std:.2%}"
        return BudgetLine("model", "A", relative_std * size, dof, note=note)
