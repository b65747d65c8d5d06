"""Background texture: a smooth field of grey levels, and grain on it that is copied from where it is bare.

Grain is laid in square tiles. Where two overlap, their weights w satisfy the sum of w ** 2 = 1, so that noise keeps its
variance across the seam: a plain cross-fade would halve it there and leave a trace.
"""

import cv2
import numpy as np

FIELD_SIGMA_PX = 40.0
TILE_PX = 128
SEAM_PX = 12
LEAST_REACH = 0.01  # of the Gaussian's weight must lie on bare pixels


class TextureError(ValueError):
    """Too little bare background to copy grain from."""


def smooth_field(image: np.ndarray, bare: np.ndarray, sigma_px: float = FIELD_SIGMA_PX) -> np.ndarray:
    """Gaussian mean (H, W) float32 over the bare pixels around each pixel.

    Args:
        image: (H, W) grey levels.
        bare: (H, W) bool.
        sigma_px: standard deviation of the Gaussian; doubled for pixels with hardly a bare one in reach, up to the
            image's size, beyond which the mean over all bare pixels is taken.

    Raises:
        TextureError: no pixel is bare.
    """
    if not bare.any():
        raise TextureError("no bare background at all; use images with fewer particles or a smaller halo")
    field, known = np.full(image.shape, image[bare].mean(), np.float32), np.zeros(image.shape, bool)
    weights = bare.astype(np.float32)
    values = image * weights
    while sigma_px < max(image.shape) and not known.all():
        reach = _gaussian(weights, sigma_px)
        new = ~known & (reach > LEAST_REACH)
        field[new] = _gaussian(values, sigma_px)[new] / reach[new]
        known |= new
        sigma_px *= 2
    return field


def lay_grain(
    grain: np.ndarray,
    bare: np.ndarray,
    shape: tuple[int, int],
    rng: np.random.Generator,
    wanted: np.ndarray | None = None,
    tile_px: int = TILE_PX,
) -> np.ndarray:
    """A frame of grain, tile by tile from random bare places.

    Args:
        grain: (H, W) float32, grey levels above the smooth field; used where bare.
        bare: (H, W) bool.
        shape: of the frame that is asked for.
        rng: draws the places.
        wanted: (shape) bool, where grain is needed; elsewhere zeros may be left. None: everywhere.
        tile_px: side of a tile without its seams; halved until a bare place of that size exists.

    Returns:
        (shape) float32 with the grain's mean and variance.

    Raises:
        TextureError: no place is bare, down to tiles of 16 px and their seams.
    """
    seam = SEAM_PX
    places = _bare_places(bare, tile_px + seam)
    while len(places) == 0:
        tile_px //= 2
        if tile_px < 16:
            raise TextureError(
                f"no bare square of {2 * tile_px + seam} px to copy texture from; use images with fewer particles"
            )
        places = _bare_places(bare, tile_px + seam)
    side = tile_px + seam
    ramp = np.sin(np.clip((np.arange(side) + 0.5) / seam, 0, 1) * np.pi / 2)
    ramp = np.minimum(ramp, ramp[::-1])
    weight = np.outer(ramp, ramp).astype(np.float32)
    out = np.zeros((shape[0] + 2 * side, shape[1] + 2 * side), np.float32)
    for top in range(-seam, shape[0], tile_px):
        for left in range(-seam, shape[1], tile_px):
            part = (slice(max(top, 0), top + side), slice(max(left, 0), left + side))
            if wanted is None or wanted[part].any():
                row, column = places[rng.integers(len(places))]
                tile = grain[row : row + side, column : column + side]
                out[top + side : top + 2 * side, left + side : left + 2 * side] += weight * tile
    return out[side : side + shape[0], side : side + shape[1]]


def blend_grain(own: np.ndarray, laid: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`share` (0-1) of laid grain and the rest its own, by weights that keep the variance."""
    angle = share.astype(np.float32) * np.float32(np.pi / 2)
    return np.cos(angle) * own + np.sin(angle) * laid


def _gaussian(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur; wide ones at a reduced size, which is indistinguishable and quick."""
    step = max(int(sigma_px // 10), 1)
    size = [max(round(side / step), 1) for side in image.shape[::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / step, borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _bare_places(bare: np.ndarray, side: int) -> np.ndarray:
    """(K, 2) first pixels (row, column) of all bare squares of that side."""
    if min(bare.shape) < side:
        return np.zeros((0, 2), np.int64)
    total = cv2.integral((~bare).astype(np.uint8))
    return np.argwhere(total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side] == 0)
