"""A data bar as microscopes burn it into the foot of their images."""

import cv2
import numpy as np

BAR_SHARE = 1 / 11  # height of the bar over that of the frame


def add_data_bar(image: np.ndarray, pixel_size_nm: float) -> np.ndarray:
    """The image (H, W) uint8 with a black bar of H / 11 rows below it.

    The bar shows a scale bar of a round length, the pixel size and the width of the field of view.
    """
    height, width = image.shape
    bar = np.zeros((round(height * BAR_SHARE), width), dtype=np.uint8)
    middle, scale = bar.shape[0] // 2, bar.shape[0] / 90
    length_nm = round_length(width * pixel_size_nm / 5)
    right = 10 + round(length_nm / pixel_size_nm)
    cv2.line(bar, (10, middle), (right, middle), 255, 2)
    for end in (10, right):
        cv2.line(bar, (end, middle // 2), (end, middle + middle // 2), 255, 2)
    text = f"{_length(length_nm)}   Pixel Size = {pixel_size_nm:.4g} nm   Width = {_length(width * pixel_size_nm)}"
    cv2.putText(
        bar, text, (right + 15, middle + round(8 * scale)), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_AA
    )
    bar[:2] = 255
    return np.concatenate([image, bar])


def round_length(limit_nm: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that does not exceed the limit."""
    power = 10.0 ** np.floor(np.log10(limit_nm))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= limit_nm * (1 + 1e-9))


def _length(value_nm: float) -> str:
    return f"{value_nm / 1000:.4g} um" if value_nm >= 1000 else f"{value_nm:.4g} nm"
