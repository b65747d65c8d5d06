"""The pixels that an overlay paints, on squares."""

import cv2
import numpy as np
import pytest

from scenes import shifted, square_grid, squares
from semsize.measuring.overlays import (
    FALSE_POSITIVE,
    IGNORED,
    MISSED,
    STATE_COLOURS,
    TRUE_OUTLINE,
    dashed_outline,
    draw_overlay,
    write_png,
)
from semsize.metrology.matching import match
from semsize.structures.masks import CroppedMasks

FRAME = (60, 90)
GREY = np.full(FRAME, 100.0)


def pixels_of(picture, colour, scale=1):
    """(H, W) bool: where the picture, without its legend, has exactly this colour."""
    return (picture[: FRAME[0] * scale, : FRAME[1] * scale] == colour).all(axis=2)


def border(masks, scale=1, width=1):
    """(H, W) bool: border pixels of square masks, by their corners and side alone."""
    full = np.zeros((FRAME[0] * scale, FRAME[1] * scale), bool)
    for crop, (row, column) in masks:
        side, top, left = crop.shape[0] * scale, row * scale, column * scale
        full[top : top + side, left : left + side] = True
        full[top + width : top + side - width, left + width : left + side - width] = False
    return full


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_each_kind_has_its_colour_on_its_own_border_pixels(scale):
    truth = squares(FRAME, [(5, 5), (5, 30), (30, 5)], 10)
    found = CroppedMasks.cat([truth[:2], squares(FRAME, [(40, 60)], 10)])
    picture = draw_overlay(GREY, truth, found, match(truth, found), states=["masked", None, "complete"], scale=scale)
    assert picture.shape[0] > FRAME[0] * scale
    for colour, masks in [
        (STATE_COLOURS["masked"], truth[0]),
        (STATE_COLOURS[None], truth[1]),
        (MISSED, truth[2]),
        (FALSE_POSITIVE, found[2]),
    ]:
        assert np.array_equal(pixels_of(picture, colour, scale), border(masks, scale, width=scale))
    assert not pixels_of(picture, STATE_COLOURS["complete"], scale).any()


def test_errors_are_filled_and_matched_particles_are_not():
    truth = squares(FRAME, [(5, 5), (30, 5)], 10)
    found = CroppedMasks.cat([truth[0], squares(FRAME, [(40, 60)], 10)])
    picture = draw_overlay(GREY, truth, found, match(truth, found), scale=1)
    assert picture[10, 10].tolist() == [100, 100, 100]
    assert picture[35, 10].tolist() == [round(0.65 * 100 + 0.35 * level) for level in MISSED]
    assert picture[45, 65].tolist() == [round(0.65 * 100 + 0.35 * level) for level in FALSE_POSITIVE]
    assert picture[0, 0].tolist() == [100, 100, 100]


def test_the_true_outline_shows_where_the_found_one_leaves_it():
    truth = squares(FRAME, [(10, 10)], 20)
    found = shifted(truth, 0, 1)
    picture = draw_overlay(GREY, truth, found, match(truth, found), scale=1)
    assert np.array_equal(pixels_of(picture, TRUE_OUTLINE), border(truth) & ~border(found))
    assert np.array_equal(pixels_of(picture, STATE_COLOURS[None]), border(found))


def test_specks_and_finds_on_them_are_grey():
    truth, specks = squares(FRAME, [(5, 5)], 10), squares(FRAME, [(30, 30)], 6)
    found = CroppedMasks.cat([truth, specks])
    matching = match(truth, found, ignored_regions=specks)
    picture = draw_overlay(GREY, truth, found, matching, ignored_regions=specks, scale=1)
    assert np.array_equal(pixels_of(picture, IGNORED), border(specks))
    assert not pixels_of(picture, FALSE_POSITIVE).any()


def test_touching_particles_keep_their_lines_apart():
    truth = squares(FRAME, [(10, 10), (10, 20)], 10)
    picture = draw_overlay(GREY, truth, truth, match(truth, truth), states=["complete", "masked"], scale=1)
    assert np.array_equal(pixels_of(picture, STATE_COLOURS["complete"]), border(truth[0]))
    assert np.array_equal(pixels_of(picture, STATE_COLOURS["masked"]), border(truth[1]))


