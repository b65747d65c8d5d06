"""The size of a pixel; only this module converts pixels to nanometres."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np

Lengths = TypeVar("Lengths", float, np.ndarray)

NM_OF_UNIT = {"fm": 1e-6, "pm": 1e-3, "Å": 0.1, "A": 0.1, "nm": 1.0, "µm": 1e3, "μm": 1e3, "um": 1e3}
NM_OF_UNIT |= {"mm": 1e6, "cm": 1e7, "m": 1e9}
"""Nanometres in each unit of length that microscopes write; µ in both code points, the ångström also as A."""

_STATED = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S+)")
_TYPED_UNITS = ("pm", "nm", "um", "µm", "μm", "mm")


@dataclass(frozen=True)
class PixelSize:
    """Edge of one square pixel.

    >>> size = PixelSize(2.0, std_nm=0.04)
    >>> size.to_nm(10), size.area_to_nm2(10), size.relative_std
    (20.0, 40.0, 0.02)
    """

    value_nm: float  # nanometres per pixel, positive
    std_nm: float | None = None  # standard uncertainty; None if unknown, which is not zero
    source: str = "declared"  # where the value came from, in words: a tag of the file, a command line, a scene

    def __post_init__(self):
        if not (math.isfinite(self.value_nm) and self.value_nm > 0):
            raise ValueError(f"pixel size must be a positive number of nanometres, got {self.value_nm} ({self.source})")
        if self.std_nm is not None and not (math.isfinite(self.std_nm) and self.std_nm >= 0):
            raise ValueError(f"uncertainty of a pixel size must not be negative, got {self.std_nm} ({self.source})")

    @classmethod
    def parse(cls, text: str, source: str = "declared") -> Self:
        """Read a pixel size from a number and a unit, such as `7.344nm`, `0.0073 um` or `734 pm`.

        Raises:
            ValueError: the unit is missing or unknown, or the number is not positive; one line.

        >>> PixelSize.parse("734 pm").value_nm
        0.734
        """
        return cls(_typed(text, NM_OF_UNIT, _TYPED_UNITS, "pixel size", "7.344nm"), source=source)

    @property
    def relative_std(self) -> float | None:
        """Standard uncertainty divided by the value; None if unknown."""
        return None if self.std_nm is None else self.std_nm / self.value_nm

    def calibrated(self, factor: float = 1.0, relative_std: float | None = None) -> Self:
        """Return the pixel size after a calibration against a reference of known length.

        Args:
            factor: true length divided by the length that the microscope states, positive.
            relative_std: relative standard uncertainty of the factor, 0 or more, added in quadrature to this pixel
                size's own; None if the calibration states none.

        Raises:
            ValueError: the factor is not positive.
        """
        stated = [part for part in (self.relative_std, relative_std) if part is not None]
        value_nm = self.value_nm * factor
        std_nm = value_nm * math.hypot(*stated) if stated else None
        source = self.source if factor == 1 else f"{self.source}, times calibration factor {factor:.10g}"
        return PixelSize(value_nm, std_nm, source)

    def to_nm(self, length_px: Lengths) -> Lengths:
        """Convert lengths in pixels, a number or an array, to nanometres."""
        return length_px * self.value_nm

    def area_to_nm2(self, area_px: Lengths) -> Lengths:
        """Convert areas in pixels, a number or an array, to square nanometres."""
        return area_px * self.value_nm**2


def pixels_across(text: str, pixel_size: PixelSize | None) -> float:
    """Read a diameter such as `25px` or `40nm` and return it in pixels; nanometres need the pixel size.

    Raises:
        ValueError: the unit is missing or unknown, the number not positive, or the pixel size missing; one line.

    >>> pixels_across("40 nm", PixelSize(2.0))
    20.0
    """
    if text.strip().endswith("px"):
        return _typed(text, {"px": 1.0}, ("px",), "diameter", "25px")
    length_nm = _typed(text, NM_OF_UNIT, _TYPED_UNITS, "diameter", "40nm or 25px")
    if pixel_size is None:
        raise ValueError(f"{text} is a length, and the pixel size is not known; give it in px")
    return length_nm / pixel_size.value_nm


def _typed(text: str, units: Mapping[str, float], allowed: Sequence[str], what: str, example: str) -> float:
    """Read a number with a unit that a person typed; return it in the unit whose factor is 1."""
    found = _STATED.fullmatch(text.strip())
    if found is None or found[2] not in allowed:
        raise ValueError(f"{what} {text!r} is no number with a unit ({', '.join(allowed)}); write it as {example}")
    value = float(found[1]) * units[found[2]]
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{what} {text!r} is not above zero; write it as {example}")
    return value
