"""Crops around outlines and back: closed forms, round trips, and where a hidden part may lie."""

import cv2
import numpy as np
import pytest

from semsize.structures.masks import CroppedMasks
from semsize.synthesis import RenderSettings, render_image
from semsize.visibility.crops import CHANNELS, CROP_PX, mask_crops, particle_crops, whole_outlines, windows
from semsize.visibility.surroundings import Surroundings, bare_substrate

FRAME = (200, 240)


def disk(centre, radius, shape=FRAME):
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.hypot(rows - centre[0], columns - centre[1]) <= radius


def bright(masks):
    """Grey levels of bodies on a substrate that is plainly darker."""
    return np.where(masks.union(), 180.0, 40.0)


@pytest.fixture
def two_disks():
    """A disk that another one hides in part: visible masks, and the whole ones."""
    whole = np.stack([disk((100, 100), 30), disk((100, 140), 25)])
    visible = whole.copy()
    visible[0] &= ~whole[1]
    return CroppedMasks.from_full(visible), CroppedMasks.from_full(whole)


def one_batch(grey, masks):
    return np.concatenate(list(particle_crops(grey, masks, batch=3)))


def test_windows_are_twice_the_longer_side_about_the_middle(two_disks):
    masks, _ = two_disks
    squares = windows(masks)
    boxes = masks.boxes
    assert (squares[:, 2] == 2 * masks.sizes.max(axis=1)).all()
    middle = squares[:, :2] + squares[:, 2:] / 2
    assert abs(middle - (boxes[:, [1, 0]] + boxes[:, [3, 2]]) / 2).max() <= 0.5


def test_windows_of_an_empty_mask_are_refused():
    with pytest.raises(ValueError, match="1 outlines are empty"):
        windows(CroppedMasks.from_full(np.zeros((1, 4, 4))))


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_a_particle_has_the_same_size_in_its_crop_whatever_its_size(scale):
    masks = CroppedMasks.from_full(disk((100, 120), 24 * scale)[None])
    diameter = masks.sizes.max()
    own = one_batch(np.zeros(FRAME), masks)[0, CHANNELS.index("own")]
    assert own.sum() == pytest.approx(masks.areas[0] * (CROP_PX / 2 / diameter) ** 2, rel=0.01)


def test_layers_are_those_of_the_image(two_disks):
    masks, _ = two_disks
    grey = np.arange(FRAME[1], dtype=float)[None].repeat(FRAME[0], axis=0)  # levels = column
    crops = one_batch(grey, masks)
    _, column, side = windows(masks)[0]
    centres = column + (np.arange(CROP_PX) + 0.5) * side / CROP_PX - 0.5
    np.testing.assert_allclose(crops[0, 0, 30], centres, atol=0.05)  # OpenCV rounds the shares of pixels
    areas = crops.sum(axis=(2, 3)) * (windows(masks)[:, 2:] / CROP_PX) ** 2
    np.testing.assert_allclose(areas[:, 1], masks.areas, rtol=0.01)  # shrinking keeps areas
    window = np.s_[max(windows(masks)[0, 0], 0) :, column : column + side]
    assert areas[0, 2] == pytest.approx(masks[[1]].to_full()[0][window].sum(), rel=0.01)
    assert not crops[:, 3].any()
    assert (crops[:, 1] + crops[:, 2]).max() <= 1 + 1e-6


def test_what_lies_beyond_the_frame_is_marked_and_a_data_bar_counts_as_beyond():
    masks = CroppedMasks.from_crops([(np.ones((8, 8)), (42, 0))], (60, 64))
    crop = one_batch(np.full((50, 64), 9.0), masks)[0]  # 10 rows of bar
    beyond = crop[3]
    assert (beyond[:, :14] == 1).all()  # the window begins in column -4 and is 16 wide: 16 of the crop's 64
    assert (beyond[50:] == 1).all()  # it begins in row 38, the bar in row 50: 48 of 64
    assert (beyond[:46, 18:] == 0).all()
    assert (crop[0][beyond == 1] == 0).all()


def test_overlapping_outlines_are_others_of_one_another():
    masks = CroppedMasks.from_crops([(np.ones((8, 8)), (20, 20)), (np.ones((8, 8)), (20, 24))], (64, 64))
    others = Surroundings.of(masks, np.zeros((64, 64))).others(np.ones((8, 8), bool), (20, 20))
    assert (others == (np.arange(8) >= 4)).all()


