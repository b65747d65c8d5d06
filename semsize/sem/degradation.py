"""Pure functions that degrade a picture as an electron microscope does; augmentation and renderer use them.

Every function takes float32 (H, W) or (H, W, 3), does not change its input, keeps fractions of levels and returns
float32 within 0-255; `in_grey_levels` adapts other types. Equal channels stay equal.
"""

from collections.abc import Callable

import cv2
import numpy as np


def gaussian_blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Convolve with a Gaussian probe of standard deviation `sigma_px`; 0 leaves the image as it is."""
    return cv2.GaussianBlur(image, (0, 0), sigma_px) if sigma_px > 0 else image.copy()


def adjust_contrast(image: np.ndarray, gain: float = 1.0, offset: float = 0.0, gamma: float = 1.0) -> np.ndarray:
    """Apply the detector response 255 ((gain v + offset) / 255) ** gamma, clipped to 0-255; `offset` in grey levels."""
    linear = np.clip(image * np.float32(gain / 255) + np.float32(offset / 255), 0, 1)
    return (linear if gamma == 1 else linear ** np.float32(gamma)) * np.float32(255)


def change_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Move grey levels away from the image's mean (factor > 1) or towards it; clipped to 0-255."""
    return adjust_contrast(image, factor, (1 - factor) * float(image.mean()))


def multiply(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply all grey levels by a factor, as a stronger beam does; clipped to 255."""
    return adjust_contrast(image, factor)


def invert(image: np.ndarray) -> np.ndarray:
    """Return 255 - v: dark particles on bright ground, as a transmission detector or an inverted picture shows."""
    return np.float32(255) - image


def in_grey_levels(image: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a function of float32 0-255 to a uint8, uint16 or float32 image; return the image's own type.

    Raises:
        TypeError: the image has another type.
    """
    if image.dtype == np.float32:
        return function(image)
    if image.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"grey levels are uint8, uint16 or float32, not {image.dtype}; convert the image first")
    steps = np.float32(np.iinfo(image.dtype).max / 255)  # 1 or 257
    return np.rint(function(image / steps) * steps).astype(image.dtype)


def add_gaussian_noise(image: np.ndarray, std: float, rng: np.random.Generator) -> np.ndarray:
    """Add white noise of standard deviation `std` in grey levels, the same in all channels; clipped to 0-255."""
    return np.clip(image + np.float32(std) * _white_noise(image, rng), 0, 255)


def add_poisson_gaussian_noise(
    image: np.ndarray,
    electrons_per_level: float,
    std: float,
    rng: np.random.Generator,
    correlation_px: float = 0.0,
) -> np.ndarray:
    """Add counting noise of variance v / electrons_per_level and read-out noise of variance std ** 2; clip to 0-255.

    Counts are drawn as normal, which is close to Poisson from about ten electrons per pixel on (Foi et al., IEEE Trans.
    Image Process. 17, 1737, 2008, doi:10.1109/TIP.2008.2001399).

    Args:
        image: grey levels 0-255.
        electrons_per_level: detected electrons per grey level, > 0; fewer means more noise.
        std: standard deviation of the read-out noise, grey levels.
        rng: draws one number per pixel.
        correlation_px: standard deviation of the Gaussian that smooths the noise, as the amplifier's bandwidth does.
    """
    noise = _white_noise(image, rng)
    if correlation_px > 0:
        noise = cv2.GaussianBlur(noise, (5, 5), correlation_px).reshape(noise.shape)
        noise /= max(float(noise.std()), 1e-6)
    scale = np.sqrt(np.maximum(image, 0) * np.float32(1 / electrons_per_level) + np.float32(std**2))
    return np.clip(image + scale * noise, 0, 255)


def jitter_lines(image: np.ndarray, std_px: float, rng: np.random.Generator) -> np.ndarray:
    """Shift each scan line sideways by its own normal draw, as mains pick-up and vibration do; edge pixels repeat."""
    shifts = rng.normal(0, std_px, (image.shape[0], 1)).astype(np.float32)
    columns = np.arange(image.shape[1], dtype=np.float32)[None] + shifts
    rows = np.broadcast_to(np.arange(image.shape[0], dtype=np.float32)[:, None], columns.shape)
    return cv2.remap(image, columns, np.ascontiguousarray(rows), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _white_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard normal noise, float32, (H, W) or (H, W, 1), as the image has channels."""
    return rng.standard_normal(image.shape[:2] + (1,) * (image.ndim - 2), dtype=np.float32)
