"""SEM images to particles, size distribution, uncertainty and report; the network is imported when it is used."""

from semsize.measuring.errors import InputError, MeasuringError, OutputError, SettingsError
from semsize.measuring.measurement import Measurement, measure, measure_images
from semsize.measuring.settings import Settings, Wishes

__all__ = [
    "InputError",
    "Measurement",
    "MeasuringError",
    "OutputError",
    "Settings",
    "SettingsError",
    "Wishes",
    "measure",
    "measure_images",
]
