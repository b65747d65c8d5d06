"""Read the values that a TIFF, PNG, JPEG or BMP file stores; errors name the file.

OpenCV silently fills up a truncated image, applies every palette and turns CMYK into colours; this module checks that.
"""

import contextlib
import io
import itertools
import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

_logger = logging.getLogger(__name__)

_FOREIGN = (
    ("Gatan DigitalMicrograph", (".dm3", ".dm4"), (b"\0\0\0\3", b"\0\0\0\4")),
    ("HDF5", (".emd", ".hdf5", ".h5"), (b"\x89HDF\r\n\x1a\n",)),
    ("FEI TIA", (".ser", ".emi"), (b"II\x97\1",)),
    ("MRC", (".mrc",), ()),
    ("TVIPS", (".tvips",), ()),
    ("Bruker", (".bcf",), (b"AAMVHFSS",)),
    ("Zeiss CZI", (".czi",), (b"ZISRAWFILE",)),
    ("Leica LIF", (".lif",), ()),
    ("Nikon ND2", (".nd2",), (b"\xda\xce\xbe\n",)),
)
FOREIGN_ENDINGS = tuple(ending for _, endings, _ in _FOREIGN for ending in endings)
"""File name endings of microscopes' own formats that are recognised but not read."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_SCAN_MARKER = 0xDA

_PHOTOMETRIC = tifffile.PHOTOMETRIC
_READ_KINDS = [_PHOTOMETRIC[name] for name in ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE")]
_COMPRESSION = tifffile.COMPRESSION
_DECODED_BY_TIFFFILE = [_COMPRESSION[name] for name in ("NONE", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "LZMA")]
_MOST_PAGES = 32  # previews included; a damaged chain of pages may have no end
_MOST_DENSE = 10_000  # largest factor by which a compression shrinks data


class SEMReadError(ValueError):
    """An SEM file cannot be read as one grey image; the message names it and says what to do, in one line."""


@dataclass(frozen=True, eq=False)
class StoredValues:
    """An image's values as its file stores them, before palette, range and orientation are applied."""

    values: np.ndarray  # (H, W), or (H, W, C) with colours in the order R, G, B, alpha; or palette indices
    palette: np.ndarray | None = None  # (K, 3), 0-255, fractions allowed
    white_is_zero: bool = False  # 0 means white, larger values are darker


def read_values(path: str | Path, *, labels: bool = False) -> StoredValues:
    """Read the stored values of an image file; its contents tell the format, not its name.

    Args:
        path: the file.
        labels: the values are labels: a JPEG, which does not keep values, is refused; a TIFF of fewer than 8 bits is
            read; a BMP gives its palette indices, not its colours.

    Raises:
        SEMReadError: the file is missing, empty, damaged, CMYK, of another kind, or has several pages or too few bits.
    """
    start = read_bytes(path, 4)
    if is_tiff(start):
        return _tiff_values(path, labels)
    data = read_bytes(path)
    if data.startswith(_PNG_MAGIC):
        return _png_values(data, path)
    if data.startswith(b"BM"):
        if labels:
            return StoredValues(_by_pillow(Image.open, data, "BMP", path))
        if len(data) < 14 or len(data) < struct.unpack_from("<I", data, 2)[0]:
            raise _broken(path, "BMP")
        return StoredValues(_by_opencv(data, "BMP", path))
    if data.startswith(_JPEG_MAGIC):
        if labels:
            raise SEMReadError(f"{path}: a JPEG does not keep values as they were; save it as PNG or TIFF")
        _check_jpeg(data, path)
        return StoredValues(_by_opencv(data, "JPEG", path))
    ending = Path(path).suffix.lower()
    by_start = (name for name, _, magics in _FOREIGN if magics and data.startswith(magics))
    by_ending = (name for name, endings, _ in _FOREIGN if ending in endings)
    name = next(itertools.chain(by_start, by_ending), None)
    if name is not None:
        raise SEMReadError(f"{path}: {name} files are not read; export it as TIFF, and give --pixel-size with it")
    kinds = "TIFF, PNG or BMP" if labels else "TIFF, PNG, JPEG or BMP"
    raise SEMReadError(f"{path}: not a {kinds} image; export it as one of these")


