"""Image files byte by byte as microscopes and image programs write them, from descriptions of their formats.

TIFF: Adobe's TIFF 6.0. Zeiss: tifffile's `read_cz_sem`, HyperSpy's TIFF reader and pull requests 2056 and 2064.
FEI: tifffile's `read_fei_metadata`, HyperSpy's TIFF reader. ImageJ: `ij.io.TiffEncoder` and `TiffDecoder`.
OME: the OME-XML schema. Hitachi: Bio-Formats' `HitachiReader`, Gwyddion's `hitachi-sem.c`.
JEOL: the macro `SEM_JOEL_Scale.ijm` of Monash's EM-tool. TESCAN, JEOL's MakerNote, Hitachi's tag 40092, Fibics, FEI's
XML: as found in real files (docs/pixel-sizes.md). Olympus: tifffile's `read_sis`.
"""

import struct

SHORT, LONG, RATIONAL, ASCII, BYTE, UNDEFINED = 3, 4, 5, 2, 1, 7
_SIZE = {SHORT: 2, LONG: 4, RATIONAL: 8, ASCII: 1, BYTE: 1, UNDEFINED: 1}


def tiff_file(extra=(), shape=(4, 5), order="<", description=None, resolution=None):
    """A little TIFF of one strip of zeros: header, pixels, values, directory.

    Args:
        extra: (code, bytes) of ASCII tags, or (code, bytes, type).
        shape: (H, W).
        order: "<" or ">".
        description: text of ImageDescription.
        resolution: (numerator, denominator) of XResolution and of YResolution, in no unit.
    """
    height, width = shape
    pixels = bytes(height * width)
    entries = [
        (256, LONG, struct.pack(order + "I", width)),
        (257, LONG, struct.pack(order + "I", height)),
        (258, SHORT, struct.pack(order + "H", 8)),
        (259, SHORT, struct.pack(order + "H", 1)),
        (262, SHORT, struct.pack(order + "H", 1)),
        (273, LONG, struct.pack(order + "I", 8)),
        (277, SHORT, struct.pack(order + "H", 1)),
        (278, LONG, struct.pack(order + "I", height)),
        (279, LONG, struct.pack(order + "I", len(pixels))),
    ]
    if description is not None:
        entries.append((270, ASCII, description.encode() + b"\0"))
    if resolution is not None:
        entries += [
            (code, RATIONAL, struct.pack(order + "II", *value))
            for code, value in zip((282, 283), resolution, strict=True)
        ]
        entries.append((296, SHORT, struct.pack(order + "H", 1)))
    entries += [(code, kind[0] if kind else ASCII, value) for code, value, *kind in extra]
    body, directory = bytearray(pixels), b""
    for code, kind, value in sorted(entries):
        if len(value) > 4:
            body += bytes(len(body) % 2)
            place = struct.pack(order + "I", 8 + len(body))
            body += value
        else:
            place = value.ljust(4, b"\0")
        directory += struct.pack(order + "HHI", code, kind, len(value) // _SIZE[kind]) + place
    body += bytes(len(body) % 2)
    magic = {"<": b"II", ">": b"MM"}[order]
    header = magic + struct.pack(order + "HI", 42, 8 + len(body))
    return header + bytes(body) + struct.pack(order + "H", len(entries)) + directory + bytes(4)


def zeiss_block(metres=7.34375e-9):
    """The unnamed numbers at the start of tags 34118 and 34119: pixel size on a picture of 1024 px, magnification, …"""
    group = (f"{metres:.6e}", "5.000000e+004", "6", "2.000000e+004", "2.340000e+000", "1.474665e-009", "2.796514e-003")
    return "\r\n".join(["0", "0", *(line for number in range(4) for line in (str(number), *group)), "778"]) + "\r\n"


def zeiss_entry(name, value):
    """A named value: the name in capitals, then its line."""
    return f"AP_{name.upper().replace(' ', '_')}\r\n{name} = {value}\r\n"


def zeiss_file(text_34118=None, text_34119=None, **kwargs):
    """Zeiss' TIFF: the text in Windows-1252 and again in UTF-16."""
    tags = []
    if text_34118 is not None:
        tags.append((34118, text_34118.encode("cp1252") + b"\0"))
    if text_34119 is not None:
        tags.append((34119, text_34119.encode("utf-16-le") + b"\0\0"))
    return tiff_file(tags, **kwargs)


def fei_text(
    width="8.26823e-010",
    height="8.26823e-010",
    resolution=("5", "4"),
    tilt="0",
    corrected="no",
    beam="EBeam",
    field="1e-6",
):
    """FEI's sections of key=value; lengths in metres, angles in radians. Further sections have the same keys for other
    beams; a resolution of None is left out."""
    sections = {
        "User": {"Date": "06/10/2026", "User": "user"},
        "Beam": {"HV": "5000", "Spot": "3", "Beam": beam, "Scan": "EScan"},
        "EBeam": {"HV": "5000", "TiltCorrectionIsOn": corrected},
        "IBeam": {"HV": "30000", "TiltCorrectionIsOn": corrected},
        "Stage": {"StageX": "0.001", "StageT": tilt},
        "IScan": {"PixelWidth": "9.9e-9", "PixelHeight": "9.9e-9"},
        "Scan": {
            "InternalScan": "true",
            "Dwelltime": "3e-007",
            "PixelWidth": width,
            "PixelHeight": height,
            "HorFieldsize": field,
        },
        "Image": {"DigitalContrast": "1"},
    }
    if resolution:
        sections["Image"] |= {"ResolutionX": resolution[0], "ResolutionY": resolution[1]}
    return "\r\n".join(
        line for name, keys in sections.items() for line in (f"[{name}]", *(f"{k}={v}" for k, v in keys.items()), "")
    )


def imagej_file(unit, x=(1000000, 7344), y=None, order=">"):
    """ImageJ's TIFF: description of lines key=value, pixels per unit as the resolution."""
    lines = ["ImageJ=1.54f", *([] if unit is None else [f"unit={unit}"]), "min=0.0", "max=255.0", ""]
    return tiff_file(description="\n".join(lines), resolution=(x, y or x), order=order)


def ome_file(**attributes):
    """An OME-TIFF; the attributes are those of Pixels."""
    stated = "".join(f' {name}="{value}"' for name, value in attributes.items())
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="5" SizeY="4" SizeC="1" SizeZ="1" SizeT="1"'
        f'{stated}><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>'
    )
    return tiff_file(description=xml)


