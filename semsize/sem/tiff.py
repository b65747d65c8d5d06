"""One page of a TIFF to its levels, or to its values as stored."""

import io
import struct
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

from semsize.sem.files import SEMReadError, open_tiff, read_bytes
from semsize.sem.grey_levels import StoredLevels, indices_to_grey, stored_levels

_PHOTOMETRIC = tifffile.PHOTOMETRIC
_READ_KINDS = (_PHOTOMETRIC.MINISBLACK, _PHOTOMETRIC.MINISWHITE, _PHOTOMETRIC.RGB, _PHOTOMETRIC.PALETTE)
_COMPRESSION = tifffile.COMPRESSION
_DECODED_BY_TIFFFILE = (
    *(_COMPRESSION.NONE, _COMPRESSION.DEFLATE, _COMPRESSION.ADOBE_DEFLATE, _COMPRESSION.PACKBITS, _COMPRESSION.LZMA),
)
_MOST_PAGES = 32  # previews included; a damaged chain of pages may have no end
_MOST_DENSE = 10_000  # times that any of these compressions makes data smaller


def read_tiff(path: str | Path) -> StoredLevels:
    """Levels of a TIFF's only page.

    Raises:
        SEMReadError: it is damaged, or not one grey, palette or RGB page.
        ValueError: see `stored_levels`.
    """
    with open_tiff(path) as tiff:
        page = _only_page(tiff, path)
        palette = _tiff_palette(page.colormap) if page.photometric == _PHOTOMETRIC.PALETTE else None
        if palette is None and page.bitspersample < 8:
            raise SEMReadError(f"{path}: {page.bitspersample} bits a pixel are too few; export it with 8 or 16 bits")
        values = _stored_values(tiff, page, path)
    if palette is not None:
        return StoredLevels(indices_to_grey(values, palette), in_range=True)
    return replace(stored_levels(values), white_is_zero=page.photometric == _PHOTOMETRIC.MINISWHITE)


def stored_tiff(path: str | Path) -> np.ndarray:
    """Values (H, W) or (H, W, C) of a TIFF's only page as stored: of a palette image the indices.

    Raises:
        SEMReadError: it is damaged, or not one grey, palette or RGB page.
    """
    with open_tiff(path) as tiff:
        return _stored_values(tiff, _only_page(tiff, path), path)


def _only_page(tiff: tifffile.TiffFile, path: str | Path) -> tifffile.TiffPage:
    """The one full-size page, its data complete and of a kind that is read; previews (reduced pages) do not count."""
    first_pages = list(islice(tiff.pages, _MOST_PAGES + 1))
    if len(first_pages) > _MOST_PAGES:
        raise SEMReadError(f"{path}: holds more than {_MOST_PAGES} pages, or leads in a circle; save one image a file")
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


def _stored_values(tiff: tifffile.TiffFile, page: tifffile.TiffPage, path: str | Path) -> np.ndarray:
    """Values (H, W) or (H, W, C) as stored.

    tifffile leaves LZW, JPEG and pixels of 2 and 4 bits to a further package, so that OpenCV and Pillow decode these.
    They would apply palettes and orientation, and OpenCV reads integers of 32 bits with a sign only: they are handed a
    copy that says plain grey, upright and signed.
    """
    is_packed = page.bitspersample in (2, 4)
    if page.compression in _DECODED_BY_TIFFFILE and not is_packed:
        values = page.asarray()
        separate = values.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        return np.moveaxis(values, 0, -1) if separate else values
    data = bytearray(read_bytes(path))
    plain = {"Orientation": 1}
    if page.photometric != _PHOTOMETRIC.RGB and not is_packed:  # Pillow gives a palette's indices as they are
        plain["PhotometricInterpretation"] = 1
    if page.dtype == np.uint32:
        plain["SampleFormat"] = 2
    for tag in (page.tags[name] for name in plain if name in page.tags):
        struct.pack_into(f"{tiff.byteorder}H", data, tag.valueoffset, plain[tag.name])
    if is_packed:
        return np.asarray(Image.open(io.BytesIO(data)))
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.shape[:2] != (page.imagelength, page.imagewidth):
        raise SEMReadError(f"{path}: its compression {page.compression.name} cannot be read; export it uncompressed")
    if page.dtype == np.uint32 and values.dtype == np.int32:
        values = values.view(np.uint32)
    if values.ndim == 3:
        values[..., :3] = values[..., 2::-1].copy()
    return values


def _tiff_palette(colormap: np.ndarray) -> np.ndarray:
    """(K, 3) colours, 0-255, of a TIFF's map (3, K); some writers fill its 16 bits with 8-bit values."""
    colours = colormap.T.astype(np.float64)
    if colours.max() < 256:
        return colours
    whole = np.floor(colours / 256)  # v * 257 and v * 256 are both in use for level v
    return whole if (colours == whole * 256).all() else colours / 257
