"""RandomRescale scales image, boxes and masks alike, by factors of its range."""

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes

from tio2.datasets import InstanceCroppedMasks, RandomRescale
from tio2.structures import CroppedMasks


def scene() -> dict:
    stack = np.zeros((1, 200, 300), np.uint8)
    stack[0, 50:150, 100:250] = 1
    masks = InstanceCroppedMasks(CroppedMasks.from_full(stack))
    boxes = HorizontalBoxes(masks.cropped.boxes)
    return {"img": stack[0, ..., None].repeat(3, 2), "img_shape": (200, 300), "gt_bboxes": boxes, "gt_masks": masks}


def test_everything_is_scaled_by_one_factor_of_the_range():
    factors = []
    for _ in range(40):
        results = RandomRescale((0.5, 2.0)).transform(scene())
        factor = results["img_shape"][1] / 300
        factors.append(factor)
        assert results["img"].shape[:2] == results["img_shape"] == results["gt_masks"].cropped.image_shape
        np.testing.assert_allclose(results["gt_bboxes"].tensor.numpy(), results["gt_masks"].cropped.boxes, atol=1.5)
        assert results["gt_masks"].areas[0] == pytest.approx(15_000 * factor**2, rel=0.03)
    assert 0.49 <= min(factors) < 0.8
    assert 1.6 < max(factors) <= 2.01


@pytest.mark.parametrize("ratio_range", [(0, 1), (2, 1)])
def test_a_range_that_is_none_is_refused(ratio_range):
    with pytest.raises(ValueError, match="ratio_range"):
        RandomRescale(ratio_range)
