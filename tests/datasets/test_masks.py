"""InstanceCroppedMasks equals mmdet's BitmapMasks and keeps the fields of each particle."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from semsize.structures.masks import CroppedMasks
from strategies import ellipse_stacks, image_shapes, indices, noise_stacks
from tio2.datasets.masks import InstanceCroppedMasks

# near a quarter turn whole rows of pixels lie half-way between two, and rounding decides
angles = st.builds(lambda quarter, rest: 90 * quarter + rest, st.integers(-2, 1), st.floats(0.5, 89.5))
interpolations = st.sampled_from(["nearest", "bilinear"])
axes = st.sampled_from(["horizontal", "vertical"])


def both(stack: np.ndarray) -> tuple[InstanceCroppedMasks, BitmapMasks]:
    """The same masks, ours with the number of each as a field."""
    ours = InstanceCroppedMasks(CroppedMasks.from_full(stack), {"number": np.arange(len(stack))})
    return ours, BitmapMasks(stack, *stack.shape[1:])


def assert_same(ours: InstanceCroppedMasks, theirs: BitmapMasks) -> None:
    assert (ours.height, ours.width) == (theirs.height, theirs.width)
    np.testing.assert_array_equal(ours.to_ndarray(), theirs.to_ndarray())
    assert ours.areas.tolist() == theirs.areas.tolist()
    assert ours.fields["number"].tolist() == list(range(len(theirs)))


def assert_close(ours: InstanceCroppedMasks, theirs: BitmapMasks) -> None:
    """At most a twentieth of each outline's pixels differ; OpenCV places the two to 1/32 of a pixel."""
    assert (ours.height, ours.width) == (theirs.height, theirs.width)
    for our_mask, their_mask in zip(ours.to_ndarray(), theirs.to_ndarray(), strict=True):
        contours = cv2.findContours(their_mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        perimeter = sum(cv2.arcLength(contour, True) for contour in contours)
        assert np.count_nonzero(our_mask != their_mask) <= max(perimeter / 20, 1)


@given(st.one_of(noise_stacks(), ellipse_stacks()), st.sampled_from(["horizontal", "vertical", "diagonal"]))
def test_flip(stack, direction):
    ours, theirs = both(stack)
    assert_same(ours.flip(direction), theirs.flip(direction))


@given(st.one_of(noise_stacks(), ellipse_stacks()), image_shapes(90))
def test_resize(stack, shape):
    ours, theirs = both(stack)
    assert_same(ours.resize(shape), theirs.resize(shape))


@given(ellipse_stacks(), st.one_of(st.floats(0.1, 3), st.tuples(st.integers(20, 200), st.integers(20, 200))))
def test_rescale(stack, scale):
    ours, theirs = both(stack)
    assert_same(ours.rescale(scale), theirs.rescale(scale))


@given(ellipse_stacks(), st.integers(0, 79), st.integers(0, 59), st.integers(1, 90), st.integers(1, 90))
def test_crop(stack, x, y, width, height):
    ours, theirs = both(stack)
    box = np.array([x, y, x + width, y + height])
    assert_same(ours.crop(box), theirs.crop(box))


@given(ellipse_stacks(), st.integers(0, 20), st.integers(0, 20), st.integers(0, 9), st.integers(0, 9))
def test_pad_and_expand(stack, rows, columns, top, left):
    ours, theirs = both(stack)
    larger = (60 + rows + top, 80 + columns + left)
    assert_same(ours.pad(larger), theirs.pad(larger))
    assert_same(ours.pad(larger, pad_val=0), theirs.pad(larger))
    assert_same(ours.expand(*larger, top, left), theirs.expand(*larger, top, left))


@given(ellipse_stacks(), st.integers(-90, 90), st.integers(-90, 90), image_shapes(90))
def test_translation_by_whole_pixels(stack, x, y, shape):
    ours, theirs = both(stack)
    assert_same(ours.translate(shape, x), theirs.translate(shape, x))
    assert_same(ours.translate(shape, y, "vertical"), theirs.translate(shape, y, "vertical"))
    assert_same(ours.translate(shape, (x, y), "both"), theirs.translate(shape, (x, y), "both"))


@given(ellipse_stacks(), st.floats(-30, 30), axes, interpolations)
def test_translation_by_fractions(stack, offset, axis, interpolation):
    ours, theirs = both(stack)
    moved = (masks.translate((60, 80), offset, axis, interpolation=interpolation) for masks in (ours, theirs))
    assert_close(*moved)


@given(ellipse_stacks(), angles, st.floats(0.5, 2), interpolations)
def test_rotation(stack, angle, scale, interpolation):
    ours, theirs = both(stack)
    turned = (m.rotate((60, 80), angle, scale=scale, interpolation=interpolation) for m in (ours, theirs))
    assert_close(*turned)


@given(ellipse_stacks(), angles, st.tuples(st.floats(0, 80), st.floats(0, 60)))
def test_rotation_about_a_point(stack, angle, center):
    ours, theirs = both(stack)
    assert_close(ours.rotate((60, 80), angle, center=center), theirs.rotate((60, 80), angle, center=center))


@given(ellipse_stacks(), st.floats(-1, 1), axes, interpolations)
def test_shear(stack, magnitude, axis, interpolation):
    ours, theirs = both(stack)
    sheared = (masks.shear((60, 80), magnitude, axis, interpolation=interpolation) for masks in (ours, theirs))
    assert_close(*sheared)


@given(st.data(), noise_stacks())
def test_fields_are_selected_with_the_masks(data, stack):
    index = data.draw(indices(len(stack)))
    chosen = both(stack)[0][index]
    np.testing.assert_array_equal(chosen.to_ndarray(), stack[chosen.fields["number"]])
    as_array = np.asarray(index, np.int64) if isinstance(index, list) else index
    assert chosen.fields["number"].tolist() == np.arange(len(stack))[as_array].reshape(-1).tolist()


@given(noise_stacks(), st.data())
@settings(deadline=None)
def test_instance_data_slices_and_joins_them(stack, data):
    instances = InstanceData(masks=both(stack)[0], numbers=torch.arange(len(stack)))
    keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(stack), max_size=len(stack))), dtype=torch.bool)
    chosen = instances[keep]
    assert chosen.masks.fields["number"].tolist() == chosen.numbers.tolist()
    joined = InstanceData.cat([instances, chosen]) if len(stack) else instances
    assert joined.masks.fields["number"].tolist() == joined.numbers.tolist()
    np.testing.assert_array_equal(joined.masks.to_ndarray(), stack[joined.numbers.numpy()])


