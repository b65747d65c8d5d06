"""Read an SEM image file to grey levels 0-255, and find the rows that show the specimen, between data bars."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from semsize.sem.files import SEMReadError, read_values
from semsize.structures.masks import CroppedMasks

LOWER_PERCENTILE = 0.1
UPPER_PERCENTILE = 99.9

TALLEST_SHARE = 0.25  # largest share of the image that a bar takes
_LOWEST_PX = 8  # least height of a bar
_FOOT_SHARE = 0.01  # largest share of the image that shows the specimen again below a bar
_EMPTY = 0.95  # least share of one grey level in a row without text
_STEP = 0.25  # least share of the pixels that change at the bar's upper edge
_GROUND = 0.6  # least share of one grey level in the whole bar
_INK_LEVELS = 60  # least contrast of texts and lines
_INK = (0.001, 0.4)  # share of the bar that these take
_TOLERANCES = (0, 8)  # grey levels: as drawn; after lossy compression

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


@dataclass(frozen=True, eq=False)
class SEMImage:
    """The grey levels of an image file, and which rows show the specimen."""

    grey: np.ndarray  # (H, W) float32 within 0-255, data bars included
    top: int  # first row of the specimen
    bottom: int  # the row after its last one

    @property
    def specimen(self) -> np.ndarray:
        """(bottom - top, W) rows between the data bars (a view)."""
        return self.grey[self.top : self.bottom]


def read_image(
    path: str | Path,
    *,
    intensity_range: tuple[float, float] | None = None,
    crop_top: int | None = None,
    crop_rows: int | None = None,
) -> SEMImage:
    """Read the grey levels of a TIFF, PNG, JPEG or BMP image, and find the rows between its data bars.

    8-bit values stay as they are. Palette indices of TIFF and PNG are taken as grey levels if the palette is a grey
    ramp with some entries repainted for annotations; any other palette is applied. Colours become luma, equal channels
    pass unchanged, alpha is ignored. All other values are stretched to 0-255 without rounding, from the 0.1 and 99.9 %
    percentiles of the specimen or from the declared range. Levels are inverted if the file says that 0 is white.
    Orientation tags are not applied: pixels stay where the microscope wrote them. The contents tell the format.

    Args:
        path: the file.
        intensity_range: stored values that become 0 and 255, low < high; 8-bit images, which are in range already,
            ignore it.
        crop_top: rows of data bar at the upper edge; None detects them.
        crop_rows: rows of data bar at the lower edge; None detects them.

    Raises:
        SEMReadError: as `read_values`; or the values are not finite or have no range to stretch, or no row is left; one
            line that names the file and says what to do.
        ValueError: `intensity_range` is not ascending.
    """
    levels = _read_levels(path, intensity_range)
    height = len(levels.values)
    found = _specimen_rows(levels) if None in (crop_top, crop_rows) else (0, height)
    top = found[0] if crop_top is None else crop_top
    bottom = found[1] if crop_rows is None else height - crop_rows
    if top >= bottom:
        raise SEMReadError(f"{path}: has {height} rows, {top + height - bottom} are to be cropped; crop fewer")
    with _named(path):
        return SEMImage(levels.to_grey(intensity_range, slice(top, bottom)), top, bottom)


def read_grey(path: str | Path, *, intensity_range: tuple[float, float] | None = None) -> np.ndarray:
    """Read the grey levels (H, W) of an image file, data bars included, as `read_image` does."""
    levels = _read_levels(path, intensity_range)
    is_stretched = not levels.in_range and intensity_range is None
    specimen = slice(*_specimen_rows(levels)) if is_stretched else slice(None)
    with _named(path):
        return levels.to_grey(intensity_range, specimen)


def orientation_tag(path: str | Path) -> int:
    """Return the orientation in which viewers show an image (EXIF and TIFF tag 274): 1 (as stored, or no tag) to 8."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            value = image.getexif().get(Base.Orientation, 1)
    except Exception:  # Pillow raises many kinds of errors; read_grey names the file's fault
        return 1
    return value if value in range(1, 9) else 1


