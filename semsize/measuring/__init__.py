"""Measures SEM images: particles, size distribution, uncertainty and report; a network is imported only when used."""

from semsize.measuring.inputs import (
    InputError,
    MeasurementSettings,
    MeasuringError,
    OptionError,
    OutputError,
    RunOptions,
)
from semsize.measuring.measurement import Measurement, measure, measure_images
