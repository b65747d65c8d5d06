"""Crops of fixed size around an image's outlines, as a network takes them, and completed outlines back from crops.

The window of an outline is a square centred on its box, twice as wide as the box's longer side. Of the outlines of
which 0.6 to 0.8 is visible, windows 1.5 times as wide cut off one in ten, windows twice as wide one in a hundred.
Every window is scaled to `CROP_PX`, so that every particle has the same size in its crop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.visibility.surroundings import Surroundings, cut, placed_in, with_hidden

CROP_PX = 64
WINDOW_SCALE = 2
BATCH = 32
"""Crops a batch: a network's feature maps of 32 crops stay in a processor's cache, which saves a tenth of the time."""
CHANNELS = ("grey", "own", "others", "beyond")
"""Grey levels, 0 to 255; then the share, 0 to 1, of each pixel that the outline, other outlines, and the area beyond
the frame cover. No channel says which of two outlines lies in front, because a detector does not tell."""


def windows(masks: CroppedMasks) -> np.ndarray:
    """Windows of N outlines, (N, 3) int64: row and column of the first pixel, which may be negative, and side, px.

    Raises:
        ValueError: a mask is empty.

    >>> windows(CroppedMasks.from_crops([(np.ones((4, 6)), (10, 20))], (64, 64)))
    array([[ 6, 17, 12]])
    """
    if not masks.sizes.all():
        raise ValueError(f"{int((~masks.sizes.all(axis=1)).sum())} outlines are empty; remove them first")
    sides = WINDOW_SCALE * masks.sizes.max(axis=1, initial=0)
    corners = masks.origins + (masks.sizes - sides[:, None]) // 2
    return np.column_stack([corners, sides])


def particle_crops(
    grey: np.ndarray, masks: CroppedMasks, batch: int = BATCH, chosen: Sequence[int] | None = None
) -> Iterator[np.ndarray]:
    """Yield the crops of an image's outlines in their order, at most ``batch`` at a time.

    Args:
        grey: (H, W) grey levels, 0 to 255, of the frame without a data bar; the masks' image may include the bar.
        masks: N outlines, none empty.
        batch: crops held at a time, 64 KiB each.
        chosen: positions of the outlines to crop, by default all; the other outlines still appear in the crops.

    Yields:
        (≤ batch, 4, 64, 64) float32, see `CHANNELS`; grey levels beyond the frame are 0.

    >>> masks = CroppedMasks.from_label_image(np.pad(np.ones((8, 8), int), 8))
    >>> [crops] = particle_crops(np.full((24, 24), 100), masks)
    >>> crops.shape, crops[0].mean(axis=(1, 2))
    ((1, 4, 64, 64), array([100.  ,   0.25,   0.  ,   0.  ], dtype=float32))
    """
    if grey.ndim != 2 or grey.shape[1] != masks.image_shape[1] or grey.shape[0] > masks.image_shape[0]:
        raise ValueError(f"grey levels {grey.shape} do not belong to outlines of an image {masks.image_shape}")
    around, squares, placed = Surroundings.of(masks, grey), windows(masks), list(masks)
    chosen = range(len(masks)) if chosen is None else chosen
    for first in range(0, len(chosen), batch):
        part = chosen[first : first + batch]
        crops = np.empty((len(part), len(CHANNELS), CROP_PX, CROP_PX), np.float32)
        for crop, number in zip(crops, part, strict=True):
            row, column, side = squares[number].tolist()
            shape, corner = (side, side), (row, column)
            own = placed_in(*placed[number], shape, corner)
            layers = np.empty((*shape, len(CHANNELS)), np.float32)
            layers[..., 0], layers[..., 1] = cut(grey, shape, corner), own
            layers[..., 2], layers[..., 3] = around.others(own, corner), ~around.inside(shape, corner)
            crop[:] = scaled(layers, CROP_PX).transpose(2, 0, 1)
        yield crops


def mask_crops(masks: CroppedMasks, squares: np.ndarray) -> np.ndarray:
    """Crop masks to given windows: (N, 64, 64) float32 shares, 0 to 1, as targets of training.

    Args:
        masks: N masks, such as the whole outlines of rendered particles.
        squares: (N, 3) `windows` of the N visible outlines.
    """
    pairs = zip(masks, squares.tolist(), strict=True)
    crops = [scaled(placed_in(*mask, (side, side), (row, column)), CROP_PX) for mask, (row, column, side) in pairs]
    return np.array(crops, np.float32).reshape(-1, CROP_PX, CROP_PX)


def whole_outlines(masks: CroppedMasks, completed: np.ndarray, grey: np.ndarray, margin_px: int = 0) -> CroppedMasks:
    """Whole outlines in image pixels: each visible outline with the hidden pixels that its crop adds.

    Hidden pixels lie under another body, outlined or not, or beyond the frame, never over bare substrate
    (`Surroundings.may_hide`).

    Args:
        masks: N visible outlines, none empty.
        completed: (N, 64, 64) probability, 0 to 1, that a pixel of the crop belongs to the particle; 0.5 and more does.
        grey: (H, W) grey levels, 0 to 255, of the frame without a data bar.
        margin_px: rows and columns added on every side of the image, to keep outlines that reach beyond its edge; 0
            cuts them at the edge, as annotations do.

    >>> masks = CroppedMasks.from_label_image(np.repeat([[1, 1, 2, 2, 0, 0]], 2, axis=0))
    >>> whole_outlines(masks, np.ones((2, 64, 64)), np.zeros((2, 6))).to_full()[:, 0]  # too small to tell substrate
    array([[1, 1, 1, 0, 0, 0],
           [0, 1, 1, 1, 1, 0]], dtype=uint8)
    """
    around, placed = Surroundings.of(masks, grey), []
    for visible, (row, column, side), crop in zip(masks, windows(masks).tolist(), completed, strict=True):
        hidden = scaled(crop, side) >= 0.5
        hidden &= around.may_hide(*visible, (side, side), (row, column))
        whole, (top, left) = with_hidden(visible, hidden, (row, column))
        placed.append((whole, (top + margin_px, left + margin_px)))
    height, width = masks.image_shape
    return CroppedMasks.from_crops(placed, (height + 2 * margin_px, width + 2 * margin_px))


def scaled(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resize a square (s, s, …) to (side, side, …) float32: area mean when it shrinks, else linear interpolation.

    >>> scaled(np.array([[0, 4], [4, 8]]), 1)
    array([[4.]], dtype=float32)
    """
    how = cv2.INTER_AREA if side < pixels.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(pixels, np.float32), (side, side), interpolation=how)
