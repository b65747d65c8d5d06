"""Measurands, comparison of found particles with true ones, size distributions, their uncertainty, and bias records."""

from semsize.metrology.bias import range_warnings
from semsize.metrology.bias_record import (
    BiasRecord,
    BiasRecordError,
    ModelUse,
    correct_sizes,
)
from semsize.metrology.border import LARGE_WEIGHT, border_weights
from semsize.metrology.budget import (
    Budget,
    ParticlesNeeded,
    particles_needed,
    size_budgets,
)
from semsize.metrology.comparison import compare_split
from semsize.metrology.effects import REFERENCE_STD_PX, NestedEffect, RendererEffect, SystematicEffects
from semsize.metrology.intervals import (
    NANO_LIMIT_NM,
    STATISTICS,
    SamplingInterval,
    ShareBelow,
    share_below,
    size_intervals,
    statistics,
)
from semsize.metrology.matching import match
from semsize.metrology.measurands import equivalent_circular_diameter, measure
from semsize.metrology.metrics import particle_metrics
from semsize.metrology.occlusion import (
    Exclusion,
    OcclusionEffect,
    exclusion_effects,
    occlusion_effect,
    population,
)
from semsize.metrology.size_distribution import (
    LogNormalFit,
    SizeDistribution,
    SizeSample,
    area_fraction,
    cumulative,
    quantile_points,
    size_distribution,
)