def test_masks_with_different_fields_do_not_join():
    masks = both(np.ones((1, 3, 3), np.uint8))[0]
    with pytest.raises(ValueError, match="different fields"):
        InstanceCroppedMasks.cat([masks, InstanceCroppedMasks(masks.cropped)])


@given(ellipse_stacks())
def test_boxes_are_those_of_bitmap_masks(stack):
    ours, theirs = both(stack)
    expected = theirs.get_bboxes("hbox").tensor
    for kind in ("hbox", HorizontalBoxes):
        boxes = ours.get_bboxes(kind)
        assert isinstance(boxes, HorizontalBoxes)
        assert torch.equal(boxes.tensor, expected)


def test_tensor_and_iteration():
    stack = np.eye(4, dtype=np.uint8)[None]
    masks = both(stack)[0]
    assert torch.equal(masks.to_tensor(torch.float32, "cpu"), torch.eye(4)[None])
    assert [origin for _, origin in masks] == [(0, 0)]


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.pad((9, 9), pad_val=255),
        lambda m: m.rotate((3, 3), 30, border_value=1),
        lambda m: m.rotate((4, 4), 30),
        lambda m: m.shear((4, 4), 0.5),
        lambda m: m.resize((9, 9), interpolation="bilinear"),
        lambda m: m.crop_and_resize(np.zeros((1, 4)), (7, 7), np.zeros(1, int), interpolation="nearest"),
        lambda m: InstanceCroppedMasks(m.cropped, {"state": ["complete"] * 2}),
    ],
)
def test_what_cannot_be_honoured_is_refused(call):
    with pytest.raises(ValueError, match=r"mask"):
        call(both(np.ones((1, 3, 3), np.uint8))[0])
