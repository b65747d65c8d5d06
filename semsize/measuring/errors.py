"""Errors of a measurement that are meant for people: one line each, saying what to do."""


class MeasuringError(ValueError):
    """A measurement that cannot be made as asked."""


class InputError(MeasuringError):
    """What was asked for cannot be measured."""


class SettingsError(MeasuringError):
    """A setting that makes no sense."""


class OutputError(MeasuringError):
    """The results cannot be written where they were asked for."""