def hitachi_text(pixel_size="7.344", size="5x4"):
    """Hitachi's side-car; PixelSize in nanometres."""
    lines = ["[SemImageFile]", "InstructName=S-4800", "SerialNumber=9999-01", "ImageName=a.tif", "Directory=C:\\"]
    lines += [f"DataSize={size}", f"PixelSize={pixel_size}", "Magnification=50000", "AcceleratingVoltage=20000 Volt"]
    return "\r\n".join(lines) + "\r\n"


def jeol_text(bar="136", marker="1um", size="5 4", mag="50000", more=()):
    """JEOL's side-car: the scale bar's pixels (None: an instrument that states none), and its length with a unit."""
    lines = ["$CM_FORMAT JEOL-SEM", "$CM_VERSION 1.0", "$CM_ACCEL_VOLT 20.0", f"$CM_MAG {mag}", f"$CM_FULL_SIZE {size}"]
    lines += [] if bar is None else [f"$$SM_MICRON_BAR {bar}"]
    return "\r\n".join([*lines, f"$$SM_MICRON_MARKER {marker}", "$$SM_FILM_NUMBER 1", *more, ""])


def jeol_note(**changes):
    """The MakerNote of newer JEOLs: entries with tabs between them, in UTF-16; None leaves an entry out."""
    found = {
        "CM_FORMAT": "JEOL/FE",
        "CM_IMAGE_SIZE": "1280 960",
        "CM_MAG": "50000",
        "CM_FIELD_OF_VIEW": "2.56 1.92μm",
        "CM_PIXEL_SIZE": "2.00nm/pixel",
        "SM_MICRON_MARKER": "100nm",
        "SM_MICRON_BAR": "49",
        "SM_PNU_HEIGHT": "66",
    } | changes
    text = "\t".join(f"${key}={value}" for key, value in found.items() if value is not None)
    return b"UNICODE\0" + text.encode("utf-16-le")


def jeol_file(note, shape=(1026, 1280)):
    """A TIFF whose EXIF directory, at its end, holds this MakerNote."""
    place = 1024 + 1024 * (shape[0] * shape[1] // 1024)
    data = tiff_file([(34665, struct.pack("<I", place), LONG)], shape=shape).ljust(place, b"\0")
    return data + struct.pack("<HHHIII", 1, 37500, UNDEFINED, len(note), place + 18, 0) + note


def tescan_text(pixel="2.5012e-6", height=None, tilt="0.0", correction="0.0", end="\r\n"):
    """TESCAN's sections; lengths in metres, angles in degrees."""
    main = ["[MAIN]", "AccFrames=1", "ImageStripSize=120", "Magnification=108.08"]
    main += [] if pixel is None else [f"PixelSizeX={pixel}", f"PixelSizeY={height or pixel}"]
    return end.join(main) + end, end.join(["[SEM]", f"StageTilt={tilt}", f"TiltCorrection={correction}"]) + end


def tescan_tag(main, sem):
    """The extra tag 50431: chunks of length, type, contents; a preview comes first, an empty chunk ends it."""
    parts = ((1, b"preview" * 9), (2, main.encode("latin-1") + b"\0"), (3, sem.encode("latin-1") + b"\0"), (0, b""))
    return 50431, b"".join(struct.pack("<IH", 2 + len(data), kind) + data for kind, data in parts), BYTE


def hitachi_tag(size="992.1875", mag="x100"):
    """The extra tag 40092 (XPComment); PixelSize in nanometres."""
    condition = "" if mag is None else f"Condition=Vacc=10.0kV   Mag={mag}   WD=9.1mm\r\n"
    text = f"SerialNumber=123\r\nDataNumber=SU3500\r\nPixelSize={size}\r\n{condition}"
    return 40092, text.encode("utf-16-le") + b"\0\0", BYTE


def fibics_tag(width=1023, height=767, step="0.0447", down="-0.0447"):
    """The extra tag 51023: Fibics Atlas' XML, lengths in micrometres."""
    xml = (
        '<?xml version="1.0" encoding="iso-8859-1"?><Fibics version="1.0"><Application/>'
        f"<Image><Width>{width}</Width><Height>{height}</Height></Image>"
        f'<Scan><FOV_X units="um">45.7438</FOV_X><FOV_Y units="um">34.3</FOV_Y><Ux>{step}</Ux><Uy>0</Uy>'
        f"<Vx>0</Vx><Vy>{down}</Vy></Scan></Fibics>"
    )
    return 51023, xml.encode("latin-1") + b"\0"


def olympus_file(x=2.5, y=2.5, exponent=-9):
    """A TIFF with Olympus' (SIS') structure: pixel sizes times a power of ten, in metres."""
    block = struct.pack("<10xhdd8xd2x34s32s", exponent, x, y, 20000.0, b"camera", b"picture")
    place = 4096
    header = struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 0, 12, 1, 1, 120, b"name", 1) + struct.pack("<hhI", 1, 1, place)
    return tiff_file([(33560, header, UNDEFINED)]).ljust(place, b"\0") + block
