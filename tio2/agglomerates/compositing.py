"""Agglomerates laid upon a background, and the seams between the two smoothed."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from tio2.agglomerates.agglomerate import Agglomerate

MEDIAN_PX = 5  # paper §3.2


@dataclass(frozen=True)
class Seam:
    """How an agglomerate is cut out and joined."""

    border_px: int = 2  # diffuse border taken along around the masks
    band_px: int = 2  # half the width of the band along the cut that the median smooths
    match_level: bool = False  # shift the agglomerate's grey levels by the difference of the surroundings' medians

    @property
    def reach_px(self) -> int:
        """How far around the masks anything is read or written."""
        return self.border_px + self.band_px + MEDIAN_PX // 2


@dataclass(frozen=True, eq=False)
class Cutout:
    """What of an agglomerate is laid down: grey levels and region, with room for the seam around."""

    image: np.ndarray  # (h, w) float32; zero beyond the agglomerate's own crop
    region: np.ndarray  # (h, w) uint8 0/1: pixels that replace the background
    band: np.ndarray  # (h, w) uint8 0/1: pixels on the seam
    origin: tuple[int, int]  # (row, column) of its first pixel in the agglomerate's crop; may be negative


def cut_out(agglomerate: Agglomerate, seam: Seam) -> Cutout:
    """The agglomerate's masks with their diffuse border.

    Raises:
        ValueError: the agglomerate's margin is narrower than the border that is asked for.
    """
    boxes = agglomerate.masks.boxes
    low = boxes[:, :2].min(axis=0)[::-1].astype(int)
    high = boxes[:, 2:].max(axis=0)[::-1].astype(int)
    if min(*low, *(agglomerate.image.shape - high)) < seam.border_px:
        raise ValueError(
            f"agglomerate of {agglomerate.source}: its margin is narrower than a border of {seam.border_px} px; "
            "build the library with a wider one"
        )
    reach = seam.reach_px
    top, left = (int(edge) for edge in low - reach)
    shape = tuple(int(side) for side in high - low + 2 * reach)
    region = cv2.dilate(_window(agglomerate.silhouette, (top, left), shape), disc(seam.border_px))
    band = cv2.dilate(region, disc(seam.band_px)) - cv2.erode(region, disc(seam.band_px))
    return Cutout(_window(agglomerate.image, (top, left), shape), region, band, (top, left))


def composite(background: np.ndarray, placed: Iterable[tuple[Cutout, tuple[int, int]]], seam: Seam) -> np.ndarray:
    """Lays cut-outs upon a background; only pixels on their seams are changed, by a 5 x 5 median.

    Args:
        background: (H, W) or (H, W, 3), float32 or uint8, 0-255; left as it is.
        placed: cut-outs with the (row, column) of their first pixel; their windows lie in the frame, none overlaps.
        seam: as they were cut out with.

    Returns:
        An image like the background. Off the bands every pixel is that of the cut-out (where it has its region; with
        `match_level` shifted, on uint8 rounded) or that of the background.
    """
    image = background.copy()
    for cutout, (row, column) in placed:
        window = image[row : row + cutout.region.shape[0], column : column + cutout.region.shape[1]]
        pasted = cutout.image
        if seam.match_level:
            pasted = np.clip(pasted + level_difference(cutout, window), 0, 255)
        if image.dtype == np.uint8:
            pasted = np.rint(pasted).astype(np.uint8)
        region, band = cutout.region > 0, cutout.band > 0
        if image.ndim == 3:
            pasted, region, band = pasted[..., None], region[..., None], band[..., None]
        joined = np.where(region, pasted, window)
        window[:] = np.where(band, cv2.medianBlur(joined, MEDIAN_PX), joined)
    return image


def level_difference(cutout: Cutout, window: np.ndarray) -> np.float32:
    """Grey levels by which the place of a cut-out's rim, its pixels on the band, is brighter than the rim itself."""
    rim = (cutout.band > 0) & (cutout.region > 0)
    return np.float32(np.median(window[rim]) - np.median(cutout.image[rim]))


def disc(radius_px: int) -> np.ndarray:
    """Structuring element of all pixels no further than the radius."""
    offsets = np.arange(-radius_px, radius_px + 1)
    return (offsets[:, None] ** 2 + offsets[None] ** 2 <= radius_px**2).astype(np.uint8)


def _window(image: np.ndarray, origin: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """An array's part from `origin` on, zero where that reaches beyond it."""
    (top, left), (height, width) = origin, shape
    part = image[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    out = np.zeros(shape, image.dtype)
    row, column = max(-top, 0), max(-left, 0)
    out[row : row + part.shape[0], column : column + part.shape[1]] = part
    return out
