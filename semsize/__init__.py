"""Particle sizes from SEM images, with their uncertainty; needs neither torch nor MMDetection."""

__version__ = "0.2.0"


def __getattr__(name: str) -> object:
    """`semsize.measure`, imported when it is asked for: importing the package stays light."""
    if name == "measure":
        from semsize.measuring import measure_images

        return measure_images
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
