"""RandomTranspose exchanges rows and columns of everything in a sample, in its share of the samples."""

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes

from semsize.structures import CroppedMasks
from tio2.datasets import InstanceCroppedMasks, RandomTranspose


def scene() -> dict:
    stack = np.zeros((2, 40, 60), np.uint8)
    stack[0, 5:10, 20:50] = 1
    stack[1, 30:39, 2:4] = 1
    masks = InstanceCroppedMasks(CroppedMasks.from_full(stack), {"number": np.arange(2)})
    image = stack.max(axis=0)[..., None].repeat(3, 2)
    boxes = HorizontalBoxes(masks.cropped.boxes)
    return {"img": image, "img_shape": (40, 60), "gt_bboxes": boxes, "gt_masks": masks}


def test_image_boxes_and_masks_are_transposed_together():
    before, after = scene(), RandomTranspose(1.0).transform(scene())
    np.testing.assert_array_equal(after["img"], before["img"].swapaxes(0, 1))
    assert after["img_shape"] == after["gt_masks"].cropped.image_shape == (60, 40)
    np.testing.assert_array_equal(after["gt_masks"].to_ndarray(), before["gt_masks"].to_ndarray().swapaxes(1, 2))
    np.testing.assert_array_equal(after["gt_bboxes"].tensor.numpy(), after["gt_masks"].cropped.boxes)
    assert after["gt_masks"].fields["number"].tolist() == [0, 1]


def test_as_many_samples_are_transposed_as_it_says():
    assert RandomTranspose(0.0).transform(scene())["img_shape"] == (40, 60)
    transform = RandomTranspose(0.3)
    share = np.mean([transform.transform({"img": np.zeros((2, 3, 3))})["img"].shape[0] == 3 for _ in range(1000)])
    assert share == pytest.approx(0.3, abs=0.06)


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ValueError, match="prob"):
        RandomTranspose(1.5)
