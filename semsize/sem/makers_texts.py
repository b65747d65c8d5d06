"""Read pixel sizes from makers' texts, which stand in tags of an image file or in a file beside it.

Each reader raises SEMReadError if a size cannot be understood or the picture has been resized since. Readers of texts
that may stand beside an image return whether the text is from their maker.
"""

from __future__ import annotations

import math
import re

from semsize.sem.statements import (
    Statements,
    entries,
    integer_or_none,
    length_or_none,
    number_or_none,
    says_nothing,
    sections,
    two_integers,
    with_micro,
)

_IMAGE, _DISPLAY, _BLOCK = "Image Pixel Size", "Pixel Size", "numeric block"
_BLOCK_INDEX = 3  # position of the pixel size, in metres, in the unnamed numbers at the start of Zeiss' text
_BLOCK_LENGTH = 8  # fewest unnamed numbers in this block
_DISPLAY_WIDTH = 1024  # px, of the picture that all Zeiss' sizes but the first hold for
_STORE_WIDTHS = (512, 1024, *range(2048, 40 * 1024, 1024))

_HITACHI_MAGIC = "[SemImageFile]"
_HITACHI_PHOTO_NM = 127e6  # width of the picture that Hitachi's magnification refers to
_HITACHI_MAG = re.compile(r"\bMag(?:nification)?\s*=\s*[x×]?\s*([\d.,]+)\s*(k?)", re.IGNORECASE)
_HITACHI_WIDTH = 1280  # px, of a picture if its text states neither width nor magnification

_JEOL_ENTRY = re.compile(r"\${1,2}([A-Z]\w*)[ \t=]*([^\n$]*)")
_JEOL_TEXT = re.compile(r"^\s*\$CM_\w+", re.MULTILINE)
_JEOL_FIELDS_NM = (120e6, 128e6)  # picture widths that older and newer JEOLs' magnifications refer to
_ROUNDING_PX = 0.01  # of a bar's length, from the digits of the magnification and of the stated field
_JEOL_TWO_LENGTHS = re.compile(r"([\d.,]+)\s*(\D*?)\s+[\d.,]+\s*(\D+)")


def zeiss_text(text: str, source: str, stated: Statements) -> None:
    """Read Zeiss' (LEO's) lines "name = value".

    `Image Pixel Size` holds for the stored image. `Pixel Size` and the fourth number of the unnamed block hold for a
    picture 1024 px wide; they are scaled to images of another store resolution. A size of zero counts as not stated.
    """
    found = entries(text, "=:")
    stated.tilt(number_or_none(found.get("Stage at T", "")), found.get("Tilt Corrn."))
    width, height = two_integers(found.get("Store resolution", ""))
    columns = width or stated.shape()[1]
    factor = _DISPLAY_WIDTH / (columns if width or columns in _STORE_WIDTHS else _DISPLAY_WIDTH)
    sizes = {}
    for name, value, scale, unit in (
        (_IMAGE, found.get(_IMAGE, ""), 1.0, ""),
        (_DISPLAY, found.get(_DISPLAY, ""), factor, ""),
        (_BLOCK, _block_number(text), factor, "m"),
    ):
        sizes[name] = scale * stated.length(value, f"{source}, {name}", unit)
    if not any(sizes.values()):
        return
    if width:
        stated.require_shape(f"{source}, Store resolution", width, height)
    else:
        stated.require_extent(f"{source}, Width", length_or_none(found.get("Width", "")), sizes[_IMAGE])
    for name, value_nm in sizes.items():
        stated.add(value_nm, value_nm, f"{source}, {name}")


def zeiss_rank(source: str) -> int:
    """Return the rank of a statement of Zeiss' two tags, 0 for the most trusted kind."""
    return (_IMAGE, _DISPLAY, _BLOCK).index(source.rpartition(", ")[2])


