"""Measurands and the comparison of truth with found: numbers in, named results out."""

from tio2.metrology.matching import Matching, match
from tio2.metrology.measurands import SizeMeasurands, areas_px, equivalent_circular_diameter, measure_sizes

__all__ = ["Matching", "SizeMeasurands", "areas_px", "equivalent_circular_diameter", "match", "measure_sizes"]
