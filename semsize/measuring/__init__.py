"""SEM images to particles, size distribution, uncertainty and report; the network is imported when it is used."""

from semsize.measuring.inputs import (
    InputError,
    MeasurementSettings,
    MeasuringError,
    OptionError,
    OutputError,
    RunOptions,
)
from semsize.measuring.measurement import Measurement, measure, measure_images
