"""Crops around outlines and back: closed forms, round trips, and where a hidden part may lie."""

import cv2
import numpy as np
import pytest

from semsize.structures.masks import CroppedMasks
from semsize.synthesis import RenderSettings, render_image
from semsize.visibility.crops import CHANNELS, CROP_PX, mask_crops, particle_crops, whole_outlines, windows
from semsize.visibility.surroundings import Surroundings

FRAME = (200, 240)


def disk(centre, radius, shape=FRAME):
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.hypot(rows - centre[0], columns - centre[1]) <= radius


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
    others = Surroundings.of(masks, (64, 64)).others(np.ones((8, 8), bool), (20, 20))
    assert (others == (np.arange(8) >= 4)).all()


def test_grey_levels_of_another_image_are_refused(two_disks):
    with pytest.raises(ValueError, match="do not belong"):
        next(particle_crops(np.zeros((10, 10)), two_disks[0]))


def test_the_truth_in_its_crop_comes_back_as_the_truth(two_disks):
    visible, whole = two_disks
    back = whole_outlines(visible, mask_crops(whole, windows(visible)), FRAME)
    np.testing.assert_array_equal(back.to_full()[1], whole.to_full()[1])
    shared = np.logical_and(back.to_full()[0], whole.to_full()[0]).sum()
    united = np.logical_or(back.to_full()[0], whole.to_full()[0]).sum()
    assert shared / united > 0.98


def test_no_completion_gives_the_visible_outline(two_disks):
    visible, _ = two_disks
    back = whole_outlines(visible, np.zeros((2, CROP_PX, CROP_PX)), FRAME)
    np.testing.assert_array_equal(back.to_full(), visible.to_full())


def test_all_of_a_crop_is_cut_to_where_a_part_may_hide(two_disks):
    visible, _ = two_disks
    back = whole_outlines(visible, np.ones((2, CROP_PX, CROP_PX)), FRAME).to_full().astype(bool)
    full = visible.to_full().astype(bool)
    assert (back & full == full).all()
    bare = ~full.any(axis=0)
    assert (back & cv2.erode(bare.astype(np.uint8), np.ones((3, 3))).astype(bool)).sum() == 0
    assert (back[0] & bare).sum() <= 4  # notches one pixel wide where the two outlines meet


def test_a_gap_of_one_pixel_is_crossed_and_one_of_three_is_not():
    for gap, reached in ((1, True), (3, False)):
        labels = np.zeros((40, 60), int)
        labels[10:30, 10:30], labels[10:30, 30 + gap : 50] = 1, 2
        masks = CroppedMasks.from_label_image(labels)
        back = whole_outlines(masks, np.ones((2, CROP_PX, CROP_PX)), labels.shape).to_full()[0]
        assert back[12:28, 30 : 30 + gap].all() == reached
        assert back[12:28, 30 + gap :].any()
        assert not back[:9].any()


def test_a_margin_keeps_what_lies_beyond_the_frame():
    masks = CroppedMasks.from_crops([(np.ones((8, 8)), (16, 0))], (40, 40))
    completed = np.ones((1, CROP_PX, CROP_PX))
    assert whole_outlines(masks, completed, (40, 40)).areas == [64]
    back = whole_outlines(masks, completed, (40, 40), margin_px=10)
    assert back.image_shape == (60, 60)
    assert back.areas == [64 + 16 * 4]  # a window of 16 from column -4 on
    np.testing.assert_array_equal(back.crop((10, 10, 50, 50)).to_full(), masks.to_full())


def test_rendered_truth_lies_where_a_part_may_hide():
    truth = render_image(RenderSettings(seed=3, shape=(256, 320), preset="agglomerated", particles=60), 0).truth
    around = Surroundings.of(truth.visible, (256, 320))
    for visible, whole in zip(truth.visible, truth.full, strict=True):
        crop, corner = whole
        allowed = around.may_hide(*visible, crop.shape, corner)
        own = np.zeros_like(crop)
        top, left = np.subtract(visible[1], corner)
        own[top : top + visible[0].shape[0], left : left + visible[0].shape[1]] = visible[0]
        assert (allowed | (own > 0) | (crop == 0)).all()
