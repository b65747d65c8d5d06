"""SEM image formation, from geometry to detector signal; each function is one effect.

Signals are relative to a flat, untilted TiO2 face, which gives 1. References: Seiler, J. Appl. Phys. 54, R1 (1983),
doi:10.1063/1.332840; Goldstein et al., Scanning Electron Microscopy and X-Ray Microanalysis, 4th ed. (2018),
doi:10.1007/978-1-4939-6676-9; Reimer, Scanning Electron Microscopy, 2nd ed. (1998), doi:10.1007/978-3-540-38967-5.

Functions with a `detail` state lengths of the specimen in px at a detail of 1, a pixel of 7.344 nm, and multiply them
by `detail`. Structure that is then finer than a pixel averages out.
"""

import cv2
import numpy as np

from semsize.sem.degradation import gaussian_blur

SKIRT_PX = 1.6  # at a detail of 1


def tilt_yield(cosines: np.ndarray, exponent: float, ceiling: float) -> np.ndarray:
    """Return the secondary-electron yield, which grows with tilt: min(cos ** -exponent, ceiling) (Seiler 1983).

    The exponent is about 1.1 for light elements and 0.8 for heavy ones; the ceiling is the yield of an edge as wide as
    the electrons' escape depth.
    """
    floor = np.float32(ceiling ** (-1 / exponent))
    return np.maximum(cosines, floor) ** np.float32(-exponent)


def edge_effect(depths: np.ndarray, width_px: float) -> np.ndarray:
    """Return the extra yield near a free edge, exp(-d / width): backscattered electrons release secondaries there, too.

    `depths` are distances d in px within the silhouette of the visible body, inf where there is none; the width is the
    range of the backscattered electrons (Reimer 1998).
    """
    return np.exp(np.maximum(depths, 0) * np.float32(-1 / width_px))