def _block_number(text: str) -> str:
    """Return the pixel size from the unnamed numbers at the start of the text, "" if there are too few."""
    numbers = []
    for line in text.split("\n"):
        try:
            float(line)
        except ValueError:
            break
        numbers.append(line.strip())
    return numbers[_BLOCK_INDEX] if len(numbers) >= _BLOCK_LENGTH else ""


def fei_text(text: str, source: str, stated: Statements) -> None:
    """Read ThermoFisher's (FEI's) sections: `PixelWidth` and `PixelHeight` of `[Scan]`, in metres, tilts in radians."""
    found = sections(text)
    scan, image = found.get("Scan", {}), found.get("Image", {})
    beam = found.get("Beam", {}).get("Beam", "EBeam")
    if beam == "EBeam":  # stages are tilted to face the ion beam
        column = found.get(beam, {})
        radians = number_or_none(found.get("Stage", {}).get("StageT", column.get("StageTa", "")))
        stated.tilt(None if radians is None else math.degrees(radians), column.get("TiltCorrectionIsOn"))
    source = f"{source}, [Scan] PixelWidth"
    width_nm, height_nm = (stated.length(scan.get(side, ""), source, "m") for side in ("PixelWidth", "PixelHeight"))
    if width_nm == 0:
        return
    columns, rows = (integer_or_none(image.get(name)) for name in ("ResolutionX", "ResolutionY"))
    if columns:
        stated.require_shape(source, columns, rows)
    else:
        stated.require_extent(source, length_or_none(f"{scan.get('HorFieldsize', '')} m"), width_nm)
    stated.add(width_nm, height_nm, source)


def hitachi_text(text: str, source: str, stated: Statements) -> bool:
    """Read Hitachi's entries: `PixelSize` in nanometres, for a picture of the size `DataSize`.

    Without `DataSize` (tag 40092), the picture was 127 mm divided by the magnification wide.
    """
    found = entries(text)
    if not text.lstrip().startswith(_HITACHI_MAGIC) and not {"PixelSize", "SerialNumber"} <= found.keys():
        return False
    value_nm = stated.length(found.get("PixelSize", ""), f"{source}: PixelSize", "nm")
    if value_nm == 0:
        stated.missing.append(f"{source} is Hitachi's and states no pixel size (PixelSize is missing or empty)")
        return True
    width, height = two_integers(found.get("DataSize", ""))
    magnified = _HITACHI_MAG.search(text)
    magnification = None if magnified is None else number_or_none(magnified[1])
    if not width and magnification:
        magnification *= 1000 if magnified[2] else 1
        stated.require_extent(source, _HITACHI_PHOTO_NM / magnification, value_nm)
    else:
        stated.require_shape(source, width or _HITACHI_WIDTH, height)
    stated.add(value_nm, value_nm, f"Hitachi {source}, PixelSize")
    return True


def tescan_text(text: str, source: str, stated: Statements) -> bool:
    """Read TESCAN's sections: `PixelSizeX` and `PixelSizeY` of `[MAIN]`, in metres; they state no picture width."""
    found = sections(text)
    if "MAIN" not in found:
        return False
    main = found["MAIN"]
    entry = {**found.get("SEM", {}), **main}
    stated.tilt(number_or_none(entry.get("StageTilt", "")), entry.get("TiltCorrection"))
    names = ("PixelSizeX", "PixelSizeY")
    width_nm, height_nm = (stated.length(main.get(name, ""), f"{source}: {name}", "m") for name in names)
    if width_nm == 0:
        stated.missing.append(f"{source} is TESCAN's and states no pixel size (no PixelSizeX)")
    stated.add(width_nm, height_nm, f"TESCAN {source}, PixelSizeX")
    return True


