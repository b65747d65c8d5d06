"""Pixel sizes that microscopes' makers write into private TIFF tags: Zeiss (LEO) and ThermoFisher (FEI, Philips)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import tifffile

from tio2.sem.files import SEMReadError
from tio2.sem.statements import square_pixel, stated_nm
from tio2.structures.pixel_size import PixelSize

_ZEISS_TAGS = (34118, 34119)  # the same text twice: Windows-1252 and UTF-16
_IMAGE, _DISPLAY, _BLOCK = "Image Pixel Size", "Pixel Size", "numeric block"
_ZEISS_ORDER = (_IMAGE, _DISPLAY, _BLOCK)
_ZEISS_LINE = re.compile(rf"^\s*({_IMAGE}|{_DISPLAY})\s*[=:]\s*(\S+)\s+(\S+)\s*$", re.MULTILINE)
_ZEISS_STORED = re.compile(r"^\s*Store resolution\s*[=:]\s*(\d+)\s*\*\s*\d+\s*$", re.MULTILINE)
_BLOCK_PLACE = 3  # of the pixel size, in metres, in the unnamed numbers that begin the text
_BLOCK_LENGTH = 8  # at least
_DISPLAY_WIDTH = 1024
_STORE_WIDTHS = (512, 1024, *range(2048, 40 * 1024, 1024))

_FEI_TAGS = {34680: "SFEG", 34682: "Helios"}
_FEI_SECTION = re.compile(r"^\s*\[Scan\]\s*$(.*?)(?=^\s*\[|\Z)", re.MULTILINE | re.DOTALL)
_FEI_LINE = re.compile(r"^\s*(PixelWidth|PixelHeight)\s*=\s*(\S+)\s*$", re.MULTILINE)


def zeiss_statements(tiff: tifffile.TiffFile, path: str | Path) -> list[PixelSize]:
    """Every pixel size in Zeiss' tags 34118 and 34119, in order of preference.

    `Image Pixel Size` is that of the stored image. `Pixel Size` and the fourth number of the unnamed block hold for a
    picture 1024 px wide; for images of another store resolution they are scaled to it. A statement of zero is none.

    Raises:
        SEMReadError: a named statement cannot be understood.
    """
    statements = []
    for code in _ZEISS_TAGS:
        text = _tag_text(tiff, code)
        factor = _DISPLAY_WIDTH / _store_width(text, tiff.pages.first.imagewidth)
        for name, number, unit in [*_ZEISS_LINE.findall(text), *_block_statement(text)]:
            source = f"Zeiss tag {code}, {name}"
            value_nm = stated_nm(number, unit, f"{path}: {source}") * (1 if name == _IMAGE else factor)
            statements += square_pixel(value_nm, value_nm, source, path)
    return sorted(statements, key=lambda size: _ZEISS_ORDER.index(size.source.rpartition(", ")[2]))


def fei_statements(tiff: tifffile.TiffFile, path: str | Path) -> list[PixelSize]:
    """The pixel size in tags 34680 and 34682: `PixelWidth` and `PixelHeight` of section `[Scan]`, in metres.

    Raises:
        SEMReadError: a number cannot be understood, or the pixels are not square.
    """
    statements = []
    for code, name in _FEI_TAGS.items():
        section = _FEI_SECTION.search(_tag_text(tiff, code))
        stated = dict(_FEI_LINE.findall(section[1])) if section else {}
        source = f"FEI tag {code} ({name}), [Scan] PixelWidth"
        sides = {side: stated_nm(number, "m", f"{path}: {source}") for side, number in stated.items()}
        if "PixelWidth" in sides:
            width_nm = sides["PixelWidth"]
            statements += square_pixel(width_nm, sides.get("PixelHeight", width_nm), source, path)
    return statements


def _store_width(text: str, image_width: int) -> int:
    """Width that the unscaled statements' picture has in the stored image: 1024 where nothing else is known."""
    stated = _ZEISS_STORED.search(text)
    if stated is not None and int(stated[1]) > 0:
        return int(stated[1])
    return image_width if image_width in _STORE_WIDTHS else _DISPLAY_WIDTH


def _block_statement(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, number and unit from the unnamed numbers that begin the text, if there are enough."""
    numbers = []
    for line in text.splitlines():
        try:
            float(line)
        except ValueError:
            break
        numbers.append(line.strip())
    if len(numbers) >= _BLOCK_LENGTH:
        yield _BLOCK, numbers[_BLOCK_PLACE], "m"


def _tag_text(tiff: tifffile.TiffFile, code: int) -> str:
    """Text of a tag as stored, "" where there is none; tifffile would take Zeiss' UTF-16 one for ASCII."""
    tag = tiff.pages.first.tags.get(code)
    if tag is None:
        return ""
    tiff.filehandle.seek(tag.valueoffset)
    raw = tiff.filehandle.read(tag.valuebytecount)
    if len(raw) != tag.valuebytecount:
        raise SEMReadError(f"{tiff.filehandle.path}: tag {code} is cut off; copy the file again from its source")
    text = raw.decode("utf-16-le" if raw[1:2] == b"\0" else "cp1252", errors="replace")
    return text.replace("\r\n", "\n").rstrip("\0")