@pytest.mark.parametrize(("shape", "scale"), [((704, 1024), 2), ((1536, 2048), 1), ((100, 120), 4), ((1499, 10), 2)])
def test_small_images_are_enlarged(shape, scale):
    none = squares(shape, [], 1)
    picture = draw_overlay(np.zeros(shape), none, none, match(none, none))
    assert picture.dtype == np.uint8
    assert picture.shape[0] > shape[0] * scale
    assert picture.shape[1] >= shape[1] * scale
    assert (picture[: shape[0] * scale, : shape[1] * scale] == 0).all()
    assert (picture[shape[0] * scale :].std(axis=(0, 1)) > 0).all()  # the legend says something


def test_an_image_may_be_taller_by_its_data_bar_and_its_levels_and_channels_stay():
    truth = squares(FRAME, [(5, 5)], 10)
    image = np.zeros((FRAME[0] + 20, FRAME[1], 3), np.float32)
    image[..., :] = [-3.0, 99.6, 300.0]
    before = image.copy()
    picture = draw_overlay(image, truth, truth[:0], match(truth, truth[:0]), scale=1)
    assert picture[70, 50].tolist() == [0, 100, 255]
    assert np.array_equal(image, before)
    with pytest.raises(ValueError, match="cannot be drawn"):
        draw_overlay(GREY[:50], truth, truth, match(truth, truth))
    with pytest.raises(ValueError, match="1 true masks need as many states, got 2"):
        draw_overlay(GREY, truth, truth, match(truth, truth), states=["complete", None])


def test_600_particles_are_drawn_and_written(tmp_path):
    grid = square_grid(600, side_px=20, gap_px=6)
    found = grid[np.arange(600) % 10 > 0]
    image = np.zeros(grid.image_shape)
    picture = draw_overlay(image, grid, found, match(grid, found), caption="600 squares, score ≥ 0.5")
    write_png(tmp_path / "a" / "overlay.png", picture)
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "a" / "overlay.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(read, picture)
    height, width = (3 * side for side in grid.image_shape)
    missed = cv2.connectedComponents((picture[:height, :width] == MISSED).all(axis=2).astype(np.uint8))[0] - 1
    assert missed == 60


def test_an_empty_mask_leaves_the_picture_as_it_is():
    image = np.full((40, 60), 100.0)
    truth = CroppedMasks.empty((40, 60))
    nothing = CroppedMasks.from_full(np.zeros((1, 40, 60)))
    with_it = draw_overlay(image, truth, nothing, match(truth, nothing), scale=1)
    assert (with_it[:40, :60] == 100).all()


LEAST_DIFFERENCE = 20.0  # of two colours in CIELAB, ΔE*ab; 2 is just seen side by side

SEEN_AS = {  # linear RGB as colour-blind people see it: Machado, Oliveira, Fernandes, IEEE TVCG 15 (2009), severity 1
    "trichromat": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


@pytest.mark.parametrize("eye", SEEN_AS)
def test_everybody_tells_the_states_apart(eye):
    levels = np.array([*STATE_COLOURS.values(), IGNORED]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(SEEN_AS[eye]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(seen[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1e3 * np.eye(len(lab))
    assert distance.min() > LEAST_DIFFERENCE


@pytest.mark.parametrize("scale", [1, 3])
def test_a_completed_part_is_dashed_where_it_leaves_the_visible_one(scale):
    """A square hidden to its right half: dashes on three sides of that half, and none on the visible one."""
    whole, visible = squares(FRAME, [(10, 20)], 32), CroppedMasks.from_crops([(np.ones((32, 16)), (10, 20))], FRAME)
    canvas = np.zeros((FRAME[0] * scale, FRAME[1] * scale, 3), np.uint8)
    dashed_outline(canvas, whole, visible, (255, 80, 255), scale)
    drawn = canvas.any(axis=2)
    inside = np.zeros_like(drawn)
    inside[10 * scale : 42 * scale, 36 * scale : 52 * scale] = True
    assert drawn.any()
    assert not drawn[:, : 36 * scale].any()
    ring = border(whole, scale) & inside
    share = (drawn & ring).sum() / ring.sum()
    assert 0.3 < share < 0.7, "as much is drawn as left out"
    nothing = np.zeros_like(canvas)
    dashed_outline(nothing, visible, visible, (255, 80, 255), scale)
    assert not nothing.any()