def jeol_text(text: str, source: str, stated: Statements) -> bool:
    """Read JEOL's entries $NAME: the pixel size or the field of view, else the scale bar and its length in pixels."""
    if not _JEOL_TEXT.search(text) and "$SM_MICRON_BAR" not in text:
        return False
    found: dict[str, str] = {}
    for key, value in _JEOL_ENTRY.findall(text):
        found.setdefault(key, value.strip(" \t\0"))
    stated.tilt(_jeol_tilt(found), None)
    sizes = (found.get(name, "") for name in ("CM_IMAGE_SIZE", "CM_FULL_SIZE"))
    width, height = two_integers(next((size for size in sizes if not says_nothing(size)), ""))
    pixel_nm = stated.length(found.get("CM_PIXEL_SIZE", ""), f"{source}: $CM_PIXEL_SIZE")
    field = found.get("CM_FIELD_OF_VIEW", "")
    if two := _JEOL_TWO_LENGTHS.fullmatch(field):  # "2.56 1.92μm": the unit after the second number or after both
        field = f"{two[1]} {two[2] or two[3]}"
    field_nm = stated.length(field, f"{source}: $CM_FIELD_OF_VIEW")
    if not pixel_nm and not field_nm and says_nothing(found.get("SM_MICRON_BAR", "")):
        names = "$CM_PIXEL_SIZE, $CM_FIELD_OF_VIEW or $$SM_MICRON_BAR"
        stated.missing.append(f"{source} is JEOL's and states no pixel size (no {names})")
        return True
    stated.require_shape(source, width, height)
    if pixel_nm:
        stated.require_extent(source, field_nm, pixel_nm)
        stated.add(pixel_nm, pixel_nm, f"JEOL {source}, $CM_PIXEL_SIZE")
    elif field_nm:
        pixel_nm = field_nm / (width or stated.shape()[1])
        stated.add(pixel_nm, pixel_nm, f"JEOL {source}, $CM_FIELD_OF_VIEW")
    else:
        _jeol_bar(found, width, source, stated)
    return True


def _jeol_bar(found: dict[str, str], width: int | None, source: str, stated: Statements) -> None:
    """Read the pixel size as the scale bar's length divided by its pixels.

    JEOL cuts the bar's length off to whole pixels, by up to one pixel. If the magnification gives a bar that this
    explains, the pixel size is that of the magnification. Else half a pixel is added to the bar, which leaves a
    standard uncertainty of 1/√12 px.
    """
    bar, marker = found["SM_MICRON_BAR"], with_micro(found.get("SM_MICRON_MARKER", ""))
    pixels, length = number_or_none(bar), stated.length(marker, f"{source}: $$SM_MICRON_MARKER")
    if not pixels or not length or not re.fullmatch(r"\d+(?:[.,]\d*)?", bar):
        raise stated.error(
            f"{source}: cannot understand a scale bar of {marker or 'no stated length'} in {bar} px; "
            "declare the pixel size yourself (--pixel-size)"
        )
    said = f"JEOL {source}, scale bar of {marker} in {bar} px"
    if not bar.isdecimal():
        stated.add(length / pixels, length / pixels, said)
        return
    own_field = number_or_none(found.get("SM_STANDARD_FIELD_SIZE", ""))
    magnification = number_or_none(found.get("CM_MAG", ""))
    fields = (own_field * 1e6,) if own_field else _JEOL_FIELDS_NM
    exact = [field / magnification / width for field in fields] if magnification and width else []
    fitting = [value for value in exact if pixels <= length / value <= pixels + 1 + _ROUNDING_PX]
    if len(fitting) == 1:
        stated.add(fitting[0], fitting[0], f"{said}, cut off, and magnification {found['CM_MAG']}")
    else:
        value = length / (pixels + 0.5)
        stated.add(value, value, f"{said}, cut off", value / math.sqrt(12) / (pixels + 0.5))


def _jeol_tilt(found: dict[str, str]) -> float | None:
    """Read the tilt, in degrees, from "X=37.1, …, Z=16.90, T=0.00", or as the fifth of older files' six numbers."""
    named = re.search(r"\bT\s*=\s*(-?[\d.]+)", found.get("CM_STAGE_POSITION", ""))
    numbers = found.get("CM_STAGE_POS", "").split()
    text = named[1] if named else numbers[4] if len(numbers) >= 5 else ""
    return number_or_none(text)
