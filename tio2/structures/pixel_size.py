"""The one door through which pixels become nanometres."""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Lengths = TypeVar("Lengths", float, np.ndarray)


@dataclass(frozen=True)
class PixelSize:
    """Edge of one square pixel.

    Attributes:
        value_nm: nanometres a pixel, positive.
        std_nm: standard uncertainty of `value_nm` in nanometres, or None where nobody stated one (which is not zero).
        source: where the value came from, in words: a tag of the file, a command line, a rendered scene.
    """

    value_nm: float
    std_nm: float | None = None
    source: str = "declared"

    def __post_init__(self):
        if not (math.isfinite(self.value_nm) and self.value_nm > 0):
            raise ValueError(f"pixel size must be a positive number of nanometres, got {self.value_nm} ({self.source})")
        if self.std_nm is not None and not (math.isfinite(self.std_nm) and self.std_nm >= 0):
            raise ValueError(f"uncertainty of a pixel size must not be negative, got {self.std_nm} ({self.source})")

    def to_nm(self, length_px: Lengths) -> Lengths:
        """Length or lengths in pixels, any shape, as nanometres."""
        return length_px * self.value_nm

    def area_to_nm2(self, area_px: Lengths) -> Lengths:
        """Area or areas in pixels, any shape, as square nanometres."""
        return area_px * self.value_nm**2
