"""Masks inside their boxes: upstream's masks, exact on planes, unbiased in size."""

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from pycocotools import mask as coco_mask
from scipy import ndimage

from semsize.detecting.pasting import (
    batches_of_like_size,
    cell_positions,
    cell_weights,
    paste_batches,
    pixel_regions,
    solid_masks,
)
from tio2.models.mask_head import paste_masks, paste_masks_in_torch

IMAGE_SHAPE = (150, 210)


def random_masks(count, cells=28, seed=0):
    """Smooth random logits and boxes of 1 to 90 px, a third of them cut by or at the border of the image."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, 5, 5, generator=generator) * 4
    logits = torch.nn.functional.interpolate(coarse, size=(cells, cells), mode="bilinear")[:, 0]
    height, width = IMAGE_SHAPE
    low = torch.rand(count, 2, generator=generator) * torch.tensor([width + 20.0, height + 20.0]) - 20
    boxes = torch.cat([low, low + torch.rand(count, 2, generator=generator) * 89 + 1], dim=1)
    boxes[::3, 0::2] = boxes[::3, 0::2].clamp(0, width)
    boxes[::3, 1::2] = boxes[::3, 1::2].clamp(0, height)
    return logits, boxes


def upstream_frames(logits, boxes):
    """Probabilities of upstream on full frames, (N, H, W)."""
    return _do_paste_mask(logits[:, None].sigmoid(), boxes, *IMAGE_SHAPE, skip_empty=False)[0]


def solid(mask):
    """A mask's piece of most pixels, its holes filled, by SciPy; nothing where two pieces are largest."""
    pieces, _ = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(pieces[pieces > 0], minlength=1)
    if np.count_nonzero(sizes == sizes.max()) > 1:
        return np.zeros_like(mask)
    return ndimage.binary_fill_holes(mask & (pieces == sizes.argmax()))


def probability_crops(logits, boxes):
    """Crops (h, w) of N masks' probabilities in the order of the boxes, and the (row, column) of their first pixels."""
    found = {}
    for batch in paste_batches(logits.numpy(), boxes.numpy(), IMAGE_SHAPE):
        for index, origin, (height, width), pixels in zip(*batch, strict=True):
            found[int(index)] = pixels[:height, :width], origin
    assert sorted(found) == list(range(len(boxes)))
    return [found[index] for index in range(len(boxes))]


def rles_of(logits, boxes, threshold=0.5):
    return paste_masks(logits, boxes, IMAGE_SHAPE, threshold)[0].to_rles()


def has_extent(boxes):
    return ((boxes[:, 2:] - boxes[:, :2]) > 0).all(dim=1)


def signed_distance_logits(centre, axes, box, cells):
    """Signed distance to an ellipse's outline (first order), in pixels, at the cell centres of its box."""
    steps = (np.arange(cells) + 0.5) / cells
    x = (box[0] + steps * (box[2] - box[0]) - centre[0]) / axes[0]
    y = (box[1] + steps * (box[3] - box[1]) - centre[1]) / axes[1]
    level = x[None] ** 2 + y[:, None] ** 2
    slope = 2 * np.sqrt((x[None] / axes[0]) ** 2 + (y[:, None] / axes[1]) ** 2)
    return (1 - level) / np.maximum(slope, 1e-6)


def test_crops_are_upstream_s_probabilities_and_nothing_is_lost_beyond_them():
    logits, boxes = random_masks(60)
    crops = probability_crops(logits, boxes)
    for (crop, (row, column)), frame, box in zip(crops, upstream_frames(logits, boxes), boxes, strict=True):
        height, width = crop.shape
        beyond = frame.clone()
        if height:
            np.testing.assert_allclose(crop, frame[row : row + height, column : column + width], atol=2e-5)
            beyond[row : row + height, column : column + width] = 0
        if has_extent(box[None]).all():
            assert float(beyond.max()) < 0.5


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("cells", [28, 56])
def test_rles_are_upstream_s_masks(threshold, cells):
    logits, boxes = random_masks(120, cells)
    sound = has_extent(boxes)
    logits, boxes = logits[sound], boxes[sound]
    expected = [
        coco_mask.encode(np.asfortranarray(solid(frame), np.uint8))
        for frame in (upstream_frames(logits, boxes) >= threshold).numpy()
    ]
    found = rles_of(logits, boxes, threshold)
    same = np.array([a["counts"].decode() == b["counts"] for a, b in zip(expected, found, strict=True)])
    assert same.mean() > 0.98
    filled = coco_mask.area(expected) > 0
    overlaps = np.array([coco_mask.iou([a], [b], [0])[0, 0] for a, b in zip(expected, found, strict=True)])
    assert overlaps[filled].mean() >= 0.999
    empty = (upstream_frames(logits, boxes) < threshold).all(dim=(1, 2)).numpy()
    assert (coco_mask.area(found)[empty] == 0).all()


