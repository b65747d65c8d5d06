"""An SEM image file read to grey levels, and which of its rows show the specimen."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from semsize.sem.data_bar import specimen_rows
from semsize.sem.encoded import read_encoded, stored_encoded
from semsize.sem.files import SEMReadError, is_tiff, read_bytes
from semsize.sem.grey_levels import StoredLevels
from semsize.sem.tiff import read_tiff, stored_tiff


def orientation_tag(path: str | Path) -> int:
    """How an image asks viewers to turn it (EXIF and TIFF tag 274): 1 as stored, up to 8; 1 where it does not say."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            value = image.getexif().get(Base.Orientation, 1)
    except Exception:  # Pillow lets many kinds through; read_grey says what is wrong with the file
        return 1
    return value if value in range(1, 9) else 1


@dataclass(frozen=True, eq=False)
class SEMImage:
    """An image file as it was read.

    Attributes:
        grey: (H, W) float32 within 0-255, data bars included.
        top: first row of the specimen.
        bottom: the row after its last one.
    """

    grey: np.ndarray
    top: int
    bottom: int

    @property
    def specimen(self) -> np.ndarray:
        """(bottom - top, W) the rows without data bars (a view)."""
        return self.grey[self.top : self.bottom]


def read_image(
    path: str | Path,
    *,
    intensity_range: tuple[float, float] | None = None,
    crop_top: int | None = None,
    crop_rows: int | None = None,
) -> SEMImage:
    """Grey levels of a TIFF, PNG, JPEG or BMP image, and the rows between its data bars.

    8-bit values come as they are. Palette indices of TIFF and PNG are the grey levels where the palette is a grey ramp
    with annotation colours painted over some entries; any other palette is applied. Colours become luma, equal
    channels pass unchanged, alpha is left out. 16-bit and float values are stretched to 0-255 without rounding: between
    the 0.1 and 99.9 % percentiles of the specimen, or over the declared range. Orientation tags are not applied: pixels
    stay where the microscope wrote them. The kind of file is told by its contents, not by its name.

    Args:
        path: the file.
        intensity_range: stored values that mean black and white, low < high, for 16-bit and float images; 8-bit images
            are in range already and stay as they are.
        crop_top: rows of data bar at the upper edge; None finds them.
        crop_rows: rows of data bar at the lower edge; None finds them.

    Raises:
        SEMReadError: the file is missing, empty, damaged, of another kind, CMYK, 1-bit, holds several pages or values
            that are no numbers, or no row is left; one line that names it and says what to do.
        ValueError: `intensity_range` is not ascending.
    """
    levels = _levels(path, intensity_range)
    height = len(levels.values)
    found = specimen_rows(levels) if None in (crop_top, crop_rows) else (0, height)
    top = found[0] if crop_top is None else crop_top
    bottom = found[1] if crop_rows is None else height - crop_rows
    if top >= bottom:
        raise SEMReadError(f"{path}: has {height} rows, {top + height - bottom} are to be cropped; crop fewer")
    return SEMImage(_grey(path, levels, intensity_range, slice(top, bottom)), top, bottom)


def read_grey(path: str | Path, *, intensity_range: tuple[float, float] | None = None) -> np.ndarray:
    """Grey levels (H, W) of an image file, data bars included; see `read_image`."""
    levels = _levels(path, intensity_range)
    is_stretched = not levels.in_range and intensity_range is None
    specimen = slice(*specimen_rows(levels)) if is_stretched else slice(None)
    return _grey(path, levels, intensity_range, specimen)


def read_stored(path: str | Path) -> np.ndarray:
    """Values of an image file as stored, for label images: no range, no palette, no orientation is applied.

    Returns:
        (H, W), or (H, W, C) with colours in the order R, G, B, alpha; indices where the file has a palette.

    Raises:
        SEMReadError: the file cannot be read, holds several pages, or is a JPEG, which does not keep values.
    """
    return stored_tiff(path) if is_tiff(read_bytes(path, 4)) else stored_encoded(read_bytes(path), path)


def _levels(path: str | Path, intensity_range: tuple[float, float] | None) -> StoredLevels:
    if intensity_range is not None and not intensity_range[0] < intensity_range[1]:
        raise ValueError(f"intensity_range must run from low to high, got {intensity_range}")
    try:
        return read_tiff(path) if is_tiff(read_bytes(path, 4)) else read_encoded(read_bytes(path), path)
    except SEMReadError:
        raise
    except ValueError as cause:
        raise SEMReadError(f"{path}: {cause}") from None


def _grey(
    path: str | Path, levels: StoredLevels, intensity_range: tuple[float, float] | None, specimen: slice
) -> np.ndarray:
    try:
        return levels.to_grey(intensity_range, specimen)
    except ValueError as cause:
        raise SEMReadError(f"{path}: {cause}") from None
