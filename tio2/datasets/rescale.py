"""Random enlargement of an image and its particles, whatever the image's size: of the whole, or of a window in it."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import RandomCrop, Resize
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomRescale(BaseTransform):
    """Scales image, boxes and masks by one factor drawn anew each time.

    MMCV's RandomResize draws around a fixed size; particles want a fixed range of factors, so that images of different
    sizes keep their pixel sizes in step.

    Args:
        ratio_range: Smallest and largest factor; 1 leaves the image as it is.
    """

    def __init__(self, ratio_range: tuple[float, float]):
        self.ratio_range = checked_range("RandomRescale", ratio_range)

    @cache_randomness
    def draw_factor(self) -> float:
        """One factor of the range, every factor as likely."""
        return float(np.random.uniform(*self.ratio_range))  # noqa: NPY002 - SeededDataset seeds this one

    def transform(self, results: dict) -> dict:
        """Scale by the drawn factor with MMDetection's own Resize."""
        return Resize(scale_factor=self.draw_factor()).transform(results)


@TRANSFORMS.register_module()
class RandomScaledCrop(BaseTransform):
    """Cuts a window at random and scales it to one size: RandomRescale and a crop, without scaling what is cut away.

    With `stretch` the window's two directions are scaled differently, so that particles come longer and shorter.
    Where the image is smaller than the window, all of it is scaled, and the result is smaller than `crop_size`.

    Args:
        crop_size: (h, w) of the result in pixels.
        ratio_range: Smallest and largest factor of enlargement, every factor's logarithm as likely.
        stretch: Largest ratio of the factors along the two directions, at least 1; 1 keeps the proportions.
    """

    def __init__(self, crop_size: tuple[int, int], ratio_range: tuple[float, float], stretch: float = 1.0):
        self.ratio_range = checked_range("RandomScaledCrop", ratio_range)
        if stretch < 1:
            raise ValueError(f"RandomScaledCrop: stretch is a ratio of 1 or more, not {stretch}")
        self.crop_size = tuple(crop_size)
        self.stretch = stretch

    @cache_randomness
    def draw_factors(self) -> tuple[float, float]:
        """Enlargement along rows and along columns; their geometric mean lies in the range."""
        factor, ratio = np.random.uniform(  # noqa: NPY002 - SeededDataset seeds this one
            np.log((self.ratio_range[0], 1 / self.stretch)), np.log((self.ratio_range[1], self.stretch))
        )
        return float(np.exp(factor + ratio / 2)), float(np.exp(factor - ratio / 2))

    def transform(self, results: dict) -> dict:
        """Cut with MMDetection's RandomCrop, scale with its Resize."""
        height, width = self.crop_size
        down, across = self.draw_factors()
        window = max(1, round(height / down)), max(1, round(width / across))
        cut = RandomCrop(window[::-1], allow_negative_crop=True, recompute_bbox=True).transform(results)
        whole = cut["img_shape"]
        size = (
            width if whole[1] == window[1] else max(1, round(whole[1] * across)),
            height if whole[0] == window[0] else max(1, round(whole[0] * down)),
        )
        return Resize(scale=size, keep_ratio=False).transform(cut)


def checked_range(name: str, ratio_range: tuple[float, float]) -> tuple[float, float]:
    """The range, if it is two positive factors in order.

    Raises:
        ValueError: It is not; `name` is the transform's.
    """
    low, high = ratio_range
    if not 0 < low <= high:
        raise ValueError(f"{name}: ratio_range is two positive factors, low and high, not {ratio_range}")
    return low, high
