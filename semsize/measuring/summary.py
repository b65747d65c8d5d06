"""Computes every number of the report from the particle table and the record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from semsize.measuring.particle_table import (
    NOT_FULLY_IMAGED,
    REASONS,
    ParticleTable,
    is_detected,
    is_left_to_states,
)
from semsize.measuring.record import Record
from semsize.metrology import (
    LARGE_WEIGHT,
    NANO_LIMIT_NM,
    STATISTICS,
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
from semsize.structures.files import in_json
from semsize.structures.states import FULLY_IMAGED_STATES
from semsize.visibility.budgets import nested_effects, powder_budgets, renderer_effects, state_budgets
from semsize.visibility.population import (
    QUANTITY_COMPLETED,
    QUANTITY_POWDER,
    PopulationSizes,
    SizedOutlines,
    compare_populations,
    unsized_count,
)
from semsize.visibility.record import VisibilityRecord

LENGTHS = ("ecd", "feret_min", "feret_max", "perimeter")
SHAPES = ("aspect_ratio", "circularity", "solidity")
NANO_DIAMETERS = {"minimum Feret diameter": "reported_feret_min", "equivalent circular diameter": "reported"}


@dataclass(frozen=True, eq=False)
class Summary:
    """All numbers of a measurement; sizes are equivalent circular diameters in `unit` unless said otherwise."""

    unit: str  # nm or px
    quantity: str  # the particles whose distribution the headline gives, in words
    states_known: bool  # whether any particle has a state
    detected: int  # particles from the score threshold on
    kept: int  # outlines in the distribution
    expected_particles: float  # sum of their probabilities of being fully imaged; `kept` if states are not predicted
    images: int  # number of measured images
    sample: SizeSample  # (kept,) sizes as reported: corrected where the model has a bias record
    uncorrected: SizeSample  # (kept,) sizes as found
    distribution: SizeDistribution  # of `sample`
    uncorrected_distribution: SizeDistribution
    rest: SizeDistribution | None  # of particles given as not fully imaged; None without any, or with predicted states
    intervals: Mapping[str, SamplingInterval]  # sampling, by statistic
    budgets: Mapping[str, Budget]  # by statistic; empty below two particles
    needed: ParticlesNeeded | None  # for the target uncertainty of D50; None without a budget
    en: Mapping[str, float]  # quantity to E_n of its D50 against the reference; empty without a reference, and in px
    nano: Mapping[str, ShareBelow]  # by diameter, of `NANO_DIAMETERS`; empty in px or without particles
    measurands: Sequence[tuple]  # (name, unit, particles, D10, D50, D90, mean), by number, weighted, uncorrected
    exclusions: Sequence[Exclusion]  # one per reason that occurs
    large_weights: int  # particles whose border weight is above `LARGE_WEIGHT`
    largest_weight: float  # largest border weight; 0 without particles
    occlusion: OcclusionEffect | None  # effect of hidden parts at this area fraction, from the bias record
    populations: Sequence[PopulationSizes]  # fully imaged, completed, visible; empty where no state is predicted
    further_budgets: Mapping[str, Mapping[str, Budget]]  # quantity of `_further_budgets` to statistic to budget
    unsized: float  # expected number of particles without a size, because too little of them is visible

    def numbers(self) -> dict:
        """All numbers except the samples, as JSON types, with the derived values that the report prints."""
        names = [field.name for field in fields(self) if field.name not in ("sample", "uncorrected")]
        numbers = in_json({name: getattr(self, name) for name in names})
        all_budgets = [(numbers["budgets"], self.budgets)]
        all_budgets += [(numbers["further_budgets"][kind], found) for kind, found in self.further_budgets.items()]
        for written, budgets in all_budgets:
            for name, budget in budgets.items():
                for printed in ("coverage_factor", "expanded", "relative_expanded"):
                    written[name][printed] = in_json(getattr(budget, printed))
        for entry, exclusion in zip(numbers["exclusions"], self.exclusions, strict=True):
            entry["effect_percent"] = in_json(exclusion.effect_percent)
        return numbers


def summarise(record: Record, table: ParticleTable) -> Summary:
    """Compute all numbers from the record and the table with its exclusions, and from nothing else."""
    unit, settings, (bias, _) = table.unit, record.settings, record.bias()
    residuals = () if bias is None else bias.residuals
    table = table.with_column("reported", correct_sizes(residuals, table[f"ecd_{unit}"], table["ecd_px"]))
    feret = table["feret_min_nm"] * table["reported"] / table[f"ecd_{unit}"]  # a length: corrected like the ECD
    table = table.with_column("reported_feret_min", feret)
    number = {image.image: index for index, image in enumerate(record.images)}
    of_image = np.array([number[name] for name in table["image"]], np.int64)
    kept, not_fully_imaged = table["excluded"] == "", table["excluded"] == NOT_FULLY_IMAGED

    def sample(column: str, chosen: np.ndarray) -> SizeSample:
        return SizeSample(table[column][chosen], table.weights[chosen], of_image[chosen])

    reported, uncorrected = sample("reported", kept), sample(f"ecd_{unit}", kept)
    judged = is_left_to_states(table)
    split = population(table.part(judged).states)
    intervals = size_intervals(reported, np.random.default_rng(settings.seed))
    density = record.area_fraction
    occlusion = occlusion_effect(bias.occlusion, density) if bias else None
    effects = _effects(record, reported.sizes, of_image[kept], unit, None if record.is_drawn else residuals)
    seen, _ = record.seen()
    if table.is_predicted:
        effects = replace(effects, nested=nested_effects(seen.fully_imaged) if seen else {})
    outlines = _sized_outlines(table, unit, of_image) if table.is_predicted else None
    others = None if table.is_predicted or not not_fully_imaged.any() else sample("reported", not_fully_imaged)
    populations = compare_populations(outlines, settings.seed) if outlines else ()
    budgets, further, needed, nano, en = {}, {}, None, {}, {}
    if kept.sum() > 1:
        budgets = size_budgets(
            intervals,
            dict(zip(STATISTICS, statistics(uncorrected).tolist(), strict=True)),
            effects,
            quantity=split.quantity,
            states_known=split.states_known,
            occlusion=occlusion,
        )
        counts = len(reported), reported.image_count
        if populations:
            further = _further_budgets(populations, effects, seen, density)
        if settings.reference_d50 is not None and unit == "nm":
            reference = settings.reference_d50
            en = {
                found["D50"].quantity: found["D50"].en_number(reference.value_nm, reference.expanded_nm)
                for found in (budgets, *further.values())
            }
        needed = particles_needed(budgets["D50"], settings.target_percent / 100, *counts)
    if unit == "nm" and kept.any():
        common = effects.std(NANO_LIMIT_NM)
        nano = {
            name: share_below(sample(column, kept), NANO_LIMIT_NM, size_std=common)
            for name, column in NANO_DIAMETERS.items()
        }
    return Summary(
        unit=unit,
        quantity=split.quantity,
        states_known=split.states_known,
        detected=int(is_detected(table).sum()),
        kept=int(kept.sum()),
        expected_particles=float(table.fully_imaged_probability[kept].sum()),
        images=len(record.images),
        sample=reported,
        uncorrected=uncorrected,
        distribution=size_distribution(reported),
        uncorrected_distribution=size_distribution(uncorrected),
        rest=others and size_distribution(others),
        intervals=intervals,
        budgets=budgets,
        needed=needed,
        en=en,
        nano=nano,
        measurands=_measurands(table, kept, unit, of_image),
        exclusions=_exclusions(table),
        large_weights=int((table["weight"][kept] > LARGE_WEIGHT).sum()),
        largest_weight=float(table["weight"][kept].max(initial=0)),
        occlusion=occlusion,
        populations=populations,
        further_budgets=further,
        unsized=unsized_count(outlines) if outlines else 0.0,
    )


def _sized_outlines(table: ParticleTable, unit: str, of_image: np.ndarray) -> SizedOutlines:
    """Sizes and probabilities of outlines with predicted states; a whole size gets its outline's bias correction."""
    chosen = np.isin(table["excluded"].astype(str), ("", NOT_FULLY_IMAGED))
    table = table.part(chosen)
    return SizedOutlines(
        sizes=table["reported"],
        whole_sizes=table[f"whole_ecd_{unit}"] * table["reported"] / table[f"ecd_{unit}"],
        fully_imaged=table.probability(*FULLY_IMAGED_STATES),
        masked=table.probability("masked"),
        unusable=table.probability("unusable"),
        border_weights=table["weight"],
        images=of_image[chosen],
    )


