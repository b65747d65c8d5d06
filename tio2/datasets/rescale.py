"""Random enlargement of an image and its particles, whatever the image's size."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import Resize
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
        low, high = ratio_range
        if not 0 < low <= high:
            raise ValueError(f"RandomRescale: ratio_range is two positive factors, low and high, not {ratio_range}")
        self.ratio_range = (low, high)

    @cache_randomness
    def draw_factor(self) -> float:
        """One factor of the range, every factor as likely."""
        return float(np.random.uniform(*self.ratio_range))  # noqa: NPY002 - SeededDataset seeds this one

    def transform(self, results: dict) -> dict:
        """Scale by the drawn factor with MMDetection's own Resize."""
        return Resize(scale_factor=self.draw_factor()).transform(results)
