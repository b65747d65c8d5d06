"""What shifts all sizes of a measurement together, as lines of its uncertainty budget (docs/uncertainty.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.bias_record import ResidualClass, model_uncertainty

REFERENCE_STD_PX = 0.6
"""Standard uncertainty of a diameter that people outlined: one-pixel gaps and diffuse edges (docs/uncertainty.md)."""

NEAR = 1.25  # ratio of sizes whose particles tell the pixel size of a quantile

NOT_GIVEN = "not given"
NOT_APPLICABLE = "not applicable"
ONE_SIDED = "one-sided, not corrected"


@dataclass(frozen=True)
class BudgetLine:
    """One source of uncertainty."""

    # ``sampling``, ``calibration``, ``reference``, ``model``, ``occlusion``, a step of `NestedEffect`, or ``renderer``
    source: str
    evaluation: str  # ``A`` from statistics, ``B`` otherwise (GUM 4.2, 4.3)
    std: float | None  # standard uncertainty in the budget's unit; None where not known or no part of the sum
    dof: float  # degrees of freedom, infinite where taken for exact
    status: str = ""  # empty, `NOT_GIVEN`, `NOT_APPLICABLE` or `ONE_SIDED`
    note: str = ""  # in words


@dataclass(frozen=True)
class NestedEffect:
    """What a step from the truth to the result does to a statistic, in scenes of known truth."""

    source: str  # the step: ``overlooked``, ``completion``, ``states``, ``false`` or ``selection``
    effect: float  # ln(after / before)
    log_std: float  # standard uncertainty that it leaves in the logarithm of the result
    dof: float
    corrected: bool = False  # else it is not corrected, and counts in `log_std` too

    def line(self, size: float) -> BudgetLine:
        """The effect's line of the budget at a size."""
        how = "corrected" if self.corrected else "not corrected, so that it counts in full"
        note = f"{np.expm1(self.effect):+.1%} in scenes of known truth; {how}"
        return BudgetLine(self.source, "A", self.log_std * size, self.dof, note=note)


@dataclass(frozen=True)
class RendererEffect:
    """How far a step's effect may lie off because its scenes are one renderer's: by what another one's scenes tell."""

    step: str  # ``completion`` or ``selection``
    half_width: float  # of ln(after / before), as likely anywhere between its limits

    @property
    def log_std(self) -> float:
        """Standard uncertainty that it leaves in the logarithm of the result (GUM 4.3.7)."""
        return self.half_width / math.sqrt(3)

    def line(self, size: float) -> BudgetLine:
        """The effect's line of the budget at a size."""
        note = f"{self.step} in scenes of another renderer: up to {np.expm1(self.half_width):.1%} off"
        return BudgetLine("renderer", "B", self.log_std * size, np.inf, note=note)


@dataclass(frozen=True)
class SystematicEffects:
    """What shifts all sizes together: pixel size, the truth's outlines, the model."""

    nm_per_px: float | None  # pixel size, of images with several their mean; None: sizes are in px
    calibration_relative_std: float | None = None  # of the pixel size, one error in all images; None: not stated
    reference_std_px: float = REFERENCE_STD_PX  # of a diameter, from where the truth's outlines lie; 0 if rendered
    residuals: Sequence[ResidualClass] | None = ()  # of the bias record; () without one, None where no model was used
    calibrated: bool = True  # False: only the reading of a scale bar is in calibration_relative_std
    # statistic to the steps beside the model's outlines, where a model says which particles are fully imaged; empty
    # where its errors are not known, None where no state is predicted
    nested: Mapping[str, Sequence[NestedEffect | RendererEffect]] | None = None
    magnifications: tuple[np.ndarray, np.ndarray] | None = None  # sizes and pixel sizes of particles of unlike images

    @property
    def unit(self) -> str:
        """The unit of sizes, ``nm`` or ``px``."""
        return "px" if self.nm_per_px is None else "nm"

    def lines(self, size: float, statistic: str) -> tuple[BudgetLine, ...]:
        """Calibration, reference and model at a size in `unit`, and what predicted states do to a statistic."""
        lines = self._calibration(size), self._reference(size), self._model(size)
        if self.nested is None:
            return lines
        if not self.nested:
            note = "a model says which particles are fully imaged; no record says how well"
            return (*lines, BudgetLine("states", "A", None, np.inf, NOT_GIVEN, note))
        return (*lines, *(effect.line(size) for effect in self.nested[statistic]))

    def std(self, size: float) -> float:
        """Standard uncertainty that all particles of a size share, in `unit`: calibration, reference and model.

        Lines not given count as nothing. What predicted states do to a population is no error of a particle's size.
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
        """Pixel size in `unit`; of images with several the mean over particles within a fourth of a size."""
        if self.magnifications is not None:
            sizes, pixels = self.magnifications
            near = np.abs(np.log(sizes / size)) < np.log(NEAR)
            if near.any():
                return float(pixels[near].mean())
        return self.nm_per_px or 1.0

    def _reference(self, size: float) -> BudgetLine:
        note = f"where the truth's outlines lie: {self.reference_std_px:.2g} px of a diameter"
        return BudgetLine("reference", "B", self.reference_std_px * self._pixel(size), np.inf, note=note)

    def _model(self, size: float) -> BudgetLine:
        if self.residuals is None:
            return BudgetLine("model", "A", None, np.inf, NOT_APPLICABLE, "no model drew these outlines")
        if not self.residuals:
            return BudgetLine("model", "A", None, np.inf, NOT_GIVEN, "not validated: no record of the model holds")
        relative_std, dof = model_uncertainty(self.residuals, size / self._pixel(size))
        note = f"mean ECD residual at this size: standard error and spread between images, {relative_std:.2%}"
        return BudgetLine("model", "A", relative_std * size, dof, note=note)
