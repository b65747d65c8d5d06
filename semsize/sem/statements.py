"""What a file states about its pixels: how texts, numbers and units are understood, and what must agree."""

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

AGREEMENT = 0.005  # relative difference up to which two statements count as equal
_IMPLIED_AGREEMENT = 0.01  # of the file's width with one computed from printed, rounded lengths
_MOST_UNEQUAL = 2  # how much longer one side of a pixel may be

_NOTHING = ("", "-", "--", "n/a", "none", "null", "unknown", "pixel", "pixels", "px", "reference frame")
_OFF = ("", "off", "no", "false", "none")
_QUANTITY = re.compile(r"([+-]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(.*)")
_MICRO = ("Âµ", "Î¼", "ƒÊ", "¦Ì", "¥ì", "£g", "æ")  # µ in UTF-8, Shift-JIS, GBK, EUC-KR, Big5, DOS, taken for cp1252
_ESCAPED_MICRO = re.compile(r"\\u0*(?:b5|3bc)", re.IGNORECASE)
_A_PIXEL = re.compile(r"\s*/\s*(?:pixels?|pix|px)$", re.IGNORECASE)
_BEGINNINGS = {
    **{"pico": "pm", "nano": "nm", "micro": "um", "milli": "mm", "centi": "cm", "met": "m"},
    **{"angstr": "Å", "ångstr": "Å"},
}


