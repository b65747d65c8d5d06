"""SEM images to particles, size distribution, uncertainty and report; the network is imported when it is used."""

from semsize.measuring.inputs import InputError, MeasuringError, OutputError, RunOptions, Settings, SettingsError
from semsize.measuring.measurement import Measurement, measure, measure_images
