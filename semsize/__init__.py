"""Measure particle sizes in SEM images, with their uncertainty; needs neither torch nor MMDetection."""

__version__ = "0.2.0"


def __getattr__(name: str) -> object:
    """Import `semsize.measure` on first use, so that importing the package stays fast."""
    if name == "measure":
        from semsize.measuring import measure_images

        return measure_images
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
