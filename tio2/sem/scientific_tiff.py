"""Pixel sizes in TIFFs that image programs write: ImageJ's description with its resolution, and OME-XML."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from tio2.sem.files import SEMReadError
from tio2.sem.statements import square_pixel, stated_nm
from tio2.structures.pixel_size import NM_OF_UNIT, PixelSize

_IMAGEJ_UNIT = re.compile(r"^unit=(.*)$", re.MULTILINE)
_SPELT_OUT = dict.fromkeys(("micron", "microns", "micrometer", "micrometre", r"\u00B5m"), "um")
_SPELT_OUT |= dict.fromkeys(("nanometer", "nanometre", "nanometers", "nanometres"), "nm")
_NO_CALIBRATION = ("", "pixel", "pixels", "inch", "inches", "in", "cm")  # the last: a printer's dpi, handed on
_OME_DEFAULT_UNIT = "µm"


def imagej_statements(tiff: tifffile.TiffFile, path: str | Path) -> list[PixelSize]:
    """ImageJ's pixel size: `unit` of the description, pixels per unit in XResolution and YResolution.

    The resolution of a TIFF without ImageJ's description, and ImageJ's own units of printing (inch, cm), count for
    nothing: they are some program's dots per inch.

    Raises:
        SEMReadError: the unit is unknown, or the pixels are not square.
    """
    page = tiff.pages.first
    if not page.description.startswith("ImageJ="):
        return []
    found = _IMAGEJ_UNIT.search(page.description)
    unit = found[1].strip() if found else ""
    if unit.lower() in _NO_CALIBRATION:
        return []
    source = f"ImageJ, unit {unit} and resolution"
    unit = _SPELT_OUT.get(unit, unit)
    if unit not in NM_OF_UNIT:
        raise SEMReadError(f"{path}: ImageJ's unit {unit} is not understood; declare the pixel size yourself")
    width, height = (_unit_a_pixel(page, name) for name in ("XResolution", "YResolution"))
    return square_pixel(width * NM_OF_UNIT[unit], height * NM_OF_UNIT[unit], source, path)


def ome_statements(tiff: tifffile.TiffFile, path: str | Path) -> list[PixelSize]:
    """PhysicalSizeX and PhysicalSizeY of the first image of an OME-XML description, µm where it names no unit.

    Raises:
        SEMReadError: it is no XML, a statement cannot be understood, or the pixels are not square.
    """
    if tiff.ome_metadata is None:
        return []
    try:
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
    except ElementTree.ParseError as cause:
        raise SEMReadError(f"{path}: its OME-XML cannot be read ({cause}); export it again") from None
    if pixels is None or "PhysicalSizeX" not in pixels.attrib:
        return []
    source = "OME-XML PhysicalSizeX"
    axes = "XY" if "PhysicalSizeY" in pixels.attrib else "XX"
    sides = [
        stated_nm(
            pixels.attrib[f"PhysicalSize{axis}"],
            pixels.get(f"PhysicalSize{axis}Unit", _OME_DEFAULT_UNIT),
            f"{path}: {source}",
        )
        for axis in axes
    ]
    return square_pixel(*sides, source, path)


def _unit_a_pixel(page: tifffile.TiffPage, name: str) -> float:
    """Length of a pixel from pixels per unit; 0 where there is none."""
    numerator, denominator = page.tags[name].value if name in page.tags else (0, 1)
    return denominator / numerator if numerator else 0.0
