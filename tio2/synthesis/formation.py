"""SEM image formation, from geometry to detector signal; each function is one effect.

Signals are relative to a flat, untilted TiO2 face, which gives 1. References: Seiler, J. Appl. Phys. 54, R1 (1983),
doi:10.1063/1.332840; Goldstein et al., Scanning Electron Microscopy and X-Ray Microanalysis, 4th ed. (2018),
doi:10.1007/978-1-4939-6676-9; Reimer, Scanning Electron Microscopy, 2nd ed. (1998), doi:10.1007/978-3-540-38967-5.
"""

import cv2
import numpy as np


def tilt_yield(cosines: np.ndarray, exponent: float, ceiling: float) -> np.ndarray:
    """Secondary-electron yield growing with tilt, min(cos ** -exponent, ceiling): bright edges (Seiler 1983).

    Args:
        cosines: cosine of the surface's tilt against the beam, 0-1, any shape.
        exponent: about 1.1 for light, 0.8 for heavy elements.
        ceiling: the greatest yield, that of an edge as wide as the electrons' escape depth.
    """
    floor = np.float32(ceiling ** (-1 / exponent))
    return np.maximum(cosines, floor) ** np.float32(-exponent)


def shadowing(heights: np.ndarray, range_px: float, strength: float) -> np.ndarray:
    """Share of the electrons that leave a gap: exp(-strength d / range), d = depth below the mean surface around it.

    Args:
        heights: (H, W) surface in px.
        range_px: distance over which walls take electrons up (Reimer 1998).
        strength: attenuation per depth of one range.

    Returns:
        (H, W) float32, 1 on open ground and on tops.
    """
    quarter = cv2.resize(heights, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    around = cv2.GaussianBlur(quarter, (0, 0), range_px / 4)
    around = cv2.resize(around, heights.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.exp(np.float32(-strength / range_px) * np.maximum(around - heights, 0))


def compress_highlights(level: np.ndarray, knee: float, ceiling: float) -> np.ndarray:
    """A video amplifier near saturation: the identity up to `knee`, then bending smoothly towards `ceiling`."""
    room = np.float32(ceiling - knee)
    return np.where(level <= knee, level, ceiling - room * np.exp(np.minimum(np.float32(knee) - level, 0) / room))


def line_streaks(shape: tuple[int, int], length_px: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance that runs along scan lines, as a charging specimen's potential changes from line to line.

    Args:
        shape: (H, W).
        length_px: correlation length along a line.
        rng: draws the noise.
    """
    coarse = rng.standard_normal((shape[0], max(2, int(np.ceil(shape[1] / length_px)) + 1)), dtype=np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR) * np.float32(1.2)


def smooth_noise(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 isotropic noise of zero mean and unit variance, correlated over `scale_px` (at least 1)."""
    step = max(1, int(scale_px // 2))
    small = (max(4, shape[0] // step + 2), max(4, shape[1] // step + 2))
    noise = cv2.GaussianBlur(rng.standard_normal(small, dtype=np.float32), (0, 0), scale_px / step)
    noise *= np.float32(1 / max(noise.std(), 1e-6))
    return cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)


def membrane(shape: tuple[int, int], scale_px: float, azimuth: float, rng: np.random.Generator) -> np.ndarray:
    """Relief of a wrinkled carbon membrane: broken rims of shallow blisters, lit from one side, and a fine unevenness.

    Args:
        shape: (H, W).
        scale_px: size of the blisters.
        azimuth: direction from which they are lit, radians from x towards y.
        rng: draws them.

    Returns:
        (H, W) float32, about zero between the rims and of the order of 1 on them.
    """
    level = smooth_noise(shape, scale_px, rng) - np.float32(0.9)
    along_x, along_y = cv2.Sobel(level, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(level, cv2.CV_32F, 0, 1, scale=1 / 8)
    steepness = np.sqrt(along_x**2 + along_y**2) + np.float32(1e-4)
    rim = np.exp(-np.square(level / steepness * np.float32(1.2)))  # of the distance to the contour line, px
    lit = (along_x * np.float32(np.cos(azimuth)) + along_y * np.float32(np.sin(azimuth))) / steepness
    broken = np.maximum(smooth_noise(shape, 3 * scale_px, rng) + np.float32(0.2), 0)
    fine = smooth_noise(shape, 2.5, rng)
    return rim * broken * (np.float32(0.35) + np.float32(0.65) * lit) + np.float32(0.03) * fine
