"""RandomRescale and RandomScaledCrop scale image, boxes and masks alike, by factors of their range."""

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes

from semsize.structures import CroppedMasks
from tio2.datasets import InstanceCroppedMasks, RandomRescale, RandomScaledCrop


@pytest.fixture(autouse=True)
def _same_draws():
    """The same factors in every run: at half the size a pixel's rounding can be 3 % of an area."""
    np.random.seed(0)  # noqa: NPY002 - as SeededDataset does


def scene() -> dict:
    stack = np.zeros((1, 200, 300), np.uint8)
    stack[0, 50:150, 100:250] = 1
    masks = InstanceCroppedMasks(CroppedMasks.from_full(stack))
    boxes = HorizontalBoxes(masks.cropped.boxes)
    shown = {"img": stack[0, ..., None].repeat(3, 2), "img_shape": (200, 300)}
    return shown | {"gt_bboxes": boxes, "gt_masks": masks, "gt_ignore_flags": np.zeros(1, bool)}


def scene_of(masks: InstanceCroppedMasks, image=None, ignored=None) -> dict:
    """A scene of these particles."""
    flags = np.zeros(len(masks), bool) if ignored is None else ignored
    image = scene()["img"] if image is None else image
    boxes = HorizontalBoxes(masks.cropped.boxes)
    return dict(scene(), img=image, gt_bboxes=boxes, gt_masks=masks, gt_ignore_flags=flags)


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


def test_a_window_comes_out_at_one_size_scaled_by_factors_of_the_range():
    factors, proportions = [], []
    for _ in range(100):
        results = RandomScaledCrop((96, 120), (1.0, 2.5), stretch=1.5).transform(scene())
        assert results["img"].shape[:2] == results["img_shape"] == results["gt_masks"].cropped.image_shape == (96, 120)
        across, down = results["scale_factor"]
        factors.append(np.sqrt(across * down))
        proportions.append(across / down)
        # the image shows the particle, so the three must agree on where it is
        seen = CroppedMasks.from_full((results["img"][None, ..., 0] > 0).astype(np.uint8))
        assert np.abs(seen.union() ^ results["gt_masks"].cropped.union()).mean() < 0.02
        np.testing.assert_allclose(results["gt_bboxes"].tensor.numpy(), results["gt_masks"].cropped.boxes, atol=2)
    assert 0.97 < min(factors) < 1.15
    assert 2.2 < max(factors) < 2.58
    assert 0.64 < min(proportions) < 0.75
    assert 1.33 < max(proportions) < 1.57


def test_an_image_without_particles_is_cut_anywhere():
    stack = np.zeros((0, 200, 300), np.uint8)
    given = scene_of(InstanceCroppedMasks(CroppedMasks.from_full(stack)))
    assert RandomScaledCrop((40, 60), (1.0, 1.0)).transform(given)["img_shape"] == (40, 60)


def test_a_window_larger_than_the_image_takes_all_of_it():
    results = RandomScaledCrop((400, 300), (1.0, 1.0)).transform(scene())
    assert results["img_shape"] == (200, 300)
    assert results["gt_masks"].areas.tolist() == [15_000]


@pytest.mark.parametrize("ratio_range", [(0, 1), (2, 1)])
@pytest.mark.parametrize("transform", [RandomRescale, lambda given: RandomScaledCrop((8, 8), given)])
def test_a_range_that_is_none_is_refused(transform, ratio_range):
    with pytest.raises(ValueError, match="ratio_range"):
        transform(ratio_range)


def test_a_stretch_below_one_is_refused():
    with pytest.raises(ValueError, match="stretch"):
        RandomScaledCrop((8, 8), (1, 2), stretch=0.5)