def particle_contrast(grey: np.ndarray, masks: CroppedMasks) -> float:
    """Return the median grey level (0-255) on particles minus that off them; NaN if either has no pixels.

    Rows of `grey` (H, W) below the masks' frame (a data bar) are ignored.

    Raises:
        ValueError: the masks are of an image of another width or of more rows.
    """
    height, width = masks.image_shape
    if grey.shape[1] != width or grey.shape[0] < height:
        raise ValueError(f"masks of {masks.image_shape} (rows, columns) do not belong to an image of {grey.shape}")
    on, grey = masks.union(), grey[:height]
    return float(np.median(grey[on]) - np.median(grey[~on])) if on.any() and not on.all() else float("nan")


@dataclass(frozen=True, eq=False)
class _Levels:
    """An image's values before they become grey levels."""

    values: np.ndarray  # (H, W), finite
    in_range: bool  # the values are grey levels of 0-255 already; others must be stretched
    white_is_zero: bool  # 0 means white, larger values are darker

    def to_grey(self, intensity_range: tuple[float, float] | None, specimen: slice) -> np.ndarray:
        """Grey levels (H, W) float32, 0-255; values that are not in range are stretched.

        Without a declared range, only the rows of the specimen set the range, because texts of data bars may be
        brighter than the specimen. ValueError if that range is empty.
        """
        if self.in_range:
            grey = self.values.astype(np.float32)
        else:
            grey = _scaled(self.values, intensity_range or _percentile_range(self.values[specimen]))
        return 255 - grey if self.white_is_zero else grey


def _read_levels(path: str | Path, intensity_range: tuple[float, float] | None) -> _Levels:
    if intensity_range is not None and not intensity_range[0] < intensity_range[1]:
        raise ValueError(f"intensity_range must run from low to high, got {intensity_range}")
    stored = read_values(path)
    values = stored.values
    with _named(path):
        if stored.palette is not None:
            return _Levels(_indices_to_grey(values, stored.palette), in_range=True, white_is_zero=False)
        if values.dtype.kind not in "uif":
            raise ValueError(f"values of type {values.dtype} are not grey levels; export it with 8 or 16 bits")
        if values.size == 0 or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] > 4):
            raise ValueError(f"shape {values.shape} is not that of one grey or RGB image; export it as such")
        in_range = values.dtype == np.uint8
        if values.ndim == 3:  # luma is float32, in which 16-bit integers are exact
            values = values[..., 0] if values.shape[2] < 3 else _colour_to_grey(values[..., :3])
        if not in_range and not np.isfinite(values).all():
            raise ValueError("holds values that are not numbers (NaN or infinite); replace them first")
    return _Levels(values, in_range, stored.white_is_zero)


@contextlib.contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Turn a ValueError of the `with` block into an SEMReadError that names the file."""
    try:
        yield
    except ValueError as cause:
        raise SEMReadError(f"{path}: {cause}") from None


def _indices_to_grey(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return grey levels (H, W): the palette indices for a repainted grey ramp, else the palette's colours as grey.

    Electron microscopes store grey levels as palette indices and repaint the entries that their annotations use
    (in the Zeiss files of Zenodo record 4563942, 27 of 256). Most palette entries then equal their own index as grey.
    """
    count = len(palette)
    if indices.ndim != 2 or indices.dtype.kind != "u" or indices.max(initial=0) >= count:
        raise ValueError(f"its palette of {count} colours does not fit its pixels; export it as grey")
    own_index = np.arange(count)[:, None]
    if 2 * np.count_nonzero((np.floor(palette) == own_index).all(axis=1)) > count:
        return indices.astype(np.float32)
    return _colour_to_grey(palette)[indices]


def _colour_to_grey(rgb: np.ndarray) -> np.ndarray:
    """Return the luma (BT.601) of colours (..., 3), float32, not rounded; equal channels give exactly their value."""
    equal = (rgb[..., 0] == rgb[..., 1]) & (rgb[..., 0] == rgb[..., 2])
    if equal.all():
        return rgb[..., 0].astype(np.float32)
    return np.where(equal, rgb[..., 0], rgb @ _LUMA).astype(np.float32)


def _percentile_range(values: np.ndarray) -> tuple[float, float]:
    """Return the percentiles that span the range without a declared one; ValueError if they are equal."""
    low, high = np.percentile(values, [LOWER_PERCENTILE, UPPER_PERCENTILE])
    if low == high:
        share = UPPER_PERCENTILE - LOWER_PERCENTILE
        raise ValueError(f"{share:.1f} % of its values equal {low:g}, no range to stretch; declare its intensity_range")
    return float(low), float(high)