def test_torch_s_products_draw_the_same_masks():
    """A GPU's path, here on a CPU, against NumPy's: a pixel differs where its probability is the threshold, rounded."""
    logits, boxes = random_masks(80, seed=2)
    masks, certainties = paste_masks(logits, boxes, IMAGE_SHAPE, 0.5)
    in_torch, certainties_in_torch = paste_masks_in_torch(logits, boxes, IMAGE_SHAPE, 0.5)
    difference = np.abs(masks.to_full().astype(int) - in_torch.to_full()).sum(axis=(1, 2))
    assert masks.areas.sum() > 10_000
    assert difference.max() <= 1
    np.testing.assert_allclose(certainties, certainties_in_torch, atol=1e-4)


def test_rles_are_the_crops_at_the_threshold():
    logits, boxes = random_masks(50, seed=1)
    masks, certainties = paste_masks(logits, boxes, IMAGE_SHAPE, 0.4)
    crops = probability_crops(logits, boxes)
    for rle, certainty, (crop, (row, column)) in zip(masks.to_rles(), certainties, crops, strict=True):
        body = solid(crop >= 0.4)
        inside = crop[body]
        assert certainty == pytest.approx(inside.mean() if inside.size else 0, rel=1e-5)
        frame = np.zeros(IMAGE_SHAPE, np.uint8)
        frame[row : row + crop.shape[0], column : column + crop.shape[1]] = body
        assert rle == {
            "size": list(IMAGE_SHAPE),
            "counts": coco_mask.encode(np.asfortranarray(frame))["counts"].decode(),
        }


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_a_mask_is_its_largest_piece_without_holes(density):
    masks = np.random.default_rng(5).random((200, 11, 14)) < density
    masks[0] = 0
    masks[1] = 1
    expected = [solid(mask) for mask in masks]
    known = [found for found, body in zip(solid_masks(masks), expected, strict=True) if body.any()]
    np.testing.assert_array_equal(known, [body for body in expected if body.any()])
    assert len(known) > 100
    assert not solid_masks(masks[:1]).any()


@pytest.mark.parametrize("count", [0, 1, 513])
def test_masks_do_not_depend_on_the_batches(count):
    logits, boxes = random_masks(count)
    together = rles_of(logits, boxes)
    assert len(together) == count
    one_by_one = [rle for i in range(count) for rle in rles_of(logits[i : i + 1], boxes[i : i + 1])]
    assert together == one_by_one


def test_a_plane_is_sampled_exactly_at_pixel_centres():
    """Bilinear interpolation reproduces a plane between the outermost cell centres, wherever the box lies."""
    cells, box = 28, torch.tensor([[13.3, 20.9, 71.2, 64.4]])
    steps = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    x, y = 13.3 + steps * (71.2 - 13.3), 20.9 + steps * (64.4 - 20.9)
    plane = 0.3 + 0.004 * x[None] + 0.002 * y[:, None]
    ((crop, (row, column)),) = probability_crops(plane.logit().float()[None], box)
    rows, columns = np.arange(row, row + crop.shape[0]) + 0.5, np.arange(column, column + crop.shape[1]) + 0.5
    inner = np.ix_((rows > float(y[0])) & (rows < float(y[-1])), (columns > float(x[0])) & (columns < float(x[-1])))
    expected = 0.3 + 0.004 * columns[None] + 0.002 * rows[:, None]
    assert crop[inner].size > 2000
    np.testing.assert_allclose(crop[inner], expected[inner], atol=1e-5)


def test_a_full_mask_fills_its_box():
    boxes = torch.tensor([[10.0, 20.0, 40.0, 50.0], [0.0, 0.0, 210.0, 150.0], [-30.0, 100.0, 20.0, 160.0]])
    areas = coco_mask.area(rles_of(torch.full((3, 210, 210), 20.0), boxes))
    assert areas.tolist() == [30 * 30, 210 * 150, 20 * 50]


@pytest.mark.parametrize(
    "box",
    [
        [10.0, 10.0, 10.0, 30.0],
        [30.0, 10.0, 10.0, 30.0],
        [-50.0, 0.0, -10.0, 20.0],
        [300.0, 10.0, 320.0, 20.0],
        [float("nan"), 0.0, 10.0, 10.0],
    ],
)
def test_a_box_without_pixels_gives_an_empty_mask_and_leaves_the_others(box):
    boxes = torch.tensor([[10.0, 20.0, 40.0, 50.0], box])
    logits = torch.full((2, 28, 28), 20.0)
    assert coco_mask.area(rles_of(logits, boxes)).tolist() == [900, 0]
    assert coco_mask.area(rles_of(logits[1:], boxes[1:])).tolist() == [0]