def test_grey_levels_of_another_image_are_refused(two_disks):
    with pytest.raises(ValueError, match="do not belong"):
        next(particle_crops(np.zeros((10, 10)), two_disks[0]))


def test_the_truth_in_its_crop_comes_back_as_the_truth(two_disks):
    visible, whole = two_disks
    back = whole_outlines(visible, mask_crops(whole, windows(visible)), bright(whole))
    np.testing.assert_array_equal(back.to_full()[1], whole.to_full()[1])
    shared = np.logical_and(back.to_full()[0], whole.to_full()[0]).sum()
    united = np.logical_or(back.to_full()[0], whole.to_full()[0]).sum()
    assert shared / united > 0.98


def test_no_completion_gives_the_visible_outline(two_disks):
    visible, _ = two_disks
    back = whole_outlines(visible, np.zeros((2, CROP_PX, CROP_PX)), bright(visible))
    np.testing.assert_array_equal(back.to_full(), visible.to_full())


def test_all_of_a_crop_is_cut_to_where_a_part_may_hide(two_disks):
    visible, _ = two_disks
    back = whole_outlines(visible, np.ones((2, CROP_PX, CROP_PX)), bright(visible)).to_full().astype(bool)
    full = visible.to_full().astype(bool)
    assert (back & full == full).all()
    bodies = cv2.dilate(full.any(axis=0).astype(np.uint8), np.ones((5, 5))).astype(bool)
    assert not (back & ~bodies).any()  # beside a body blurred levels tell nothing
    assert (back[0] & full[1]).sum() > 0.5 * full[1].sum()


def test_a_part_may_hide_under_a_body_that_nobody_outlined(two_disks):
    """As in a matrix: the second disk is as bright as a body, and no outline."""
    visible, whole = two_disks
    back = whole_outlines(visible[:1], mask_crops(whole[:1], windows(visible[:1])), bright(whole)).to_full()[0]
    truth = whole.to_full()[0]
    assert np.logical_and(back, truth).sum() / np.logical_or(back, truth).sum() > 0.98


@pytest.mark.parametrize("levels", [(40, 180), (180, 40)])
def test_substrate_is_told_by_its_levels_bright_or_dark_and_bodies_alone_have_none(levels, two_disks):
    _, whole = two_disks
    noise = np.random.default_rng(0).normal(0, 10, FRAME)
    inside = whole.union()
    bare = bare_substrate(np.where(inside, levels[1], levels[0]) + noise, inside)
    assert not (bare & inside).any()
    apart = cv2.erode((~inside).astype(np.uint8), np.ones((7, 7))).astype(bool)
    assert bare[apart].mean() > 0.99
    assert bare_substrate(np.full(FRAME, 120.0) + noise, inside).mean() < 0.01


def test_a_margin_keeps_what_lies_beyond_the_frame():
    masks = CroppedMasks.from_crops([(np.ones((16, 16)), (12, 0))], (40, 40))
    completed, grey = np.ones((1, CROP_PX, CROP_PX)), bright(masks)
    cut_at_frame = whole_outlines(masks, completed, grey)
    back = whole_outlines(masks, completed, grey, margin_px=10)
    assert back.image_shape == (60, 60)
    assert back.to_full()[0][:, :10].sum() == 8 * 32  # a window of 32 from column -8 on
    np.testing.assert_array_equal(back.crop((10, 10, 50, 50)).to_full(), cut_at_frame.to_full())


@pytest.mark.parametrize(("preset", "lost_share"), [("agglomerated", 0.01), ("matrix", 0.15)])
def test_rendered_truth_lies_where_a_part_may_hide(preset, lost_share):
    rendered = render_image(RenderSettings(seed=3, shape=(256, 320), preset=preset, particles=60), 0)
    truth = rendered.truth
    around = Surroundings.of(truth.visible, rendered.pixels)
    lost = hidden = 0
    for visible, whole in zip(truth.visible, truth.full, strict=True):
        crop, corner = whole
        allowed = around.may_hide(*visible, crop.shape, corner)
        own = np.zeros_like(crop)
        top, left = np.subtract(visible[1], corner)
        own[top : top + visible[0].shape[0], left : left + visible[0].shape[1]] = visible[0]
        hidden += np.count_nonzero((crop > 0) & (own == 0))
        lost += np.count_nonzero((crop > 0) & (own == 0) & ~allowed)
    assert hidden > 100
    assert lost <= lost_share * hidden