@dataclass
class Statements:
    """What one file and the texts beside it state, filled by the readers."""

    path: Path  # the image file
    shape: Callable[[], tuple[int, int]]  # gives its (H, W)
    sizes: list[PixelSize] = field(default_factory=list)  # the preferred first
    notes: list[str] = field(default_factory=list)  # for users: a tilted stage, pixels that are not square
    missing: list[str] = field(default_factory=list)  # makers' texts that belong to the picture and state no size
    unread: list[str] = field(default_factory=list)  # where a size stands that is recognised and not read

    def length(self, text: str, where: str, unit: str = "") -> float:
        """Nanometres of a length that the file states, 0 where nothing is stated; see `length_or_none`.

        Raises:
            SEMReadError: it cannot be understood, or is negative or infinite; names the file and `where` in it.
        """
        value_nm = length_or_none(text, unit)
        if value_nm is None:
            found = _QUANTITY.fullmatch(text.strip())
            said = text.strip() if found is not None and found[2] else f"{text.strip()} {unit}".strip()
            raise self.error(f"{where}: cannot understand {said}; declare the pixel size yourself (--pixel-size)")
        return value_nm

    def error(self, text: str) -> SEMReadError:
        """An error that names the file."""
        return SEMReadError(f"{self.path}: {text}")

    def add(self, width_nm: float, height_nm: float, source: str, std_nm: float | None = None) -> None:
        """A pixel's width and height; none where the width is 0, a height of 0 counts as not stated.

        Pixels that differ by more than 0.5 % count with the edge of the square of the same area, so that equivalent
        circular diameters are right, and with a note.

        Raises:
            SEMReadError: one side is more than twice the other, which two units would explain and no scan.
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
            f"its pixels are not square, {said}: with {square.value_nm:.6g} nm a pixel, and no other value, areas and "
            "equivalent diameters hold, and lengths along x and y are off by "
            f"{math.sqrt(across) - 1:+.1%} and {math.sqrt(1 / across) - 1:+.1%}"
        )

    def tilt(self, degrees: float | None, correction: str | None) -> None:
        """A note of a stage that was tilted so far that lengths along y are more than 0.5 % too short.

        Args:
            degrees: of the stage; None where not stated.
            correction: what the file says of a tilt correction, such as "On", "no" or its angle; None: nothing.
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
        """Refuse a picture that has another size than the one a statement was made for.

        The width tells a picture that was resized. Rows may be missing, cut off with the data bar or without it, which
        leaves the scale; and a data bar may have added some, so that only still taller pictures are refused.

        Raises:
            SEMReadError: the picture has been resized or cropped since.
        """
        rows, columns = self.shape()
        if width and width != columns:
            self._refuse(source, f"{width} px wide", columns)
        if height and rows > height / (1 - TALLEST_SHARE):
            self._refuse(source, f"{height} px high", rows)

    def require_extent(self, source: str, extent_nm: float | None, pixel_nm: float) -> None:
        """Refuse a picture whose width does not go with the length that it is said to show.

        Raises:
            SEMReadError: the picture has been resized or cropped since.
        """
        if not extent_nm or not pixel_nm:
            return
        columns = self.shape()[1]
        if abs(extent_nm / pixel_nm / columns - 1) > _IMPLIED_AGREEMENT:
            self._refuse(source, f"{extent_nm / pixel_nm:.0f} px wide", columns)

    def agreed(self) -> PixelSize | None:
        """The first of the pixel sizes, None where there is none.

        Raises:
            SEMReadError: another one differs from it by more than 0.5 % and what their uncertainties allow, or a size
                is stated only where it is not read.
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
    """A maker's text: UTF-16 and UTF-8 with or without a mark, else Windows-1252; ends at NULs, lines at a line feed.

    Text of another code page has its µ in a spelling that `nm_of_unit` knows.
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
    """Key to value of the lines "key = value", the first of each key; empty where nothing follows the separator."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        key, *value = re.split(f"[{separators}]", line, maxsplit=1)
        if value:
            found.setdefault(key.strip(), value[0].strip(" \t\0"))
    return found


def sections(text: str) -> dict[str, dict[str, str]]:
    """Section to its entries, of lines "[section]" and "key=value"; "" holds those before the first section."""
    parts = re.split(r"^\s*\[([^\]\n]*)\]\s*$", text, flags=re.MULTILINE)
    found = {"": entries(parts[0])}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        found[name] = entries(body) | found.get(name, {})
    return found


def nm_of_unit(unit: str) -> float | None:
    """Nanometres of a unit of length in the spellings that microscopes and ImageJ's users write; None: not understood.

    As ImageJ does, words are told by their beginning in any case. Short forms are told exactly, or in capitals.
    """
    plain = with_micro(_A_PIXEL.sub("", unit.strip().strip('"')))
    plain = unicodedata.normalize("NFKC", plain)  # one µ, one Å
    lower = plain.lower()
    short = next((short for beginning, short in _BEGINNINGS.items() if lower.startswith(beginning)), plain)
    if short not in NM_OF_UNIT and (plain.isupper() or lower in ("nm", "um", "μm")):
        short = lower
    return NM_OF_UNIT.get(short)


def with_micro(text: str) -> str:
    """The text with every other spelling of µ made one: escaped, or of a code page taken for another."""
    for spelling in _MICRO:
        text = text.replace(spelling, "µ")
    return _ESCAPED_MICRO.sub("µ", text)


def says_nothing(text: str) -> bool:
    """Whether an entry is empty, or a word for nothing or for pixels."""
    return text.strip().lower() in _NOTHING


def length_or_none(text: str, unit: str = "") -> float | None:
    """Nanometres of a number, with a decimal point or comma, and its unit, or `unit` where it has none.

    Returns:
        0 where nothing is stated; None where it cannot be understood, is negative or infinite.
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
    """A finite number, with a decimal point or comma, whatever follows it; None where the text begins with none."""
    found = _QUANTITY.fullmatch(text.strip())
    value = math.nan if found is None else _number(found[1])
    return value if math.isfinite(value) else None


def two_integers(text: str) -> tuple[int | None, int | None]:
    """Width and height from "1280 960", "1024 * 768" or "1280x960"; None, None where it is nothing like it."""
    found = re.match(r"\s*(\d{1,7})\s*[*xX×, ]\s*(\d{1,7})\b", text)
    return (int(found[1]), int(found[2])) if found else (None, None)


def integer_or_none(text: str | None) -> int | None:
    """A whole number of up to seven digits, else None."""
    return int(text) if text is not None and re.fullmatch(r"\d{1,7}", text.strip()) else None


def _number(text: str) -> float:
    """A number with a decimal point or comma; NaN for anything else."""
    try:
        return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        return math.nan