def test_a_threshold_of_zero_is_refused():
    with pytest.raises(ValueError, match="mask_thr_binary"):
        rles_of(*random_masks(1), 0)


def test_arguments_are_left_as_they_were():
    logits, boxes = random_masks(5)
    copies = logits.clone(), boxes.clone()
    rles_of(logits, boxes)
    assert torch.equal(logits, copies[0])
    assert torch.equal(boxes, copies[1])


def test_batches_hold_each_mask_once_and_no_more_pixels_than_asked():
    sizes = np.random.default_rng(0).integers(0, 60, (300, 2))
    batches = list(batches_of_like_size(sizes, 5000))
    assert sorted(np.concatenate(batches)) == list(range(300))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * sizes[batch].max(axis=0).prod() <= 5000
    assert len(list(batches_of_like_size(np.zeros((0, 2), np.int64), 5000))) == 0


def test_padding_of_a_batch_is_zero_also_where_a_box_is_cut_by_the_frame():
    boxes = torch.tensor([[150.0, 90.0, 290.0, 230.0], [5.0, 5.0, 100.0, 100.0]])
    (batch,) = paste_batches(np.full((2, 28, 28), 20, np.float32), boxes.numpy(), IMAGE_SHAPE)
    for (height, width), pixels in zip(batch.sizes, batch.probabilities, strict=True):
        assert float(pixels[height:].sum() + pixels[:, width:].sum()) == 0
        assert float(pixels[:height, :width].max()) == pytest.approx(1)


def test_regions_reach_one_pixel_around_the_box_within_the_frame():
    origins, sizes = pixel_regions(np.array([[3.2, 4.0, 7.5, 9.0], [-5, -5, 2, 3], [208, 148, 260, 190]]), (150, 210))
    assert origins.tolist() == [[3, 2], [0, 0], [147, 207]]
    assert sizes.tolist() == [[7, 7], [4, 3], [3, 3]]


def test_weights_add_up_to_one_half_a_cell_inside_the_box():
    position = cell_positions(np.array([0]), np.array([40]), np.array([[2.5, 37.5]]), 40, 56)
    weights = cell_weights(position, 56)[0]  # (40, 56)
    pixel, half_cell = np.arange(40) + 0.5, 35 / 112
    inside = (pixel >= 2.5 + half_cell) & (pixel <= 37.5 - half_cell)
    np.testing.assert_allclose(weights.sum(axis=1)[inside], 1, rtol=1e-5)
    assert ((weights != 0).sum(axis=1) <= 2).all()


def size_errors(diameter, margin):
    """Relative errors of an ellipse's equivalent diameter at 200 sub-pixel phases: ours of 56 cells, rasterised."""
    rng = np.random.default_rng(0)
    image_shape, cells = (160, 200), 56
    axes = diameter / 2 * np.array([1.2, 1 / 1.2])
    centres = 80 + rng.random((200, 2))
    boxes = np.concatenate([centres - axes - margin, centres + axes + margin], axis=1)
    pairs = zip(centres, boxes, strict=True)
    logits = np.stack([signed_distance_logits(centre, axes, box, cells) for centre, box in pairs])
    masks, _ = paste_masks(torch.from_numpy(logits).float(), torch.from_numpy(boxes).float(), image_shape, 0.5)
    rows, columns = np.mgrid[: image_shape[0], : image_shape[1]] + 0.5
    offsets = [((columns - x) / axes[0]) ** 2 + ((rows - y) / axes[1]) ** 2 for x, y in centres]
    rasterised = np.array([(offset <= 1).sum() for offset in offsets])
    return tuple(2 * np.sqrt(area / np.pi) / diameter - 1 for area in (masks.areas, rasterised))


@pytest.mark.parametrize("diameter", [30, 60, 120])
def test_size_is_unbiased_over_sub_pixel_phases_where_the_box_leaves_a_pixel(diameter):
    """Mean bias at most 0.1 %, spread as rasterised."""
    found, rasterised = size_errors(diameter, 1)
    assert abs(found.mean()) <= 1e-3
    assert found.std() <= 1.2 * rasterised.std()


def test_a_mask_that_touches_its_box_loses_a_quarter_of_a_percent_in_diameter_as_upstream_s():
    found, _ = size_errors(30, 0)
    assert -3e-3 < found.mean() < -2e-3
