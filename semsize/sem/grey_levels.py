"""From stored values to grey levels 0-255: palettes, colours and the range of 16-bit and float images."""

from dataclasses import dataclass

import numpy as np

LOWER_PERCENTILE = 0.1
UPPER_PERCENTILE = 99.9

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def is_painted_ramp(palette: np.ndarray) -> bool:
    """Whether a palette is a grey ramp, whatever colours are painted over some of its entries.

    Electron microscopes store grey levels as palette indices and repaint the entries that their annotations use
    (in the Zeiss files of Zenodo record 4563942, 27 of 256). Most entries then equal their own index as grey.

    Args:
        palette: (K, 3), 0-255.
    """
    own_index = np.arange(len(palette))[:, None]
    return bool(2 * np.count_nonzero((palette == own_index).all(axis=1)) > len(palette))


def indices_to_grey(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Grey levels (H, W) of a palette image: its indices for a painted grey ramp, else the palette's colours as grey.

    Args:
        indices: (H, W) integers below K.
        palette: (K, 3), 0-255, fractions allowed.

    Raises:
        ValueError: these are no indices of that palette; the message says what to do.
    """
    if indices.ndim != 2 or indices.dtype.kind != "u" or indices.max(initial=0) >= len(palette):
        raise ValueError(f"its palette of {len(palette)} colours does not fit its pixels; export it as grey")
    if is_painted_ramp(np.floor(palette)):
        return indices.astype(np.float32)
    return colour_to_grey(palette)[indices]


def colour_to_grey(rgb: np.ndarray) -> np.ndarray:
    """Luma (BT.601) of colours (..., 3), unrounded float32; where the channels are equal, exactly their value."""
    equal = (rgb[..., 0] == rgb[..., 1]) & (rgb[..., 0] == rgb[..., 2])
    if equal.all():
        return rgb[..., 0].astype(np.float32)
    return np.where(equal, rgb[..., 0], rgb @ _LUMA).astype(np.float32)


@dataclass(frozen=True, eq=False)
class StoredLevels:
    """An image's values before they become grey levels.

    Attributes:
        values: (H, W), finite.
        in_range: they are grey levels of 0-255 already; others have to be stretched.
        white_is_zero: the file counts from white to black.
    """

    values: np.ndarray
    in_range: bool
    white_is_zero: bool = False

    def to_grey(self, intensity_range: tuple[float, float] | None, specimen: slice) -> np.ndarray:
        """Grey levels (H, W) float32, 0-255.

        Args:
            intensity_range: the values of black and white; None takes `percentile_range` of the specimen. Values that
                are in range stay as they are.
            specimen: rows without data bars, whose texts may be brighter than anything in the specimen.

        Raises:
            ValueError: the specimen has no range.
        """
        if self.in_range:
            grey = self.values.astype(np.float32)
        else:
            grey = scale_to_grey(self.values, intensity_range or percentile_range(self.values[specimen]))
        return 255 - grey if self.white_is_zero else grey


def stored_levels(values: np.ndarray) -> StoredLevels:
    """The levels of an image without a palette.

    Args:
        values: (H, W) or (H, W, C) with grey, grey and alpha, RGB, or RGB and alpha; those of 8 bits are in range.

    Raises:
        ValueError: this is no such image; the message says what to do.
    """
    if values.dtype.kind not in "uif":
        raise ValueError(f"values of type {values.dtype} are not grey levels; export it with 8 or 16 bits")
    if values.size == 0 or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] > 4):
        raise ValueError(f"shape {values.shape} is not that of one grey or RGB image; export it as such")
    in_range = values.dtype == np.uint8
    if values.ndim == 3:  # luma is float32, in which 16-bit integers are exact
        values = values[..., 0] if values.shape[2] < 3 else colour_to_grey(values[..., :3])
    if not in_range and not np.isfinite(values).all():
        raise ValueError("holds values that are not numbers (NaN or infinite); replace them first")
    return StoredLevels(values, in_range)


def percentile_range(values: np.ndarray) -> tuple[float, float]:
    """The 0.1 and 99.9 % percentiles of an image's values, between which it is stretched if nobody declares a range.

    Raises:
        ValueError: they are equal.
    """
    low, high = np.percentile(values, [LOWER_PERCENTILE, UPPER_PERCENTILE])
    if low == high:
        share = UPPER_PERCENTILE - LOWER_PERCENTILE
        raise ValueError(f"{share:.1f} % of its values equal {low:g}, no range to stretch; declare its intensity_range")
    return float(low), float(high)


def scale_to_grey(values: np.ndarray, intensity_range: tuple[float, float]) -> np.ndarray:
    """Values mapped linearly so that the range becomes 0-255, clipped beyond; fractions are kept.

    Args:
        values: any shape, finite.
        intensity_range: stored values of black and white, low < high.
    """
    low, high = intensity_range
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.clip(scaled, 0, 255).astype(np.float32)
