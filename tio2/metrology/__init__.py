"""Measurands and the comparison of truth with found: numbers in, named results out."""

from tio2.metrology.comparison import compare_split
from tio2.metrology.figures_of_merit import figures_of_merit
from tio2.metrology.matching import Matching, match
from tio2.metrology.measurands import (
    MEASURANDS,
    Measurands,
    SizeMeasurands,
    areas_px,
    equivalent_circular_diameter,
    measure,
    measure_sizes,
)
from tio2.metrology.moments import Moments, measure_moments

__all__ = [
    "MEASURANDS",
    "Matching",
    "Measurands",
    "Moments",
    "SizeMeasurands",
    "areas_px",
    "compare_split",
    "equivalent_circular_diameter",
    "figures_of_merit",
    "match",
    "measure",
    "measure_moments",
    "measure_sizes",
]
