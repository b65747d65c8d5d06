"""A model's validation record applied to a measurement: correction, its uncertainty, occlusion, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.validation import OcclusionClass, Range, ResidualClass, ValidatedRanges

TOLERANCE = 0.1
"""Share of a range's end by which an image may lie beyond it without a warning: few images seldom hold extremes."""


@dataclass(frozen=True)
class ModelUncertainty:
    """Standard uncertainty of the mean residual at a size, relative, and its degrees of freedom."""

    relative_std: float
    dof: float


@dataclass(frozen=True)
class OcclusionEffect:
    """What D50 of all detections was off by from D50 of the fully imaged particles; one-sided, not corrected.

    Attributes:
        effect: relative, in scenes of known truth; negative where hidden parts make particles look small.
        low: lower end of the class of area fractions that those scenes are in.
        high: upper end.
        inside: whether the measurement's area fraction lies between; else it is the nearest class's effect.
        log_std: standard uncertainty of ln(1 + effect) for other images: √(standard error² + spread between images²).
        dof: its degrees of freedom.
    """

    effect: float
    low: float
    high: float
    inside: bool
    log_std: float
    dof: float


def mean_residual(residuals: Sequence[ResidualClass], ecd_px: np.ndarray) -> np.ndarray:
    """(N,) relative residual at ECDs as found: between the classes' mean sizes on a straight line over log size.

    Beyond the outer ones it stays as there.
    """
    at = np.log([one.mean_ecd_px for one in residuals])
    return np.interp(np.log(ecd_px), at, [one.residual for one in residuals])


def correct_sizes(residuals: Sequence[ResidualClass], sizes: np.ndarray, ecd_px: np.ndarray) -> np.ndarray:
    """(N,) sizes / (1 + mean residual), in their unit; unchanged without classes.

    Args:
        residuals: classes of a validation record.
        sizes: (N,) ECDs in any unit.
        ecd_px: (N,) the same in pixels, which decides the class.
    """
    return np.asarray(sizes) / (1 + mean_residual(residuals, ecd_px)) if residuals else np.array(sizes, np.float64)


def model_uncertainty(residuals: Sequence[ResidualClass], ecd_px: float) -> ModelUncertainty:
    """Of the class whose mean size is nearest to an ECD by ratio: √(standard error² + between-image spread²).

    The spread counts in full, since images of another material and day may all be off alike.
    """
    nearest = min(residuals, key=lambda one: abs(np.log(one.mean_ecd_px / ecd_px)))
    return ModelUncertainty(float(np.hypot(nearest.standard_error, nearest.between_image_std)), nearest.images - 1.0)


def occlusion_effect(classes: Sequence[OcclusionClass], area_fraction: float) -> OcclusionEffect | None:
    """Effect at an area fraction of found masks; that of the nearest class outside all, None without any."""
    if not classes:
        return None
    nearest = min(classes, key=lambda one: max(one.low - area_fraction, area_fraction - one.high, 0.0))
    inside = nearest.low <= area_fraction <= nearest.high
    log_std = float(np.hypot(nearest.standard_error, nearest.between_image_std))
    return OcclusionEffect(nearest.effect, nearest.low, nearest.high, inside, log_std, float(nearest.dof))


def range_warnings(
    ranges: ValidatedRanges,
    image_names: Sequence[str],
    *,
    nm_per_px: Sequence[float | None],
    ecd_px: np.ndarray,
    contrast_levels: Sequence[float | None],
    area_fraction: Sequence[float],
) -> tuple[str, ...]:
    """One line for each quantity that lies outside what the model was validated in, or that it was not validated for.

    Args:
        ranges: of the validation record.
        image_names: of M images.
        nm_per_px: (M,) pixel sizes; None where not known: not judged.
        ecd_px: (N,) sizes of all particles measured.
        contrast_levels: (M,) of `semsize.sem.particle_contrast`; None or NaN where there are no particles.
        area_fraction: (M,) covered share of each image.
    """
    of_images = (
        ("pixel size", "nm", nm_per_px, ranges.nm_per_px),
        ("contrast", "grey levels", contrast_levels, ranges.contrast_levels),
        ("area fraction of particles", "", area_fraction, ranges.area_fraction),
    )
    lines = [_image_warning(*one, image_names) for one in of_images]
    return tuple(line for line in (*lines, _size_warning(ecd_px, ranges.ecd_px)) if line)


def _image_warning(
    what: str, unit: str, values: Sequence[float | None], valid: Range | None, names: Sequence[str]
) -> str:
    known = [(value, name) for value, name in zip(values, names, strict=True) if value is not None and value == value]
    if not known:
        return ""
    if valid is None:
        return f"{what}: the model was not validated for it"
    outside = [(value, name) for value, name in known if not _lies_in(value, valid)]
    if not outside:
        return ""
    which = ", ".join(name for _, name in outside[:3]) + (" …" if len(outside) > 3 else "")
    of = f"{len(outside)} of {len(names)} images"
    return f"{what} of {of} ({_span([v for v, _ in outside], unit)}) lies outside {_span(valid, unit)}: {which}"


def _size_warning(ecd_px: np.ndarray, valid: Range | None) -> str:
    if len(ecd_px) == 0:
        return ""
    if valid is None:
        return "particle size: the model was not validated for it"
    small, large = int((ecd_px < valid[0]).sum()), int((ecd_px > valid[1]).sum())
    if small + large <= 0.02 * len(ecd_px):  # as many lie outside the 1 % and 99 % quantiles in validation
        return ""
    return f"particle size: of {len(ecd_px)} particles {small} are below and {large} above {_span(valid, 'px')}"


def _lies_in(value: float, valid: Range) -> bool:
    return valid[0] / (1 + TOLERANCE) <= value <= valid[1] * (1 + TOLERANCE)


def _span(values: Sequence[float], unit: str) -> str:
    low, high = min(values), max(values)
    text = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
    return f"{text} {unit}".strip()
