"""Read what a file states about its pixel size (texts, numbers, units), and check that the statements agree."""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from semsize.sem.files import SEMReadError
from semsize.sem.reading import TALLEST_SHARE
from semsize.structures.pixel_size import NM_OF_UNIT, PixelSize

AGREEMENT = 0.005  # largest relative difference of two equal statements
_IMPLIED_AGREEMENT = 0.01  # largest relative difference of the width and one computed from rounded lengths
_MOST_UNEQUAL = 2  # largest ratio of a pixel's sides

_NOTHING = ("", "-", "--", "n/a", "none", "null", "unknown", "pixel", "pixels", "px", "reference frame")
_OFF = ("", "off", "no", "false", "none")
_QUANTITY = re.compile(r"([+-]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(.*)")
_MICRO = ("Âµ", "Î¼", "ƒÊ", "¦Ì", "¥ì", "£g", "æ")  # µ in UTF-8, Shift-JIS, GBK, EUC-KR, Big5, DOS, read as cp1252
_ESCAPED_MICRO = re.compile(r"\\u0*(?:b5|3bc)", re.IGNORECASE)
_A_PIXEL = re.compile(r"\s*/\s*(?:pixels?|pix|px)$", re.IGNORECASE)
_BEGINNINGS = {
    **{"pico": "pm", "nano": "nm", "micro": "um", "milli": "mm", "centi": "cm", "met": "m"},
    **{"angstr": "Å", "ångstr": "Å"},
}


@dataclass
class Statements:
    """The statements of one file and the texts beside it; the makers' readers add to them."""

    path: Path  # the image file
    shape: Callable[[], tuple[int, int]]  # gives its (H, W)
    sizes: list[PixelSize] = field(default_factory=list)  # the most trusted first
    notes: list[str] = field(default_factory=list)  # for users: a tilted stage, pixels that are not square
    missing: list[str] = field(default_factory=list)  # makers' texts that belong to the picture and state no size
    unread: list[str] = field(default_factory=list)  # where the file states sizes that are recognised but not read

    def length(self, text: str, where: str, unit: str = "") -> float:
        """Return a stated length in nanometres, 0 if nothing is stated (see `length_or_none`).

        Raises:
            SEMReadError: the text cannot be understood, or is negative or infinite; names the file and `where`.
        """
        value_nm = length_or_none(text, unit)
        if value_nm is None:
            found = _QUANTITY.fullmatch(text.strip())
            said = text.strip() if found is not None and found[2] else f"{text.strip()} {unit}".strip()
            raise self.error(f"{where}: cannot understand {said}; declare the pixel size yourself (--pixel-size)")
        return value_nm

    def error(self, text: str) -> SEMReadError:
        """Make an error that names the file."""
        return SEMReadError(f"{self.path}: {text}")

    def add(self, width_nm: float, height_nm: float, source: str, std_nm: float | None = None) -> None:
        """Add a pixel's stated width and height; a width of 0 adds nothing, a height of 0 counts as not stated.

        If they differ by more than 0.5 %, the pixel size is the edge of the square of the same area, so that equivalent
        circular diameters are right, and a note says so.

        Raises:
            SEMReadError: one side is more than twice the other, which no scan gives, but a mistaken unit does.
        """
        if width_nm == 0:
            return
        height_nm = height_nm or width_nm
        if abs(height_nm - width_nm) <= AGREEMENT * width_nm:
            self.sizes.append(PixelSize(width_nm, std_nm, source))
            return
        said = f"{width_nm:.6g} nm wide and {height_nm:.6g} nm high ({source})"
        if max(width_nm, height_nm) > _MOST_UNEQUAL * min(width_nm, height_nm):
            raise self.error(f"pixels {said} contradict each other; declare the pixel size yourself (--pixel-size)")
        square, across = PixelSize(math.sqrt(width_nm) * math.sqrt(height_nm), std_nm, source), height_nm / width_nm
        self.sizes.append(square)
        self._note(
            f"its pixels are not square, {said}: only with {square.value_nm:.6g} nm a pixel are areas and equivalent "
            "diameters right, and lengths along x and y are off by "
            f"{math.sqrt(across) - 1:+.1%} and {math.sqrt(1 / across) - 1:+.1%}"
        )

    def tilt(self, degrees: float | None, correction: str | None) -> None:
        """Note a stage tilt that makes lengths along y more than 0.5 % too short, unless it is corrected.

        Args:
            degrees: tilt of the stage; None if not stated.
            correction: the stated tilt correction, such as "On", "no" or its angle; None if not stated.
        """
        if degrees is None or not 1 - abs(math.cos(math.radians(degrees))) > AGREEMENT:
            return
        text = (correction or "").strip().lower()
        angle = number_or_none(text)
        if text not in _OFF if angle is None else angle != 0:
            return
        said = "tilt correction is off" if text else "no tilt correction is stated"
        self._note(
            f"the stage was tilted by {abs(degrees):.3g}° and {said}: lengths along y are foreshortened to "
            f"{abs(math.cos(math.radians(degrees))):.3g} of their size (cosine of the tilt)"
        )

    def require_shape(self, source: str, width: int | None, height: int | None = None) -> None:
        """Raise an error if the picture has another size than the one a statement was made for.

        Another width shows that the picture was resized or cropped. Missing rows do not change the scale, and a data
        bar may have added rows, so that only pictures taller than that are refused.

        Raises:
            SEMReadError: the picture has been resized or cropped since.
        """
        rows, columns = self.shape()
        if width and width != columns:
            self._refuse(source, f"{width} px wide", columns)
        if height and rows > height / (1 - TALLEST_SHARE):
            self._refuse(source, f"{height} px high", rows)

    def require_extent(self, source: str, extent_nm: float | None, pixel_nm: float) -> None:
        """Raise an error if the picture's width in pixels does not fit the stated width in nanometres.

        Raises:
            SEMReadError: the picture has been resized or cropped since.
        """
        if not extent_nm or not pixel_nm:
            return
        columns = self.shape()[1]
        if abs(extent_nm / pixel_nm / columns - 1) > _IMPLIED_AGREEMENT:
            self._refuse(source, f"{extent_nm / pixel_nm:.0f} px wide", columns)

    def agreed(self) -> PixelSize | None:
        """Return the most trusted pixel size, None if none is stated.

        Raises:
            SEMReadError: another pixel size differs from it by more than 0.5 % plus √3 times both relative standard
                uncertainties, or the only one is stated in a form that is not read.
        """
        for other in self.sizes[1:]:
            chosen = self.sizes[0]
            allowed = AGREEMENT + math.sqrt(3) * ((chosen.relative_std or 0) + (other.relative_std or 0))
            if abs(other.value_nm - chosen.value_nm) > allowed * chosen.value_nm:
                raise self.error(
                    f"states two pixel sizes, {chosen.value_nm:g} nm ({chosen.source}) and {other.value_nm:g} nm "
                    f"({other.source}); find out which holds and declare it (--pixel-size)"
                )
        if not self.sizes and self.unread:
            raise self.error(f"{self.unread[0]}; give --pixel-size")
        return self.sizes[0] if self.sizes else None

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _refuse(self, source: str, stated: str, found: int) -> None:
        raise self.error(
            f"{source} was written for an image {stated}, but this one has {found}: it has been resized or cropped "
            "since; give its pixel size with --pixel-size"
        )


