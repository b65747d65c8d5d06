"""RoIAlign by row sums equals MMCV's forwards and backwards, and the closed form on linear maps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.ops import roi_align as mmcv_roi_align

from tio2.models.cpu import roi_align as module
from tio2.models.cpu.roi_align import roi_align, weighted_pixels

STRIDES = (4, 8, 16)


@st.composite
def scenes(draw):
    """Maps of an image of any small size, and RoIs on it, cut by its edge, beyond it, without extent, very long."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    images, channels = draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 16]))
    height, width = 16 * draw(st.integers(1, 5)), 16 * draw(st.integers(1, 5))
    maps = tuple(
        torch.randn(images, channels, height // stride, width // stride, generator=generator) for stride in STRIDES
    )
    edges = st.floats(-40, 150, width=32)
    extents = st.one_of(st.just(0.0), st.floats(0.125, 90, width=32), st.floats(300, 900, width=32))
    boxes = draw(st.lists(st.tuples(st.integers(0, images - 1), edges, edges, extents, extents), max_size=12))
    rois = torch.tensor([(n, x, y, x + w, y + h) for n, x, y, w, h in boxes]).reshape(-1, 5)
    levels = torch.tensor([draw(st.integers(0, len(STRIDES) - 1)) for _ in boxes], dtype=torch.long)
    return maps, rois, levels, draw(st.sampled_from([(7, 7), (14, 14), (2, 5), (1, 1)]))


def ours(maps, rois, levels, size):
    return roi_align(maps, rois, levels, tuple(1 / stride for stride in STRIDES), size)


def mmcvs(maps, rois, levels, size):
    out = maps[0].new_zeros(len(rois), maps[0].shape[1], *size)
    for level, (features, stride) in enumerate(zip(maps, STRIDES, strict=True)):
        chosen = (levels == level).nonzero()[:, 0]
        if len(chosen):
            features = features.contiguous()
            out = out.index_copy(0, chosen, mmcv_roi_align(features, rois[chosen], size, 1 / stride, 0, "avg", True))
    return out


@settings(max_examples=150, deadline=None)
@given(scenes())
def test_it_is_mmcv_s_forwards_and_backwards(scene):
    maps, *rest = scene
    gradients = []
    outputs = []
    for function in (mmcvs, ours):
        leaves = tuple(each.clone().requires_grad_() for each in maps)
        outputs.append(function(leaves, *rest))
        if len(rest[0]):
            weights = torch.linspace(-1, 1, outputs[-1].numel()).reshape(outputs[-1].shape)
            (outputs[-1] * weights).sum().backward()
        gradients.append([torch.zeros_like(each) if each.grad is None else each.grad for each in leaves])
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_memory_layout_and_batches_change_nothing(scene):
    maps, *rest = scene
    expected = ours(maps, *rest)
    by_pixel = tuple(each.contiguous(memory_format=torch.channels_last) for each in maps)
    torch.testing.assert_close(ours(by_pixel, *rest), expected, rtol=1e-5, atol=1e-5)
    usual, module.ENTRIES_PER_BATCH = module.ENTRIES_PER_BATCH, 1
    try:
        torch.testing.assert_close(ours(maps, *rest), expected, rtol=1e-5, atol=1e-5)
    finally:
        module.ENTRIES_PER_BATCH = usual
    assert expected.is_contiguous(memory_format=torch.channels_last)


def test_on_a_linear_map_each_cell_is_the_map_at_the_cell_s_middle():
    x, y = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(30) + 0.5, indexing="xy")
    ramp = (2 * x - 3 * y)[None, None]
    rois = torch.tensor([[0, 24.0, 20.0, 108.0, 62.0], [0, 10.3, 7.7, 17.1, 90.9]])
    found = roi_align((ramp,), rois, torch.zeros(2, dtype=torch.long), (0.25,), (7, 7))
    steps = (torch.arange(7) + 0.5) / 7
    for output, (x1, y1, x2, y2) in zip(found[:, 0], (rois[:, 1:] / 4).tolist(), strict=True):
        middle_x, middle_y = x1 + steps * (x2 - x1), y1 + steps * (y2 - y1)
        torch.testing.assert_close(output, 2 * middle_x[None] - 3 * middle_y[:, None], rtol=1e-4, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(scenes())
def test_a_constant_stays_and_weights_inside_the_map_add_up_to_one(scene):
    maps, rois, levels, size = scene
    rois = rois.clone()
    height, width = (STRIDES[0] * side for side in maps[0].shape[-2:])
    rois[:, 1::2] = rois[:, 1::2].clamp(0, width)
    rois[:, 2::2] = rois[:, 2::2].clamp(0, height)
    shapes = [each.shape[-2:] for each in maps]
    for batch in weighted_pixels(rois, levels, [1 / stride for stride in STRIDES], shapes, size):
        torch.testing.assert_close(batch.weights.sum(1), torch.ones(len(batch.weights)), rtol=0, atol=1e-4)
    constant = ours(tuple(torch.full_like(each, 3) for each in maps), rois, levels, size)
    has_extent = (rois[:, 3:] > rois[:, 1:3]).all(dim=1)
    torch.testing.assert_close(constant[has_extent], torch.full_like(constant[has_extent], 3), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "box", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 5, 5, 9), (float("nan"), 0, 4, 4), (0, 0, 4, float("inf"))]
)
def test_a_box_without_finite_extent_gives_zeros(box):
    rois = torch.tensor([[0.0, *box], [0, 2, 2, 10, 10]])
    found = roi_align((torch.ones(1, 2, 8, 8),), rois, torch.zeros(2, dtype=torch.long), (0.5,), (3, 3))
    assert found[0].count_nonzero() == 0
    torch.testing.assert_close(found[1], torch.ones(2, 3, 3))


def test_bfloat16_maps_are_read_exactly_and_coordinates_stay_float32():
    features = torch.randn(1, 4, 400, 4).bfloat16()
    rois = torch.tensor([[0, 1.0, 1531.0, 15.0, 1543.0]])  # 1531 is 1528 in bfloat16
    arguments = rois, torch.zeros(1, dtype=torch.long), (0.25,), (7, 7)
    found = roi_align((features,), *arguments)
    assert found.dtype == torch.float32
    assert torch.equal(found, roi_align((features.float(),), *arguments))


def test_gradients_are_those_of_differences():
    generator = torch.Generator().manual_seed(0)
    maps = tuple(torch.randn(2, 2, 6, 5, generator=generator, dtype=torch.float64, requires_grad=True) for _ in "ab")
    rois = torch.tensor([[0, 0.3, 1.1, 9.7, 8.2], [1, 2.0, 3.0, 4.1, 30.0], [1, 1.0, 1.0, 3.0, 9.0]])
    levels = torch.tensor([0, 1, 0])
    assert torch.autograd.gradcheck(lambda *each: roi_align(each, rois, levels, (0.5, 0.5), (2, 3)), maps)