def _further_budgets(
    populations: Sequence[PopulationSizes], effects: SystematicEffects, seen: VisibilityRecord | None, density: float
) -> dict[str, dict[str, Budget]]:
    """Budgets of the completed particles, and of the powder if the record has the effect of selection."""
    full, completed, _ = populations
    nested = nested_effects(seen.completed) if seen else {}
    prior = seen.prior if seen else None
    if prior:
        nested = renderer_effects(nested, "completion", prior.completion)
    of_completed = replace(effects, nested=nested)
    budgets = {QUANTITY_COMPLETED: state_budgets(completed.number, of_completed, QUANTITY_COMPLETED)}
    spread = prior.selection if prior else ()
    powder = powder_budgets(full.number, effects, seen.selection, density, spread) if seen else {}
    return budgets | ({QUANTITY_POWDER: powder} if powder else {})


def _effects(
    record: Record, kept_sizes: np.ndarray, of_kept: np.ndarray, unit: str, residuals: Sequence | None
) -> SystematicEffects:
    """The effects common to all sizes; pixel sizes that differ enter as their mean with the largest uncertainty.

    The uncertainty of a scale bar in whole pixels is included, but does not make the pixel size a calibrated one.

    Args:
        record: the record of the measurement.
        kept_sizes: (K,) reported sizes of the kept particles.
        of_kept: (K,) index of each kept particle's image.
        unit: unit of the sizes.
        residuals: residuals in the model's bias record; None if no model found the outlines.
    """
    settings = record.settings
    if unit == "px":
        return SystematicEffects(None, None, settings.reference_std_px, residuals)
    stds = [
        None if image.pixel_size_std_nm is None else image.pixel_size_std_nm / image.pixel_size_nm
        for image in record.images
        if image.pixel_size_nm is not None
    ]
    sizes = np.array([image.pixel_size_nm or np.nan for image in record.images])
    mean = float(sizes[of_kept].mean()) if len(of_kept) else float(np.nanmean(sizes))
    known = [std for std in stds if std is not None]
    declared = settings.pixel_size is not None and settings.pixel_size.std_nm is not None
    return SystematicEffects(
        mean,
        max(known, default=None),
        settings.reference_std_px,
        residuals,
        calibrated=len(known) == len(stds) and (declared or settings.calibration_std is not None),
        magnifications=(kept_sizes, sizes[of_kept]) if len(set(sizes[of_kept])) > 1 else None,
    )


