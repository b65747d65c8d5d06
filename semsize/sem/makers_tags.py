"""Read pixel sizes from a TIFF's tags: which tag belongs to which maker, and readers of tags that are not plain text.

Every reader raises SEMReadError if a tag is cut off, a statement cannot be understood, or the picture has been resized
since.
"""

from __future__ import annotations

import itertools
import math
import re
import struct
from xml.etree import ElementTree

import tifffile

from semsize.sem.files import SEMReadError
from semsize.sem.makers_texts import fei_text, hitachi_text, jeol_text, tescan_text, zeiss_rank, zeiss_text
from semsize.sem.statements import (
    Statements,
    decoded,
    entries,
    integer_or_none,
    nm_of_unit,
    number_or_none,
    says_nothing,
)

_ZEISS_TAGS = (34118, 34119)  # the same text twice: Windows-1252 and UTF-16
_FEI_TAGS = {34680: "SFEG", 34682: "Helios", 34683: "XML"}
_TESCAN_TAG, _TESCAN_TEXTS = 50431, (2, 3)
_FIBICS_TAG = 51023
_HITACHI_TAG = 40092
_SIS_TAG, _SIS_PAGES = 33560, 4
_EXIF_TAG = 34665
_GATAN_TAGS = (65003, 65009)  # unit and scale
_TVIPS_TAG = 37706
_PHENOM_XML = re.compile(rb"<FeiImage\b.*?</FeiImage>", re.DOTALL)
_PRINTED = ("inch", "inches", "in", "cm", "centimeter", "centimeters", "centimetre", "centimetres")


def tag_statements(tiff: tifffile.TiffFile, stated: Statements) -> None:
    """Read all statements of the makers' tags, then those of ImageJ's and OME's descriptions."""
    for code in _ZEISS_TAGS:
        zeiss_text(_tag_text(tiff, code), f"Zeiss tag {code}", stated)
    stated.sizes.sort(key=lambda size: zeiss_rank(size.source))  # the most trusted of both tags first
    for code, name in _FEI_TAGS.items():
        raw = _tag_bytes(tiff, code)
        if raw.lstrip().startswith(b"<"):
            _fei_xml(raw, f"FEI tag {code} (XML)", stated)
        else:
            fei_text(decoded(raw), f"FEI tag {code} ({name})", stated)
    tescan_text(_tescan_chunks(_tag_bytes(tiff, _TESCAN_TAG)), f"tag {_TESCAN_TAG}", stated)
    _jeol_maker_note(tiff, stated)
    hitachi_text(_tag_text(tiff, _HITACHI_TAG), f"tag {_HITACHI_TAG}", stated)
    _fibics(tiff, stated)
    _olympus(tiff, stated)
    _unread(tiff, stated)
    _imagej(tiff.pages.first, stated)
    _ome(tiff, stated)


def phenom_statements(data: bytes, stated: Statements) -> None:
    """Read the pixel size from the XML that Phenoms write into their JPEGs, if there is any."""
    found = _PHENOM_XML.search(data)
    if found is not None:
        _fei_xml(found[0], "Phenom's XML", stated)


def _fei_xml(raw: bytes, source: str, stated: Statements) -> None:
    """Read ThermoFisher's XML: `PixelSize/X` and `Y`, or a Phenom's `pixelWidth` and `pixelHeight`, and their units."""
    tree = _xml(raw, source, stated)
    alpha = number_or_none(tree.findtext(".//{*}StagePosition/{*}Tilt/{*}Alpha", ""))
    if alpha is not None:
        stated.tilt(math.degrees(alpha), tree.findtext(".//{*}SampleTiltCorrectionOn"))
    name, sides = "PixelSize", [tree.find(f".//{{*}}PixelSize/{{*}}{axis}") for axis in "XY"]
    if sides[0] is None:
        name, sides = "pixelWidth", [tree.find(f".//{{*}}{side}") for side in ("pixelWidth", "pixelHeight")]
    width_nm, height_nm = (_xml_length(side, f"{source}, {name}", "m", stated) for side in sides)
    if width_nm:
        size = (integer_or_none(tree.findtext(f".//{{*}}ImageSize/{{*}}{axis}")) for axis in "XY")
        stated.require_shape(source, *size)
    stated.add(width_nm, height_nm, f"{source}, {name}")


def _tescan_chunks(raw: bytes) -> str:
    """Join the text chunks of TESCAN's tag, each of length, type, contents; the length includes the type."""
    texts, position = [], 0
    while position + 6 <= len(raw):
        length, kind = struct.unpack_from("<IH", raw, position)
        if length < 2 or kind == 0:
            break
        if kind in _TESCAN_TEXTS:
            texts.append(decoded(raw[position + 6 : position + 4 + length]))
        position += 4 + length
    return "\n".join(texts)


def _jeol_maker_note(tiff: tifffile.TiffFile, stated: Statements) -> None:
    """Read the MakerNote of newer JEOLs in the EXIF directory: `UNICODE`, then UTF-16 text."""
    tag = tiff.pages.first.tags.get(_EXIF_TAG)
    exif = tag.value if tag is not None and isinstance(tag.value, dict) else {}
    note = exif.get("MakerNote", b"")
    if isinstance(note, bytes | tuple):
        jeol_text(decoded(bytes(note).removeprefix(b"UNICODE\0")), "MakerNote", stated)


