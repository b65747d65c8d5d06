"""From the particle table to every number of the report; the record says what else went in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np

from semsize.measuring.settings import Settings
from semsize.measuring.table import NOT_FULLY_IMAGED, ParticleTable, excluded_for, is_detected, unit_of
from semsize.metrology import (
    LARGE_WEIGHT,
    NANO_LIMIT_NM,
    STATISTICS,
    BiasRecord,
    Budget,
    Exclusion,
    OcclusionEffect,
    ParticlesNeeded,
    SamplingInterval,
    ShareBelow,
    SizeDistribution,
    SizeSample,
    SystematicEffects,
    correct_sizes,
    exclusion_effects,
    occlusion_effect,
    particles_needed,
    population,
    share_below,
    size_budgets,
    size_distribution,
    size_intervals,
    statistics,
)

LENGTHS = ("ecd", "feret_min", "feret_max", "perimeter")
SHAPES = ("aspect_ratio", "circularity", "solidity")
NANO_DIAMETERS = {"minimum Feret diameter": "feret_min_nm", "equivalent circular diameter": "ecd_nm"}


@dataclass(frozen=True)
class ImageFacts:
    """What of an image the numbers need besides its particles.

    Attributes:
        name: as in the table.
        nm_per_px: None where not known.
        relative_std: standard uncertainty of the pixel size; None where not given.
        contrast: grey levels; None without particles.
        area_fraction: of the masks from the score threshold on.
    """

    name: str
    nm_per_px: float | None
    relative_std: float | None
    contrast: float | None
    area_fraction: float


@dataclass(frozen=True, eq=False)
class Summary:
    """All numbers of a measurement; sizes are equivalent circular diameters in `unit` unless said otherwise.

    Attributes:
        unit: ``nm`` or ``px``.
        quantity: what the headline distribution is of.
        states_known: whether any particle has a state.
        detected: particles from the score threshold on.
        kept: those the distribution is of.
        images: images measured.
        sample: sizes as reported (corrected where the model was validated), (kept,).
        uncorrected: sizes as found, (kept,).
        distribution: of `sample`.
        uncorrected_distribution: of `uncorrected`; the same where nothing is corrected.
        rest: of those known not to be fully imaged; None without any.
        intervals: sampling, by statistic.
        budgets: by statistic; empty below two particles.
        needed: particles for the target uncertainty of D50; None where there is no budget.
        nano: by diameter, of `NANO_DIAMETERS`; empty in px or without particles.
        measurands: rows (name, unit, particles, D10, D50, D90, mean), by number and weighted, uncorrected.
        exclusions: one a reason.
        large_weights: particles that count for more than `LARGE_WEIGHT`.
        largest_weight: the largest; 0 without particles.
        occlusion: what the model's validation says of hidden parts at this density.
    """

    unit: str
    quantity: str
    states_known: bool
    detected: int
    kept: int
    images: int
    sample: SizeSample
    uncorrected: SizeSample
    distribution: SizeDistribution
    uncorrected_distribution: SizeDistribution
    rest: SizeDistribution | None
    intervals: Mapping[str, SamplingInterval]
    budgets: Mapping[str, Budget]
    needed: ParticlesNeeded | None
    nano: Mapping[str, ShareBelow]
    measurands: Sequence[tuple]
    exclusions: Sequence[Exclusion]
    large_weights: int
    largest_weight: float
    occlusion: OcclusionEffect | None

    def numbers(self) -> dict:
        """Every number in JSON's terms but for NaN and infinity, which are still in it; the samples are left out."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)
            if field.name not in ("sample", "uncorrected")
        }


