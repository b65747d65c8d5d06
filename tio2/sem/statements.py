"""What a file states about its pixels, made into `PixelSize`s; shared by the readers of makers' tags and side-cars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from tio2.sem.files import SEMReadError
from tio2.structures.pixel_size import NM_OF_UNIT, PixelSize

AGREEMENT = 0.005  # relative difference up to which two statements count as equal


def stated_nm(number: str, unit: str, where: str) -> float:
    """Nanometres of a number and its unit as a file has them, 0 included, which counts as no statement.

    Raises:
        SEMReadError: one of them cannot be understood, or the number is negative or infinite; `where` begins the line.
    """
    try:
        value_nm = float(number) * NM_OF_UNIT[unit]
    except (ValueError, KeyError):
        value_nm = math.nan
    if not 0 <= value_nm < math.inf:
        raise SEMReadError(f"{where}: cannot understand {number} {unit}; declare the pixel size yourself")
    return value_nm


def square_pixel(width_nm: float, height_nm: float, source: str, path: str | Path) -> list[PixelSize]:
    """The pixel size of a statement for both directions; none where the width is 0.

    Raises:
        SEMReadError: the two differ by more than 0.5 %.
    """
    if width_nm == 0:
        return []
    if abs(height_nm - width_nm) > AGREEMENT * width_nm:
        raise SEMReadError(
            f"{path}: its pixels are not square, {width_nm:g} nm wide and {height_nm:g} nm high ({source}); "
            "export it with square pixels"
        )
    return [PixelSize(width_nm, source=source)]


def agreed(statements: Sequence[PixelSize], path: str | Path) -> PixelSize | None:
    """The first of several statements, None where there is none.

    Raises:
        SEMReadError: another one differs from it by more than 0.5 %.
    """
    for other in statements[1:]:
        chosen = statements[0]
        if abs(other.value_nm - chosen.value_nm) > AGREEMENT * chosen.value_nm:
            raise SEMReadError(
                f"{path}: states two pixel sizes, {chosen.value_nm:g} nm ({chosen.source}) and {other.value_nm:g} nm "
                f"({other.source}); find out which holds and declare it"
            )
    return statements[0] if statements else None