def _fibics(tiff: tifffile.TiffFile, stated: Statements) -> None:
    """Read Fibics Atlas: the vectors of one pixel to the right and one down in micrometres, else the field of view."""
    raw = _tag_bytes(tiff, _FIBICS_TAG)
    if not raw:
        return
    source = f"Fibics tag {_FIBICS_TAG}"
    tree = _xml(raw, source, stated)
    width, height = (integer_or_none(tree.findtext(f".//{{*}}Image/{{*}}{side}")) for side in ("Width", "Height"))
    steps, entry = [], "Ux and Uy"
    for name in ("U", "V"):  # the components of a vector may be negative
        parts = [tree.findtext(f".//{{*}}Scan/{{*}}{name}{axis}", "").strip().removeprefix("-") for axis in "xy"]
        steps.append(math.hypot(*(stated.length(part, f"{source}, {name}", "um") for part in parts)))
    if not steps[0] and width:
        field = tree.find(".//{*}Scan/{*}FOV_X")
        steps, entry = [_xml_length(field, f"{source}, FOV_X", "um", stated) / width, 0.0], "FOV_X"
    if steps[0]:
        stated.require_shape(source, width, height)
    stated.add(*steps, f"{source}, {entry}")


def _olympus(tiff: tifffile.TiffFile, stated: Statements) -> None:
    """Read the sizes, in metres, in the structure of Olympus (SIS, analySIS) on one of the first pages."""
    for page in itertools.islice(tiff.pages, _SIS_PAGES):
        value = page.tags.valueof(_SIS_TAG)
        if isinstance(value, dict):
            sides = [f"{value.get(f'pixelsize{axis}', '')}" for axis in "xy"]
            source = f"Olympus tag {_SIS_TAG}, pixelsizex"
            stated.add(*(stated.length(side, source, "m") for side in sides), source)


def _unread(tiff: tifffile.TiffFile, stated: Statements) -> None:
    """Note pixel sizes in forms that are recognised but not read."""
    page = tiff.pages.first
    if _TVIPS_TAG in page.tags:
        stated.unread.append(f"TVIPS (EM-MENU) wrote its pixel size into tag {_TVIPS_TAG}, which is not read")
    if any(code in page.tags for code in _GATAN_TAGS):
        stated.unread.append("Gatan DigitalMicrograph wrote its pixel size into tags 65003 ff., which are not read")
    if page.description.lstrip().startswith("{") and '"pixel_size"' in page.description:
        stated.unread.append("its pixel size is in the description's JSON (as of fibsem-OS), which is not read")


def _imagej(page: tifffile.TiffPage, stated: Statements) -> None:
    """Read ImageJ's pixel size: `unit` of the description, pixels per unit in XResolution and YResolution.

    Without ImageJ's description, or with its units of printing (inch, cm), the resolution is ignored, since it is only
    some program's dots per inch.
    """
    if not page.description.startswith("ImageJ="):
        return
    found = entries(page.description)
    unit = found.get("unit", "")
    if says_nothing(unit) or unit.lower() in _PRINTED:
        return
    units, sides = (unit, found.get("yunit") or unit), []
    for name in units:
        if nm_of_unit(name) is None:
            raise stated.error(
                f"ImageJ's unit {name} is not understood; declare the pixel size yourself (--pixel-size)"
            )
    for name, tag in zip(units, ("XResolution", "YResolution"), strict=True):
        numerator, denominator = page.tags[tag].value if tag in page.tags else (0, 1)
        sides.append((denominator / numerator if numerator else 0.0) * nm_of_unit(name))
    stated.add(*sides, f"ImageJ, unit {unit} and resolution")


def _ome(tiff: tifffile.TiffFile, stated: Statements) -> None:
    """Read PhysicalSizeX and PhysicalSizeY of the first image of an OME-XML description, in µm if it names no unit."""
    if tiff.ome_metadata is None:
        return
    try:
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
    except ElementTree.ParseError as cause:
        raise stated.error(f"its OME-XML cannot be read ({cause}); export it again") from None
    if pixels is None:
        return
    names = ("PhysicalSizeX", "PhysicalSizeY")
    width_nm, height_nm = (
        stated.length(pixels.get(name, ""), f"OME-XML {name}", pixels.get(f"{name}Unit", "µm")) for name in names
    )
    if width_nm:
        stated.require_shape("OME-XML", *(integer_or_none(pixels.get(f"Size{axis}")) for axis in "XY"))
    stated.add(width_nm, height_nm, "OME-XML PhysicalSizeX")


def _xml(raw: bytes, source: str, stated: Statements) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(raw.strip(b"\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError) as cause:
        raise stated.error(f"{source} cannot be read ({cause}); give --pixel-size") from None


def _xml_length(element: ElementTree.Element | None, where: str, unit: str, stated: Statements) -> float:
    return 0.0 if element is None else stated.length(element.text or "", where, element.get("unit", unit))


def _tag_text(tiff: tifffile.TiffFile, code: int) -> str:
    return decoded(_tag_bytes(tiff, code))


def _tag_bytes(tiff: tifffile.TiffFile, code: int) -> bytes:
    """Return a tag's stored bytes, empty if there is no tag; tifffile would read Zeiss' UTF-16 tag as ASCII."""
    tag = tiff.pages.first.tags.get(code)
    if tag is None:
        return b""
    tiff.filehandle.seek(tag.valueoffset)
    raw = tiff.filehandle.read(tag.valuebytecount)
    if len(raw) != tag.valuebytecount:
        raise SEMReadError(f"{tiff.filehandle.path}: tag {code} is cut off; copy the file again from its source")
    return raw
