"""SEM images to particles, size distribution, uncertainty and report; the network is imported when it is used."""

from tio2.measuring.errors import InputError, MeasuringError, OutputError, SettingsError
from tio2.measuring.measurement import Measurement, measure, measure_images
from tio2.measuring.settings import Settings, Wishes

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
