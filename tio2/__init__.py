"""Instance segmentation and size measurement of agglomerated particles in SEM images."""

__version__ = "0.1.0.dev0"