def _measurands(table: ParticleTable, kept: np.ndarray, unit: str, of_image: np.ndarray) -> list[tuple]:
    """D10, D50, D90 and mean by number of each measurand of the kept particles, without bias correction."""
    rows = []
    for name, column, of in [*((n, f"{n}_{unit}", unit) for n in LENGTHS), *((n, n, "") for n in SHAPES)]:
        values = table[column]
        chosen = kept & (values > 0)
        numbers = statistics(SizeSample(values[chosen], table.weights[chosen], of_image[chosen]))
        rows.append((name, of, int(chosen.sum()), *numbers.tolist()))
    return rows


def _weights_put_back(table: ParticleTable) -> np.ndarray:
    """(N,) weights of particles for a D50 with the particles of one reason for exclusion put back.

    With predicted states, particles left out as not fully imaged are weighted by the probability of being a particle,
    all others by that of being a fully imaged one; particles below the score have no probability and count in full.
    """
    weights = np.where(np.isnan(table["weight"]), 1.0, table["weight"])  # particles at the border have no weight
    if not table.is_predicted:
        return weights
    kept_out = table["excluded"] == NOT_FULLY_IMAGED
    probability = np.where(kept_out, table["p_particle"], table.fully_imaged_probability)
    return weights * np.where(np.isnan(probability), 1.0, probability)


def _exclusions(table: ParticleTable) -> list[Exclusion]:
    """Effect of each reason for exclusion on the reported D50; particles without a pixel size are only counted."""
    reasons = {reason: table["excluded"] == reason for reason in REASONS}
    sized = ~np.isnan(table["reported"])
    of_sized = {reason: applies[sized] for reason, applies in reasons.items()}
    effects = exclusion_effects(table["reported"][sized], _weights_put_back(table)[sized], of_sized)
    return [
        replace(effect, count=int(reasons[effect.reason].sum()), d50_with=effect.d50_with if effect.count else math.nan)
        for effect in effects
        if reasons[effect.reason].any()
    ]
