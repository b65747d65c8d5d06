"""PNG, JPEG and BMP through OpenCV, after the checks that it leaves out.

OpenCV fills up a truncated image, applies every palette and turns CMYK into colours without a word.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from semsize.sem.files import SEMReadError, foreign_format
from semsize.sem.grey_levels import StoredLevels, indices_to_grey, stored_levels

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_SCAN_MARKER = 0xDA
_BROKEN = "the {kind} is cut off or damaged; copy or export it again"


def read_encoded(data: bytes, path: str | Path) -> StoredLevels:
    """Levels of the contents of a PNG, JPEG or BMP file.

    A PNG's palette is read by `indices_to_grey`; a BMP's palette is applied.

    Raises:
        SEMReadError: another kind of file, a damaged one, or CMYK.
        ValueError: see `stored_levels`.
    """
    if data.startswith(_PNG_MAGIC):
        chunks = dict(_png_chunks(data, path))
        if _has_palette(chunks, path):
            return StoredLevels(indices_to_grey(*_palette_png(data, chunks, path)), in_range=True)
        kind = "PNG"
    elif data.startswith(_JPEG_MAGIC):
        _check_jpeg(data, path)
        kind = "JPEG"
    elif data.startswith(b"BM"):
        if len(data) < 14 or len(data) < struct.unpack_from("<I", data, 2)[0]:
            raise SEMReadError(f"{path}: {_BROKEN.format(kind='BMP')}")
        kind = "BMP"
    else:
        name = foreign_format(path, data)
        if name is not None:
            raise SEMReadError(f"{path}: {name} files are not read; export it as TIFF, and give --pixel-size with it")
        raise SEMReadError(f"{path}: not a TIFF, PNG, JPEG or BMP image; export it as one of these")
    return stored_levels(_decode_with_opencv(data, kind, path))


def stored_encoded(data: bytes, path: str | Path) -> np.ndarray:
    """Values (H, W) or (H, W, C) of the contents of a PNG or BMP file as stored: of a palette image the indices.

    Raises:
        SEMReadError: another kind of file, a damaged one, or a JPEG, which does not keep values.
    """
    if data.startswith(_PNG_MAGIC):
        chunks = dict(_png_chunks(data, path))
        if _has_palette(chunks, path):
            return _palette_png(data, chunks, path)[0]
        return _decode_with_opencv(data, "PNG", path)
    if data.startswith(_JPEG_MAGIC):
        raise SEMReadError(f"{path}: a JPEG does not keep values as they were; save it as PNG or TIFF")
    if not data.startswith(b"BM"):
        raise SEMReadError(f"{path}: not a TIFF, PNG or BMP image; export it as one of these")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    except Exception:  # Pillow lets many kinds through
        raise SEMReadError(f"{path}: {_BROKEN.format(kind='BMP')}") from None


def _has_palette(chunks: dict[bytes, bytes], path: str | Path) -> bool:
    header = chunks.get(b"IHDR", b"")
    if len(header) != 13:
        raise SEMReadError(f"{path}: {_BROKEN.format(kind='PNG')}")
    return header[9] == 3


def _decode_with_opencv(data: bytes, kind: str, path: str | Path) -> np.ndarray:
    """Stored values (H, W), or (H, W, 3 or 4) in the order R, G, B, alpha."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise SEMReadError(f"{path}: {_BROKEN.format(kind=kind)}")
    if image.ndim == 3:
        image[..., :3] = image[..., 2::-1].copy()
    return image


def _png_chunks(data: bytes, path: str | Path) -> Iterator[tuple[bytes, bytes]]:
    """Name and contents of each chunk up to IEND, every checksum verified."""
    position, name = len(_PNG_MAGIC), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, position) if position + 8 <= len(data) else (0, b"")
        end = position + 8 + length
        checksum = data[end : end + 4]
        if checksum != zlib.crc32(data[position + 4 : end]).to_bytes(4, "big"):
            raise SEMReadError(f"{path}: {_BROKEN.format(kind='PNG')}")
        yield name, data[position + 8 : end]
        position = end + 4


def _palette_png(data: bytes, chunks: dict[bytes, bytes], path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Indices (H, W) and colours (K, 3) of a palette PNG: OpenCV decodes it with a ramp in the palette's place."""
    plte = chunks.get(b"PLTE", b"")
    depth = chunks[b"IHDR"][8]
    if depth > 8 or not 3 <= len(plte) <= 3 << depth or len(plte) % 3:
        raise SEMReadError(f"{path}: {_BROKEN.format(kind='PNG')}")
    ramp = np.repeat(np.arange(1 << depth, dtype=np.uint8), 3).tobytes()
    swapped = data.replace(_png_chunk(b"PLTE", plte), _png_chunk(b"PLTE", ramp), 1)
    if b"tRNS" in chunks:
        swapped = swapped.replace(_png_chunk(b"tRNS", chunks[b"tRNS"]), b"", 1)
    decoded = _decode_with_opencv(swapped, "PNG", path)
    indices = decoded if decoded.ndim == 2 else decoded[..., 0]
    return indices, np.frombuffer(plte, np.uint8).reshape(-1, 3)


def _png_chunk(name: bytes, contents: bytes) -> bytes:
    body = name + contents
    return len(contents).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _check_jpeg(data: bytes, path: str | Path) -> None:
    """Walk the segments up to the first scan: the frame must not be CMYK, and an end must follow."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_FRAME_MARKERS and position + 9 < len(data) and data[position + 9] == 4:
            raise SEMReadError(f"{path}: a CMYK image holds no grey levels; export it as grey or RGB")
        if marker == _JPEG_SCAN_MARKER and data.rfind(_JPEG_END) > position:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise SEMReadError(f"{path}: {_BROKEN.format(kind='JPEG')}")
