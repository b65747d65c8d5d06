"""The pixel size that the microscope's maker wrote into the file."""

import re
from pathlib import Path

import tifffile

from tio2.sem.files import SEMReadError, is_tiff, open_tiff, read_bytes
from tio2.structures.pixel_size import PixelSize

AGREEMENT = 0.005  # relative difference up to which two statements of one file count as equal

_ZEISS_TAGS = (34118, 34119)  # the same text twice: Windows-1252 and UTF-16
_ZEISS_NAMES = ("Image Pixel Size", "Pixel Size")
_ZEISS_LINE = re.compile(r"^\s*(Image Pixel Size|Pixel Size)\s*[=:]\s*(\S+)\s+(\S+)\s*$", re.MULTILINE)
_NM_OF_UNIT = {"fm": 1e-6, "pm": 1e-3, "nm": 1.0, "µm": 1e3, "μm": 1e3, "um": 1e3, "mm": 1e6, "m": 1e9}


def read_pixel_size(path: str | Path) -> PixelSize | None:
    """Pixel size stated in an SEM file's own tags; now Zeiss' 34118 and 34119.

    `Image Pixel Size` is taken before `Pixel Size`, the first tag before the second; a statement of zero counts as
    none. The value carries no uncertainty, as the tags state none.

    Returns:
        The pixel size, its `source` naming tag and entry; None where the file states none or is no TIFF.

    Raises:
        SEMReadError: the file cannot be read, a statement cannot be understood, or two differ by more than 0.5 %.
    """
    if not is_tiff(read_bytes(path, 4)):
        return None
    statements = _zeiss_statements(path)
    if not statements:
        return None
    chosen = statements[0]
    for other in statements[1:]:
        if abs(other.value_nm - chosen.value_nm) > AGREEMENT * chosen.value_nm:
            raise SEMReadError(
                f"{path}: states two pixel sizes, {chosen.value_nm:g} nm ({chosen.source}) and {other.value_nm:g} nm "
                f"({other.source}); find out which holds and declare it"
            )
    return chosen


def _zeiss_statements(path: str | Path) -> list[PixelSize]:
    """Every pixel size that the Zeiss tags state, in order of preference."""
    statements = []
    with open_tiff(path) as tiff:
        for code in _ZEISS_TAGS:
            for name, number, unit in _ZEISS_LINE.findall(_tag_text(tiff, code)):
                source = f"Zeiss tag {code}, {name}"
                value_nm = _to_nm(number, unit, f"{path}: {source}")
                if value_nm > 0:
                    statements.append(PixelSize(value_nm, source=source))
    return sorted(statements, key=lambda size: _ZEISS_NAMES.index(size.source.rpartition(", ")[2]))


def _tag_text(tiff: tifffile.TiffFile, code: int) -> str:
    """Text of a tag as stored; tifffile would take the UTF-16 one for ASCII."""
    tag = tiff.pages.first.tags.get(code)
    if tag is None:
        return ""
    tiff.filehandle.seek(tag.valueoffset)
    raw = tiff.filehandle.read(tag.valuebytecount)
    return raw.decode("utf-16-le" if raw[1:2] == b"\0" else "cp1252", errors="replace").replace("\r\n", "\n")


def _to_nm(number: str, unit: str, where: str) -> float:
    try:
        return float(number) * _NM_OF_UNIT[unit]
    except (ValueError, KeyError):
        raise SEMReadError(f"{where}: cannot understand {number} {unit}; declare the pixel size yourself") from None
