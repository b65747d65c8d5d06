"""An SEM image file read to grey levels, its data bar included."""

from pathlib import Path

import numpy as np

from tio2.sem.encoded import encoded_to_grey, stored_encoded
from tio2.sem.files import SEMReadError, is_tiff, read_bytes
from tio2.sem.tiff import stored_tiff, tiff_to_grey


def read_grey(path: str | Path, *, intensity_range: tuple[float, float] | None = None) -> np.ndarray:
    """Grey levels of a TIFF, PNG, JPEG or BMP image.

    8-bit values come as they are. Palette indices of TIFF and PNG are the grey levels where the palette is a grey ramp
    with annotation colours painted over some entries; any other palette is applied. Colours become luma, equal
    channels pass unchanged, alpha is left out. 16-bit and float values are stretched to 0-255 without rounding: between
    the image's 0.1 and 99.9 % percentiles, or over the declared range. Orientation tags are not applied: pixels stay
    where the microscope wrote them. The kind of file is told by its contents, not by its name.

    Args:
        path: the file.
        intensity_range: stored values that mean black and white, low < high, for 16-bit and float images; 8-bit images
            are in range already and stay as they are.

    Returns:
        (H, W) float32 within 0-255.

    Raises:
        SEMReadError: the file is missing, empty, damaged, of another kind, CMYK, 1-bit, holds several pages or values
            that are no numbers; one line that names it and says what to do.
        ValueError: `intensity_range` is not ascending.
    """
    if intensity_range is not None and not intensity_range[0] < intensity_range[1]:
        raise ValueError(f"intensity_range must run from low to high, got {intensity_range}")
    try:
        if is_tiff(read_bytes(path, 4)):
            return tiff_to_grey(path, intensity_range)
        return encoded_to_grey(read_bytes(path), path, intensity_range)
    except SEMReadError:
        raise
    except ValueError as cause:
        raise SEMReadError(f"{path}: {cause}") from None


def read_stored(path: str | Path) -> np.ndarray:
    """Values of an image file as stored, for label images: no range, no palette, no orientation is applied.

    Returns:
        (H, W), or (H, W, C) with colours in the order R, G, B, alpha; indices where the file has a palette.

    Raises:
        SEMReadError: the file cannot be read, holds several pages, or is a JPEG, which does not keep values.
    """
    return stored_tiff(path) if is_tiff(read_bytes(path, 4)) else stored_encoded(read_bytes(path), path)
