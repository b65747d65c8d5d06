"""Instance segmentation and size measurement of agglomerated particles in SEM images."""

__version__ = "0.1.0.dev0"


def __getattr__(name: str) -> object:
    """`tio2.measure_images`, imported when it is asked for: importing the package stays light."""
    if name == "measure_images":
        from semsize.measuring import measure_images

        return measure_images
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
