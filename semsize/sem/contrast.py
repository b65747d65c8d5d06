"""How far particles stand out of what lies around them."""

import numpy as np

from semsize.structures.masks import CroppedMasks


def particle_contrast(grey: np.ndarray, masks: CroppedMasks) -> float:
    """Median grey level on particles less the median off them.

    Args:
        grey: (H, W) levels of 0-255; rows below the masks' frame (a data bar) are left out.
        masks: of the particles, no taller than the image.

    Returns:
        Levels; NaN where there is no particle, or nothing but particles.

    Raises:
        ValueError: the masks are of a larger or wider image.
    """
    height, width = masks.image_shape
    if grey.shape[1] != width or grey.shape[0] < height:
        raise ValueError(f"masks of {masks.image_shape} (rows, columns) do not belong to an image of {grey.shape}")
    on = np.zeros((height, width), bool)
    for crop, (row, column) in masks:
        on[row : row + crop.shape[0], column : column + crop.shape[1]] |= crop > 0
    grey = grey[:height]
    return float(np.median(grey[on]) - np.median(grey[~on])) if on.any() and not on.all() else float("nan")