def summarise(
    table: ParticleTable,
    images: Sequence[ImageFacts],
    settings: Settings,
    validation: BiasRecord | None,
    *,
    drawn: bool,
) -> Summary:
    """All numbers of a table whose exclusions are filled in.

    Args:
        table: of all particles.
        images: all that were measured, particles or not.
        settings: of the measurement.
        validation: of the model; None where it has none that holds for its use here, or none was used.
        drawn: outlines were drawn, not found by a model: there is no model to be uncertain of.
    """
    unit = unit_of(table)
    residuals = () if validation is None else validation.residuals
    table = table.with_column("reported", correct_sizes(residuals, table[f"ecd_{unit}"], table["ecd_px"]))
    number = {image.name: index for index, image in enumerate(images)}
    of_image = np.array([number[name] for name in table["image"]], np.int64)
    kept, rest = table["excluded"] == "", table["excluded"] == NOT_FULLY_IMAGED

    def sample(column: str, chosen: np.ndarray) -> SizeSample:
        return SizeSample(table[column][chosen], table["weight"][chosen], of_image[chosen])

    reported, uncorrected = sample("reported", kept), sample(f"ecd_{unit}", kept)
    split = population([state for state, keep in zip(table.states, kept, strict=True) if keep])
    intervals = size_intervals(reported, np.random.default_rng(settings.seed))
    occlusion = occlusion_effect(validation.occlusion, _area_fraction(images)) if validation else None
    effects = _effects(images, of_image[kept], unit, settings, None if drawn else residuals)
    budgets = {}
    if kept.sum() > 1:
        budgets = size_budgets(
            intervals,
            dict(zip(STATISTICS, statistics(uncorrected).tolist(), strict=True)),
            effects,
            quantity=split.quantity,
            states_known=split.states_known,
            occlusion=occlusion,
        )
    nano = {}
    if unit == "nm" and kept.any():
        common = effects.std(NANO_LIMIT_NM)
        nano = {
            name: share_below(
                sample("reported" if column == "ecd_nm" else column, kept), NANO_LIMIT_NM, size_std=common
            )
            for name, column in NANO_DIAMETERS.items()
        }
    needed = None
    if budgets:
        counts = len(reported), reported.image_count
        needed = particles_needed(budgets["D50"], settings.target_percent / 100, *counts)
    return Summary(
        unit=unit,
        quantity=split.quantity,
        states_known=split.states_known,
        detected=int(is_detected(table).sum()),
        kept=int(kept.sum()),
        images=len(images),
        sample=reported,
        uncorrected=uncorrected,
        distribution=size_distribution(reported),
        uncorrected_distribution=size_distribution(uncorrected),
        rest=size_distribution(sample("reported", rest)) if rest.any() else None,
        intervals=intervals,
        budgets=budgets,
        needed=needed,
        nano=nano,
        measurands=_measurands(table, kept, unit, of_image),
        exclusions=_exclusions(table),
        large_weights=int((reported.weights > LARGE_WEIGHT).sum()),
        largest_weight=float(reported.weights.max(initial=0)),
        occlusion=occlusion,
    )


def _effects(
    images: Sequence[ImageFacts], of_kept: np.ndarray, unit: str, settings: Settings, residuals: Sequence | None
) -> SystematicEffects:
    """What shifts all sizes together; of several pixel sizes their mean over the particles, the least certain one.

    An uncertainty that a file's own statement leaves (a scale bar in whole pixels) is counted, but is no calibration.
    """
    if unit == "px":
        return SystematicEffects(None, None, settings.reference_std_px, residuals)
    stds = [image.relative_std for image in images if image.nm_per_px is not None]
    sizes = np.array([image.nm_per_px or np.nan for image in images])
    mean = float(sizes[of_kept].mean()) if len(of_kept) else float(np.nanmean(sizes))
    known = [std for std in stds if std is not None]
    declared = settings.pixel_size is not None and settings.pixel_size.std_nm is not None
    return SystematicEffects(
        mean,
        max(known, default=None),
        settings.reference_std_px,
        residuals,
        calibrated=len(known) == len(stds) and (declared or settings.calibration_std is not None),
    )


def _area_fraction(images: Sequence[ImageFacts]) -> float:
    return float(np.mean([image.area_fraction for image in images]))


def _measurands(table: ParticleTable, kept: np.ndarray, unit: str, of_image: np.ndarray) -> list[tuple]:
    """D10, D50, D90 and mean by number of what was measured, as it was found."""
    rows = []
    for name, column, of in [*((n, f"{n}_{unit}", unit) for n in LENGTHS), *((n, n, "") for n in SHAPES)]:
        values = table[column]
        chosen = kept & (values > 0)
        numbers = statistics(SizeSample(values[chosen], table["weight"][chosen], of_image[chosen]))
        rows.append((name, of, int(chosen.sum()), *numbers.tolist()))
    return rows


def _exclusions(table: ParticleTable) -> list[Exclusion]:
    """Each reason's effect on the D50 reported; particles without a pixel size are counted and have none."""
    reasons = excluded_for(table)
    sized = ~np.isnan(table["reported"])
    told = {reason: applies[sized] for reason, applies in reasons.items()}
    effects = exclusion_effects(table["reported"][sized], table["weight"][sized], told)
    return [
        replace(effect, count=int(reasons[effect.reason].sum()), d50_with=effect.d50_with if effect.count else math.nan)
        for effect in effects
        if reasons[effect.reason].any()
    ]


def _plain(value: object) -> object:
    """Dataclasses, mappings and sequences as dicts and lists; properties of a budget, which are printed, too."""
    if is_dataclass(value):
        printed = {name: getattr(value, name) for name in _PRINTED if hasattr(type(value), name)}
        return {key: _plain(item) for key, item in {**vars(value), **printed}.items()}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


_PRINTED = ("coverage_factor", "expanded", "relative_expanded", "effect_percent")
"""Properties that the report prints beside the fields."""
