"""Instance segmentation of agglomerated particles in SEM images with MMDetection: the experiments' side."""

from semsize import __version__

__all__ = ["__version__"]