def is_tiff(start: bytes) -> bool:
    """Return whether a file that begins with these bytes (four suffice) is a TIFF or BigTIFF."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_bytes(path: str | Path, limit: int = -1) -> bytes:
    """Read a file, or its first `limit` bytes.

    Raises:
        SEMReadError: the file is missing, a folder, empty or not readable.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(limit)
    except OSError as cause:
        raise SEMReadError(f"{path}: cannot be read ({cause.strerror}); check the path") from None
    if not data:
        raise SEMReadError(f"{path}: the file is empty; copy it again from its source")
    return data


@contextlib.contextmanager
def open_tiff(path: str | Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; every error in it or in the `with` block becomes a one-line `SEMReadError`.

    tifffile logs tolerable flaws, with tracebacks: our log gets one line for each.
    """
    log = logging.getLogger("tifffile")
    relay = _OneLineRelay(path)
    log.addHandler(relay)
    propagated, log.propagate = log.propagate, False
    try:
        with tifffile.TiffFile(path) as tiff:
            yield tiff
    except SEMReadError:
        raise
    except Exception as cause:  # tifffile lets struct.error, IndexError, zlib.error and others through
        cure = "install that package or export it uncompressed" if "imagecodecs" in str(cause) else "export it again"
        raise SEMReadError(f"{path}: not a readable TIFF ({_first_line(cause)}); {cure}") from None
    finally:
        log.removeHandler(relay)
        log.propagate = propagated


class _OneLineRelay(logging.Handler):
    def __init__(self, path: str | Path):
        super().__init__(logging.WARNING)
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        _logger.warning("%s: %s", self.path, _first_line(record.getMessage()))


def _first_line(message: object) -> str:
    lines = str(message).splitlines()
    return lines[0] if lines else type(message).__name__


def _tiff_values(path: str | Path, labels: bool) -> StoredValues:
    with open_tiff(path) as tiff:
        page = _only_page(tiff, path)
        has_palette = page.photometric == _PHOTOMETRIC.PALETTE
        if not labels and not has_palette and page.bitspersample < 8:
            raise SEMReadError(f"{path}: {page.bitspersample} bits a pixel are too few; export it with 8 or 16 bits")
        palette = _tiff_palette(page.colormap) if has_palette and not labels else None
        values = _page_values(tiff, page, path)
    return StoredValues(values, palette, page.photometric == _PHOTOMETRIC.MINISWHITE)


def _only_page(tiff: tifffile.TiffFile, path: str | Path) -> tifffile.TiffPage:
    """Return the only full-size page, checked to be complete and readable; previews (reduced pages) do not count."""
    first_pages = list(itertools.islice(tiff.pages, _MOST_PAGES + 1))
    if len(first_pages) > _MOST_PAGES:
        raise SEMReadError(f"{path}: holds more than {_MOST_PAGES} pages, or an endless list; save one image a file")
    pages = [page for page in first_pages if not page.is_reduced]
    stacked = sum(int(np.prod(series.shape)) for series in tiff.series if not series.keyframe.is_reduced)
    if not pages:
        raise SEMReadError(f"{path}: not a readable TIFF, no page in it is complete; copy it again from its source")
    if len(pages) != 1 or stacked != pages[0].size:
        raise SEMReadError(f"{path}: holds {max(len(pages), len(tiff.series))} pages or a stack; save one image a file")
    page = pages[0]
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    stored_bits = 8 * sum(page.databytecounts) * (1 if page.compression == _COMPRESSION.NONE else _MOST_DENSE)
    too_many = page.size * page.bitspersample > stored_bits
    if not ends or max(ends) > tiff.filehandle.size or page.size == 0 or too_many:
        raise SEMReadError(f"{path}: the TIFF is cut off, its pixels are incomplete; copy it again from its source")
    if page.photometric == _PHOTOMETRIC.SEPARATED:
        raise SEMReadError(f"{path}: a CMYK image holds no grey levels; export it as grey or RGB")
    if page.photometric not in _READ_KINDS:
        raise SEMReadError(f"{path}: colours of kind {page.photometric.name} are not read; export it as grey or RGB")
    return page


def _page_values(tiff: tifffile.TiffFile, page: tifffile.TiffPage, path: str | Path) -> np.ndarray:
    """Read the values (H, W) or (H, W, C) of a page.

    tifffile needs a further package for LZW, JPEG and pixels of 2 and 4 bits, so OpenCV and Pillow decode these. They
    would apply orientation and palettes, and read 32-bit integers as signed: they get a copy whose tags say plain grey.
    """
    is_packed = page.bitspersample in (2, 4)
    if page.compression in _DECODED_BY_TIFFFILE and not is_packed:
        values = page.asarray()
        separate = values.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        return np.moveaxis(values, 0, -1) if separate else values
    data = bytearray(read_bytes(path))
    plain = {"Orientation": 1}
    indices = is_packed and page.photometric == _PHOTOMETRIC.PALETTE  # Pillow gives them as they are
    if page.photometric != _PHOTOMETRIC.RGB and not indices:
        plain["PhotometricInterpretation"] = 1
    if page.dtype == np.uint32:
        plain["SampleFormat"] = 2
    for tag in (page.tags[name] for name in plain if name in page.tags):
        struct.pack_into(f"{tiff.byteorder}H", data, tag.valueoffset, plain[tag.name])
    if is_packed:
        values = np.asarray(Image.open(io.BytesIO(data)))
        return values if indices else values // (255 // (2**page.bitspersample - 1))  # Pillow stretches grey levels
    values = _opencv_values(data)
    if values is None or values.shape[:2] != (page.imagelength, page.imagewidth):
        raise SEMReadError(f"{path}: its compression {page.compression.name} cannot be read; export it uncompressed")
    return values.view(np.uint32) if page.dtype == np.uint32 and values.dtype == np.int32 else values


def _tiff_palette(colormap: np.ndarray) -> np.ndarray:
    """(K, 3) colours, 0-255, of a TIFF's map (3, K); some writers fill its 16 bits with 8-bit values."""
    colours = colormap.T.astype(np.float64)
    if colours.max() < 256:
        return colours
    whole = np.floor(colours / 256)  # v * 257 and v * 256 are both in use for level v
    return whole if (colours == whole * 256).all() else colours / 257


def _png_values(data: bytes, path: str | Path) -> StoredValues:
    chunks = dict(_png_chunks(data, path))
    header = chunks.get(b"IHDR", b"")
    if len(header) != 13:
        raise _broken(path, "PNG")
    if header[9] != 3:  # no palette
        return StoredValues(_by_opencv(data, "PNG", path))
    colours = chunks.get(b"PLTE", b"")
    if header[8] > 8 or not 3 <= len(colours) <= 3 << header[8] or len(colours) % 3:
        raise _broken(path, "PNG")
    indices = _by_pillow(PngImageFile, data, "PNG", path)  # Image.open would refuse large images
    return StoredValues(indices, np.frombuffer(colours, np.uint8).reshape(-1, 3))


def _png_chunks(data: bytes, path: str | Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and contents of each chunk up to IEND, with its checksum verified."""
    position, name = len(_PNG_MAGIC), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, position) if position + 8 <= len(data) else (0, b"")
        end = position + 8 + length
        if data[end : end + 4] != zlib.crc32(data[position + 4 : end]).to_bytes(4, "big"):
            raise _broken(path, "PNG")
        yield name, data[position + 8 : end]
        position = end + 4


def _check_jpeg(data: bytes, path: str | Path) -> None:
    """Check a JPEG's segments up to the first scan: the frame must not be CMYK, and an end marker must follow."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_FRAME_MARKERS and position + 9 < len(data) and data[position + 9] == 4:
            raise SEMReadError(f"{path}: a CMYK image holds no grey levels; export it as grey or RGB")
        if marker == _JPEG_SCAN_MARKER and data.rfind(b"\xff\xd9") > position:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise _broken(path, "JPEG")


def _by_opencv(data: bytes, kind: str, path: str | Path) -> np.ndarray:
    with contextlib.suppress(cv2.error):
        if (values := _opencv_values(data)) is not None:
            return values
    raise _broken(path, kind)


def _by_pillow(reader: Callable[[io.BytesIO], Image.Image], data: bytes, kind: str, path: str | Path) -> np.ndarray:
    """Decode with one of Pillow's readers; an image with a palette gives its indices."""
    try:
        with reader(io.BytesIO(data)) as image:
            return np.asarray(image)
    except Exception:  # Pillow raises many kinds of errors
        raise _broken(path, kind) from None


def _opencv_values(data: bytes | bytearray) -> np.ndarray | None:
    """Values (H, W), or (H, W, 3 or 4) in the order R, G, B, alpha; None if OpenCV cannot read them."""
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is not None and values.ndim == 3:
        values[..., :3] = values[..., 2::-1].copy()
    return values


def _broken(path: str | Path, kind: str) -> SEMReadError:
    return SEMReadError(f"{path}: the {kind} is cut off or damaged; copy or export it again")