def shadowing(heights: np.ndarray, range_px: float, strength: float) -> np.ndarray:
    """Return the share of electrons that leave a gap, exp(-(strength d / range) ^ 2): 1 on open ground and on tops.

    d is the depth of the surface `heights` (H, W) below its mean around; `range_px` is the distance over which walls
    absorb electrons (Reimer 1998).
    """
    quarter = cv2.resize(heights, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    around = cv2.GaussianBlur(quarter, (0, 0), range_px / 4)
    around = cv2.resize(around, heights.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.exp(-np.square(np.float32(strength / range_px) * np.maximum(around - heights, 0)))


def compress_highlights(level: np.ndarray, knee: float, ceiling: float) -> np.ndarray:
    """Limit bright emission: leave levels up to `knee` as they are and bend higher ones smoothly towards `ceiling`.

    An insulator that emits more than it receives charges positively and draws slow electrons back (Reimer 1998).
    """
    room = np.float32(max(ceiling - knee, 1))
    return np.where(level <= knee, level, ceiling - room * np.exp(np.minimum(np.float32(knee) - level, 0) / room))


def probe_blur(level: np.ndarray, sigma_px: float, skirt: float, detail: float = 1.0) -> np.ndarray:
    """Blur by a probe of standard deviation `sigma_px` with a skirt of SKIRT_PX, from which the share `skirt` comes.

    Electrons scattered out of the probe release secondaries a little way off (Reimer 1998).
    """
    wide = gaussian_blur(level, SKIRT_PX * detail)
    return gaussian_blur(level, sigma_px) * np.float32(1 - skirt) + wide * np.float32(skirt)


def line_streaks(shape: tuple[int, int], length_px: float, rng: np.random.Generator) -> np.ndarray:
    """Draw noise (H, W) of unit variance along scan lines, as a charging specimen's potential changes.

    `length_px` is the correlation length along a line; lines are independent.
    """
    coarse = rng.standard_normal((shape[0], max(2, int(np.ceil(shape[1] / length_px)) + 1)), dtype=np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR) * np.float32(1.2)


def charging_bands(count: int, rows: int, length_px: float, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` courses of brightness that jump between scan lines, as bodies charge and discharge (Reimer 1998).

    Returns:
        (count, rows) float32 of zero mean and unit variance, constant over `length_px` lines on average.
    """
    jumps = rng.random((count, rows)) < 1 / length_px
    segment = np.cumsum(jumps.ravel()).reshape(count, rows)
    return rng.standard_normal(count * rows + 1, dtype=np.float32)[segment]


def fractal_slopes(shape: tuple[int, int], rng: np.random.Generator, detail: float = 1.0) -> np.ndarray:
    """Draw slopes (2, H, W) float32 along x and y of a rough surface with relief at 1, 2.5 and 6 px; unit variance."""
    slopes = np.zeros((2, *shape), dtype=np.float32)
    for scale in (1.0, 2.5, 6.0):
        scale_px = scale * detail
        height = smooth_noise(shape, max(scale_px, 1), rng)
        along = [cv2.Sobel(height, cv2.CV_32F, x, 1 - x, scale=1 / 8) for x in (1, 0)]
        slopes += np.stack(along) / np.float32(along[0].std()) * np.float32(min(scale_px, 1))
    return slopes / np.float32(np.sqrt(3))


def debris(shape: tuple[int, int], count: int, rng: np.random.Generator, detail: float = 1.0) -> np.ndarray:
    """Draw crumbs on a substrate, grainy flakes of 2 to 9 px radius: (H, W) float32, up to 1.5, 0 on bare ground."""
    field = np.zeros(shape, dtype=np.float32)
    for _ in range(count):
        radius = rng.uniform(2, 9) * detail
        half = int(1.6 * radius) + 2
        row, column = (int(rng.integers(0, max(1, n - 2 * half))) for n in shape)
        y, x = np.mgrid[-half:half, -half:half].astype(np.float32) / np.float32(radius)
        grain_px = max(detail, 1.0)
        grain = cv2.GaussianBlur(rng.standard_normal(x.shape, dtype=np.float32), (0, 0), grain_px)
        grain *= np.float32(2.5 * grain_px)
        flake = np.clip(grain + 1 - 2 * (x**2 + y**2), 0, 1.5) * np.float32(rng.uniform(0.3, 1.0))
        window = field[row : row + 2 * half, column : column + 2 * half]
        np.maximum(window, flake[: window.shape[0], : window.shape[1]], out=window)
    return field


def smooth_noise(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> np.ndarray:
    """Draw isotropic noise (H, W) float32 of zero mean and unit variance, correlated over `scale_px` (at least 1)."""
    step = max(1, int(scale_px // 2))
    small = (max(4, shape[0] // step + 2), max(4, shape[1] // step + 2))
    noise = cv2.GaussianBlur(rng.standard_normal(small, dtype=np.float32), (0, 0), scale_px / step)
    noise *= np.float32(1 / max(noise.std(), 1e-6))
    return cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)


def membrane(
    shape: tuple[int, int], scale_px: float, azimuth: float, rng: np.random.Generator, detail: float = 1.0
) -> np.ndarray:
    """Draw the relief of a wrinkled carbon membrane: broken rims of shallow blisters, and a fine unevenness.

    Blisters have the size `scale_px` and are lit from the azimuth, radians from x towards y.

    Returns:
        (H, W) float32, about zero between the rims and of the order of 1 on them.
    """
    relief = np.float32(0.8) * lit_rims(smooth_noise(shape, scale_px, rng), azimuth, detail)
    relief += np.float32(0.6) * lit_rims(smooth_noise(shape, 1.8 * scale_px, rng), azimuth, detail)
    relief *= np.maximum(smooth_noise(shape, 2 * scale_px, rng) + np.float32(0.3), 0)
    slopes = fractal_slopes(shape, rng, detail)
    lit = slopes[0] * np.float32(np.cos(azimuth)) + slopes[1] * np.float32(np.sin(azimuth))
    return relief + np.float32(0.06) * lit


def lit_rims(height: np.ndarray, azimuth: float, detail: float = 1.0) -> np.ndarray:
    """Return the contour lines of a landscape (H, W) of unit variance at height 1.2, 2 px wide, brighter where lit."""
    level = height - np.float32(1.2)
    along_x, along_y = cv2.Sobel(level, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(level, cv2.CV_32F, 0, 1, scale=1 / 8)
    steepness = np.sqrt(along_x**2 + along_y**2) + np.float32(1e-4)
    half_px = max(detail, 1.0)
    rim = np.exp(-np.square(level / steepness * np.float32(1 / half_px)))  # of the distance to the contour line, px
    rim *= np.float32(min(detail, 1.0))
    lit = (along_x * np.float32(np.cos(azimuth)) + along_y * np.float32(np.sin(azimuth))) / steepness
    return rim * (np.float32(0.35) + np.float32(0.65) * lit)
