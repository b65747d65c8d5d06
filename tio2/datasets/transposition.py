"""Random exchange of rows and columns: with the flips, all eight ways to lay a square."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomTranspose(BaseTransform):
    """Exchanges rows and columns of image, boxes and masks.

    Args:
        prob: Share of the samples.
    """

    def __init__(self, prob: float = 0.5):
        if not 0 <= prob <= 1:
            raise ValueError(f"RandomTranspose: prob is a share from 0 to 1, not {prob}")
        self.prob = prob

    @cache_randomness
    def draw(self) -> bool:
        """Whether this sample is transposed."""
        return bool(np.random.uniform() < self.prob)  # noqa: NPY002 - SeededDataset seeds this one

    def transform(self, results: dict) -> dict:
        """Transpose, or hand on."""
        if not self.draw():
            return results
        results["img"] = np.ascontiguousarray(results["img"].swapaxes(0, 1))
        results["img_shape"] = results["img"].shape[:2]
        if "gt_bboxes" in results:
            boxes = results["gt_bboxes"]
            results["gt_bboxes"] = type(boxes)(boxes.tensor[:, [1, 0, 3, 2]])
        if "gt_masks" in results:
            results["gt_masks"] = results["gt_masks"].transpose()
        return results