def _scaled(values: np.ndarray, intensity_range: tuple[float, float]) -> np.ndarray:
    """Map finite values linearly from the range to 0-255, clip them and keep fractions."""
    low, high = intensity_range
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.clip(scaled, 0, 255).astype(np.float32)


def _specimen_rows(levels: _Levels) -> tuple[int, int]:
    """Return the first row of the specimen and the row after its last one, between data bars if there are any."""
    height, scaled = len(levels.values), list(_eight_bits(levels))
    bottoms = (find_data_bar(grey) for grey in scaled)
    bottom = next((row for row in bottoms if row is not None), height)
    tops = (find_data_bar(grey[::-1]) for grey in scaled)
    return next((height - row for row in tops if row is not None), 0), bottom


def _eight_bits(levels: _Levels) -> Iterator[np.ndarray]:
    """Yield the levels, (H, W) 0-255, in which to look for a data bar.

    Levels that must be stretched come twice: over the range of the middle half of the rows, which no bar reaches, so
    that a bar's white does not flatten the specimen; and over all values, so that a bar's ground and texts stay
    apart even if both are brighter than the specimen.
    """
    values = levels.values
    if levels.in_range:
        yield values
        return
    quarter = int(len(values) * TALLEST_SHARE)
    low, high = float(values.min()), float(values.max())
    with contextlib.suppress(ValueError):  # a flat middle
        yield _scaled(values, _percentile_range(values[quarter : len(values) - quarter]))
    if low < high:
        yield _scaled(values, (low, high))


def find_data_bar(grey: np.ndarray) -> int | None:
    """Find the first row of the data bar at an image's foot; the specimen is `grey[:row]`.

    A bar begins with an empty row (of one grey level) from which many pixels of both rows above differ. It ends with an
    empty row at the image's foot or close to it, is mostly of one level, takes up to a quarter of the image, and has
    texts or lines of high contrast. Unscanned rows, dark substrates and saturated areas lack one of these features.

    Args:
        grey: (H, W), 0-255.

    Returns:
        The row, or None if the image has no data bar.
    """
    levels = grey if grey.dtype == np.uint8 else np.rint(grey).astype(np.uint8)  # NumPy rounds bytes as float16, slowly
    rows = (_first_row(levels, tolerance) for tolerance in _TOLERANCES)
    return next((row for row in rows if row is not None), None)


def _first_row(levels: np.ndarray, tolerance: int) -> int | None:
    height = len(levels)
    top = height - int(height * TALLEST_SHARE)
    if height - top < _LOWEST_PX:
        return None
    level, share = _prevailing_levels(levels[top:], tolerance)
    empty = top + np.flatnonzero(share >= _EMPTY)
    if len(empty) == 0 or empty[-1] < height - 1 - int(height * _FOOT_SHARE):
        return None
    for row in empty[empty <= empty[-1] + 1 - _LOWEST_PX].tolist():
        above = levels[row - 2 : row].astype(np.int16)
        changes = abs(above - level[row - top]) > tolerance
        if changes.mean(axis=1).min() >= _STEP and _is_written_on(levels[row : empty[-1] + 1], tolerance):
            return row
    return None


def _prevailing_levels(rows: np.ndarray, tolerance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's most frequent grey level, (R,), and the share (R,) of its pixels within the tolerance of it."""
    count, width = rows.shape
    cells = rows + 256 * np.arange(count)[:, None]
    histograms = np.bincount(cells.ravel(), minlength=256 * count).reshape(count, 256)
    level = histograms.argmax(axis=1)
    near = abs(np.arange(256) - level[:, None]) <= tolerance
    return level, (histograms * near).sum(axis=1) / width


def _is_written_on(bar: np.ndarray, tolerance: int) -> bool:
    """Return whether rows have a ground of one level, and texts or lines on it."""
    (ground,), (share,) = _prevailing_levels(bar.reshape(1, -1), tolerance)
    ink = (abs(bar.astype(np.int16) - ground) >= _INK_LEVELS).mean()
    return bool(share >= _GROUND and _INK[0] <= ink <= _INK[1])
