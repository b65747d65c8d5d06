"""Mask targets drawn from crops equal those drawn from full frames."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.mask import BitmapMasks, mask_target
from mmengine.config import Config

from semsize.structures.masks import CroppedMasks
from strategies import ellipse_stacks
from tio2.datasets import masks as masks_module
from tio2.datasets.masks import InstanceCroppedMasks

HEIGHT, WIDTH = 60, 80


def random_boxes(masks: CroppedMasks, assigned: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Boxes (P, 4) float32 around the particles they are assigned to, inside the image, as proposals are."""
    corners = masks.boxes[assigned].reshape(-1, 2, 2) + rng.normal(0, spread, (len(assigned), 2, 2))
    corners = np.sort(np.clip(corners, 0, (WIDTH, HEIGHT)), axis=1)
    corners[:, 1] = np.maximum(corners[:, 1], corners[:, 0] + 0.5)
    return corners.reshape(-1, 4).astype(np.float32)


@given(ellipse_stacks(), st.integers(0, 2**32 - 1), st.sampled_from([0.5, 3, 30]), st.sampled_from([7, 28, 56]))
@settings(deadline=None)
def test_shares_are_those_of_bitmap_masks(stack, seed, spread, side):
    rng = np.random.default_rng(seed)
    masks = CroppedMasks.from_full(stack)
    assigned = rng.integers(0, len(stack), 12) if len(stack) else np.zeros(0, np.int64)
    boxes = random_boxes(masks, assigned, spread, rng)
    ours = InstanceCroppedMasks(masks).crop_and_resize(boxes, (side, side), assigned, binarize=False)
    theirs = BitmapMasks(stack, HEIGHT, WIDTH).crop_and_resize(boxes, (side, side), assigned, binarize=False)
    assert ours.masks.shape == theirs.masks.shape
    np.testing.assert_allclose(ours.masks, theirs.masks, atol=1e-3)


def particle_scene(count: int) -> np.ndarray:
    """(count, 60, 80): ellipses anywhere, many cut by the frame's edges and corners."""
    rng = np.random.default_rng(5)
    stack = np.zeros((count, HEIGHT, WIDTH), np.uint8)
    for mask in stack:
        centre = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        cv2.ellipse(mask, centre, tuple(rng.integers(2, 20, 2).tolist()), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return stack


def test_mmdets_own_target_function_agrees_in_999_of_1000_pixels():
    stack = particle_scene(50)
    masks = CroppedMasks.from_full(stack)
    rng = np.random.default_rng(0)
    assigned = rng.integers(0, len(stack), 300)
    boxes = torch.from_numpy(random_boxes(masks, assigned, 3.0, rng))
    config = Config({"mask_size": 28})
    ours, theirs = (
        mask_target([boxes], [torch.from_numpy(assigned)], [truth], config)
        for truth in (InstanceCroppedMasks(masks), BitmapMasks(stack, HEIGHT, WIDTH))
    )
    assert ours.shape == theirs.shape == (300, 28, 28)
    assert (ours != theirs).float().mean() < 1e-3


def test_the_result_does_not_depend_on_the_batches(monkeypatch):
    stack = particle_scene(20)
    masks = InstanceCroppedMasks(CroppedMasks.from_full(stack))
    assigned = np.random.default_rng(1).integers(0, 20, 40)
    boxes = masks.cropped.boxes[assigned]
    at_once = masks.crop_and_resize(boxes, (14, 14), assigned, binarize=False).masks
    monkeypatch.setattr(masks_module, "BATCH_PIXELS", 500)
    np.testing.assert_allclose(masks.crop_and_resize(boxes, (14, 14), assigned, binarize=False).masks, at_once)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=30), st.integers(1, 200_000))
def test_parts_hold_every_crop_once_and_keep_to_the_limit(sizes, limit):
    sizes = np.array(sizes, np.int64).reshape(-1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks_module, "BATCH_PIXELS", limit)
        parts = masks_module.equal_sized_parts(sizes)
    assert sorted(position for part in parts for position in part) == list(range(len(sizes)))
    for part in parts:
        assert len(part) == 1 or len(part) * (sizes[part].max(axis=0) + 2).prod() <= limit


def test_no_masks_and_no_boxes():
    empty = InstanceCroppedMasks(CroppedMasks.empty((30, 40)))
    assert empty.crop_and_resize(np.zeros((0, 4)), (7, 7), np.zeros(0, int)).masks.shape == (0, 7, 7)
    one = InstanceCroppedMasks(CroppedMasks.from_full(np.ones((1, 5, 5), np.uint8)))
    assert one.crop_and_resize(np.zeros((0, 4), np.float32), (7, 7), np.zeros(0, int)).masks.shape == (0, 7, 7)


def test_a_mask_that_was_cropped_away_gives_an_empty_target():
    masks = InstanceCroppedMasks(CroppedMasks.from_full(np.zeros((1, 9, 9), np.uint8)))
    targets = masks.crop_and_resize(np.array([[0.0, 0, 9, 9]], np.float32), (7, 7), np.array([0]))
    assert not targets.masks.any()
