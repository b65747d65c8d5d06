"""Pixel sizes in TIFFs that image programs write: ImageJ's description with its resolution, and OME-XML."""

from __future__ import annotations

from xml.etree import ElementTree

import tifffile

from semsize.sem.files import SEMReadError
from semsize.sem.statements import Statements, entries, integer_or_none, length_nm, nm_of_unit, says_nothing

_PRINTED = ("inch", "inches", "in", "cm", "centimeter", "centimeters", "centimetre", "centimetres")
_OME_DEFAULT_UNIT = "µm"


def imagej_statements(tiff: tifffile.TiffFile, stated: Statements) -> None:
    """ImageJ's pixel size: `unit` of the description, pixels per unit in XResolution and YResolution.

    The resolution of a TIFF without ImageJ's description, and ImageJ's own units of printing (inch, cm), count for
    nothing: they are some program's dots per inch.

    Raises:
        SEMReadError: the unit is unknown.
    """
    page = tiff.pages.first
    if not page.description.startswith("ImageJ="):
        return
    found = entries(page.description)
    unit = found.get("unit", "")
    if says_nothing(unit) or unit.lower() in _PRINTED:
        return
    units = [unit, found.get("yunit") or unit]
    lengths = [nm_of_unit(name) for name in units]
    for name, length in zip(units, lengths, strict=True):
        if length is None:
            raise SEMReadError(
                f"{stated.path}: ImageJ's unit {name} is not understood; declare the pixel size yourself (--pixel-size)"
            )
    sides = (_unit_a_pixel(page, name) for name in ("XResolution", "YResolution"))
    width, height = (side * length for side, length in zip(sides, lengths, strict=True))
    stated.add(width, height, f"ImageJ, unit {unit} and resolution")


def ome_statements(tiff: tifffile.TiffFile, stated: Statements) -> None:
    """PhysicalSizeX and PhysicalSizeY of the first image of an OME-XML description, µm where it names no unit.

    Raises:
        SEMReadError: it is no XML, a statement cannot be understood, or the picture has been resized since.
    """
    if tiff.ome_metadata is None:
        return
    try:
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
    except ElementTree.ParseError as cause:
        raise SEMReadError(f"{stated.path}: its OME-XML cannot be read ({cause}); export it again") from None
    if pixels is None:
        return
    source = "OME-XML PhysicalSizeX"
    width_nm, height_nm = (
        length_nm(
            pixels.get(f"PhysicalSize{axis}", ""),
            f"{stated.path}: OME-XML PhysicalSize{axis}",
            pixels.get(f"PhysicalSize{axis}Unit", _OME_DEFAULT_UNIT),
        )
        for axis in "XY"
    )
    if width_nm:
        stated.require_shape("OME-XML", *(integer_or_none(pixels.get(f"Size{axis}")) for axis in "XY"))
    stated.add(width_nm, height_nm, source)


def _unit_a_pixel(page: tifffile.TiffPage, name: str) -> float:
    """Length of a pixel from pixels per unit; 0 where there is none."""
    numerator, denominator = page.tags[name].value if name in page.tags else (0, 1)
    return denominator / numerator if numerator else 0.0
