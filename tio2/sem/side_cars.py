"""Pixel sizes in the text files that Hitachi and JEOL instruments write beside an image of the same name."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from tio2.sem.files import SEMReadError, read_bytes
from tio2.sem.reading import read_grey
from tio2.sem.statements import square_pixel, stated_nm
from tio2.structures.pixel_size import PixelSize

_LARGEST_BYTES = 1 << 20
_HITACHI_MAGIC = "[SemImageFile]"
_HITACHI_SIZE = re.compile(r"^PixelSize\s*=\s*(\S+)\s*$", re.MULTILINE)
_HITACHI_EXTENT = re.compile(r"^DataSize\s*=\s*(\d+)\s*x\s*\d+\s*$", re.MULTILINE)
_JEOL_BAR = re.compile(r"^\$\$SM_MICRON_BAR\s+(\S+)\s*$", re.MULTILINE)
_JEOL_LENGTH = re.compile(r"^\$\$SM_MICRON_MARKER\s+([\d.]+)\s*(\S+)\s*$", re.MULTILINE)
_JEOL_EXTENT = re.compile(r"^\$CM_FULL_SIZE\s+(\d+)\s+\d+\s*$", re.MULTILINE)
_NOT_FULL_SIZE = "was written for an image {stated} px wide, but this one has {width}; declare the pixel size yourself"


def side_car_statements(path: str | Path) -> list[PixelSize]:
    """What the .txt file beside an image says, if it is Hitachi's or JEOL's; any other text file counts for nothing.

    Hitachi states nanometres a pixel. JEOL states the length of its scale bar and how many whole pixels it takes, so
    that the quotient is uncertain by half a pixel of the bar.

    Raises:
        SEMReadError: it cannot be read or understood, or the image has been resized since.
    """
    side_car = next((p for p in (Path(path).with_suffix(end) for end in (".txt", ".TXT")) if p.is_file()), None)
    if side_car is None or side_car == Path(path):
        return []
    text = _decoded(read_bytes(side_car, _LARGEST_BYTES) if side_car.stat().st_size else b"")
    if text.startswith(_HITACHI_MAGIC):
        return _hitachi(text, side_car, path)
    return _jeol(text, side_car, path) if _JEOL_BAR.search(text) else []


def _hitachi(text: str, side_car: Path, path: str | Path) -> list[PixelSize]:
    stated = _HITACHI_SIZE.search(text)
    if stated is None:
        return []
    _require_full_size(_HITACHI_EXTENT.search(text), side_car, path)
    value_nm = stated_nm(stated[1], "nm", f"{side_car}: PixelSize")
    return square_pixel(value_nm, value_nm, f"Hitachi {side_car.name}, PixelSize", path)


def _jeol(text: str, side_car: Path, path: str | Path) -> list[PixelSize]:
    bar, length = _JEOL_BAR.search(text)[1], _JEOL_LENGTH.search(text)
    if not bar.isdecimal() or int(bar) == 0 or length is None:
        raise SEMReadError(f"{side_car}: its $$SM_MICRON_BAR cannot be understood; declare the pixel size yourself")
    _require_full_size(_JEOL_EXTENT.search(text), side_car, path)
    value_nm = stated_nm(*length.groups(), f"{side_car}: $$SM_MICRON_MARKER") / int(bar)
    source = f"JEOL {side_car.name}, scale bar of {length[1]} {length[2]} in {bar} px"
    return square_pixel(value_nm, value_nm, source, path)


def _require_full_size(extent: re.Match | None, side_car: Path, path: str | Path) -> None:
    """Refuse a side-car that states another width of the image than the image has."""
    if extent is not None:
        width = read_grey(path, intensity_range=(0, 1)).shape[1]
        if int(extent[1]) != width:
            raise SEMReadError(f"{path}: {side_car.name} {_NOT_FULL_SIZE.format(stated=extent[1], width=width)}")


def _decoded(raw: bytes) -> str:
    """Text of a side-car: UTF-16 or UTF-8 with its mark, plain UTF-8, or else Windows-1252."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = raw.decode("utf-16", errors="replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n")
