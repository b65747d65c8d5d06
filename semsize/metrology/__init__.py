"""Measurands, comparison of truth with found, size distributions and their uncertainty: numbers in, results out."""

from semsize.metrology.border import LARGE_WEIGHT, BorderWeights, border_weights
from semsize.metrology.budget import REFERENCE_STD_PX, Budget, BudgetLine, SystematicEffects, size_budgets
from semsize.metrology.comparison import compare_split
from semsize.metrology.correction import (
    OcclusionEffect,
    correct_sizes,
    mean_residual,
    model_uncertainty,
    occlusion_effect,
    range_warnings,
)
from semsize.metrology.figures_of_merit import figures_of_merit
from semsize.metrology.intervals import STATISTICS, SamplingInterval, size_intervals, statistics
from semsize.metrology.matching import Matching, match
from semsize.metrology.measurands import (
    MEASURANDS,
    Measurands,
    Moments,
    SizeMeasurands,
    areas_px,
    equivalent_circular_diameter,
    measure,
    measure_moments,
    measure_sizes,
)
from semsize.metrology.nanomaterial import NANO_LIMIT_NM, NANO_SHARE, ShareBelow, share_below
from semsize.metrology.planning import ParticlesNeeded, particles_needed
from semsize.metrology.population import (
    QUANTITY_FULLY_IMAGED,
    QUANTITY_VISIBLE,
    Exclusion,
    PopulationSplit,
    exclusion_effects,
    population,
)
from semsize.metrology.size_distribution import (
    Cumulative,
    LogNormalFit,
    QuantilePoints,
    SizeDistribution,
    cumulative,
    quantile_points,
    size_distribution,
)
from semsize.metrology.size_sample import SizeSample, area_fraction, effective_number, weighted_quantiles
from semsize.metrology.validation import ModelUse, ModelValidation, ValidationError

__all__ = [
    "LARGE_WEIGHT",
    "MEASURANDS",
    "NANO_LIMIT_NM",
    "NANO_SHARE",
    "QUANTITY_FULLY_IMAGED",
    "QUANTITY_VISIBLE",
    "REFERENCE_STD_PX",
    "STATISTICS",
    "BorderWeights",
    "Budget",
    "BudgetLine",
    "Cumulative",
    "Exclusion",
    "LogNormalFit",
    "Matching",
    "Measurands",
    "ModelUse",
    "ModelValidation",
    "Moments",
    "OcclusionEffect",
    "ParticlesNeeded",
    "PopulationSplit",
    "QuantilePoints",
    "SamplingInterval",
    "ShareBelow",
    "SizeDistribution",
    "SizeMeasurands",
    "SizeSample",
    "SystematicEffects",
    "ValidationError",
    "area_fraction",
    "areas_px",
    "border_weights",
    "compare_split",
    "correct_sizes",
    "cumulative",
    "effective_number",
    "equivalent_circular_diameter",
    "exclusion_effects",
    "figures_of_merit",
    "match",
    "mean_residual",
    "measure",
    "measure_moments",
    "measure_sizes",
    "model_uncertainty",
    "occlusion_effect",
    "particles_needed",
    "population",
    "quantile_points",
    "range_warnings",
    "share_below",
    "size_budgets",
    "size_distribution",
    "size_intervals",
    "statistics",
    "weighted_quantiles",
]