def decoded(raw: bytes) -> str:
    """Decode a maker's text: UTF-16 or UTF-8, with or without a byte order mark, else Windows-1252.

    Lines end at line feeds, NULs at the end are cut off. The µ of other code pages becomes a spelling in `_MICRO`.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = raw.decode("utf-16", errors="replace")
    elif b"\0" in (raw[1:2], raw[:1]):
        text = raw.decode("utf-16-le" if raw[1:2] == b"\0" else "utf-16-be", errors="replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\0 \n")


def entries(text: str, separators: str = "=") -> dict[str, str]:
    """Read lines "key = value" to a dictionary; the first of equal keys counts, and a value may be empty."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        key, *value = re.split(f"[{separators}]", line, maxsplit=1)
        if value:
            found.setdefault(key.strip(), value[0].strip(" \t\0"))
    return found


def sections(text: str) -> dict[str, dict[str, str]]:
    """Read lines "[section]" and "key=value" to entries by section; "" holds entries before the first section."""
    parts = re.split(r"^\s*\[([^\]\n]*)\]\s*$", text, flags=re.MULTILINE)
    found = {"": entries(parts[0])}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        found[name] = entries(body) | found.get(name, {})
    return found


def nm_of_unit(unit: str) -> float | None:
    """Return the nanometres in a unit of length as microscopes and ImageJ's users spell it; None if unknown.

    As in ImageJ, the beginning of a word suffices. Short forms must be exact or in capitals; words, nm and µm need not.
    """
    plain = with_micro(_A_PIXEL.sub("", unit.strip().strip('"')))
    plain = unicodedata.normalize("NFKC", plain)  # one µ, one Å
    lower = plain.lower()
    short = next((short for beginning, short in _BEGINNINGS.items() if lower.startswith(beginning)), plain)
    if short not in NM_OF_UNIT and (plain.isupper() or lower in ("nm", "um", "μm")):
        short = lower
    return NM_OF_UNIT.get(short)


def with_micro(text: str) -> str:
    """Replace every other spelling of µ: escaped, or in a wrong code page."""
    for spelling in _MICRO:
        text = text.replace(spelling, "µ")
    return _ESCAPED_MICRO.sub("µ", text)


def says_nothing(text: str) -> bool:
    """Return whether an entry is empty, or a word for nothing or for pixels."""
    return text.strip().lower() in _NOTHING


def length_or_none(text: str, unit: str = "") -> float | None:
    """Return the nanometres of a number, with a decimal point or comma, and its unit, or `unit` if it has none.

    Returns:
        0 if nothing is stated; None if the text cannot be understood, or is negative or infinite.
    """
    if says_nothing(text) or says_nothing(unit or "nm"):
        return 0.0
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        return None
    if found[2] and says_nothing(found[2]):
        return 0.0
    value_nm = _number(found[1]) * (nm_of_unit(found[2] or unit) or math.nan)
    return value_nm if 0 <= value_nm < math.inf else None


def number_or_none(text: str) -> float | None:
    """Return the finite number, with a decimal point or comma, that a text begins with; None if there is none."""
    found = _QUANTITY.fullmatch(text.strip())
    value = math.nan if found is None else _number(found[1])
    return value if math.isfinite(value) else None


def two_integers(text: str) -> tuple[int | None, int | None]:
    """Return width and height from "1280 960", "1024 * 768" or "1280x960"; None, None from other texts."""
    found = re.match(r"\s*(\d{1,7})\s*[*xX×, ]\s*(\d{1,7})\b", text)
    return (int(found[1]), int(found[2])) if found else (None, None)


def integer_or_none(text: str | None) -> int | None:
    """Return a whole number of up to seven digits, else None."""
    return int(text) if text is not None and re.fullmatch(r"\d{1,7}", text.strip()) else None


def _number(text: str) -> float:
    """Return a number with a decimal point or comma; NaN for any other text."""
    try:
        return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        return math.nan
