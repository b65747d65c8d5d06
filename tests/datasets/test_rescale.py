"""RandomRescale and RandomScaledCrop scale image, boxes and masks alike, by factors of their range."""

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes

from semsize.structures import CroppedMasks
from tio2.datasets import InstanceCroppedMasks, RandomRescale, RandomScaledCrop


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


def test_windows_with_focus_hold_a_particle_and_lie_all_around_it():
    def seen(focus: float) -> list[int]:
        """Of a particle of 4 px in 200 x 300: what 200 windows of 40 x 60 hold."""
        stack = np.zeros((1, 200, 300), np.uint8)
        stack[0, 20:22, 250:252] = 1
        found = []
        for _ in range(200):
            masks = InstanceCroppedMasks(CroppedMasks.from_full(stack))
            given = scene_of(masks, stack[0, ..., None])
            cut = RandomScaledCrop((40, 60), (1.0, 1.0), focus=focus).transform(given)
            assert cut["img_shape"] == (40, 60)
            found.append((int(cut["gt_masks"].areas.sum()), *cut["gt_bboxes"].tensor.numpy()[:, :2].ravel()))
        return found

    over = seen(1.0)
    assert min(area for area, *_ in over) >= 1
    across = [left for _, left, _ in over]
    assert min(across) < 12  # the image ends 50 px to the right: a window may begin 10 px before the particle
    assert max(across) > 46
    assert 0.4 < np.mean([area > 0 for area, *_ in seen(0.5)]) < 0.7
    assert np.mean([area > 0 for area, *_ in seen(0.0)]) < 0.15


def test_an_image_without_particles_is_cut_anywhere():
    stack = np.zeros((0, 200, 300), np.uint8)
    given = scene_of(InstanceCroppedMasks(CroppedMasks.from_full(stack)))
    assert RandomScaledCrop((40, 60), (1.0, 1.0), focus=1.0).transform(given)["img_shape"] == (40, 60)


@pytest.mark.parametrize("particles", [0, 1])
def test_focus_lies_on_particles_and_never_on_ignored_regions(particles):
    """Ignored regions crowd the right; the particle, if there is one, lies on the left."""
    stack = np.zeros((21, 200, 300), np.uint8)
    for number in range(20):
        stack[number, 8 * number + 20 : 8 * number + 24, 280:284] = 1
    stack[20, 20:24, 20:24] = 1
    masks = InstanceCroppedMasks(CroppedMasks.from_full(stack[: 20 + particles]))
    flags = np.arange(20 + particles) < 20
    np.random.seed(0)  # noqa: NPY002 - as SeededDataset does
    left = []
    for _ in range(100):
        given = scene_of(masks, np.arange(300)[None, :, None].repeat(200, 0), flags)
        left.append(RandomScaledCrop((40, 40), (1.0, 1.0), focus=1.0).transform(given)["img"][0, 0])
    assert max(left) <= 24 if particles else max(left) - min(left) > 200  # without a particle it lies anywhere


def test_a_focus_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match="focus"):
        RandomScaledCrop((8, 8), (1, 2), focus=1.5)


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
