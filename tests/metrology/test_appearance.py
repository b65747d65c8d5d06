"""The appearance of a square in closed form, and the order in which circumstances are named."""

import numpy as np
import pytest

from scenes import squares
from semsize.metrology.error_causes import CIRCUMSTANCES, appearance
from semsize.structures.masks import CroppedMasks

SHAPE = (60, 80)


def test_shares_of_a_square():
    masks = squares(SHAPE, [(20, 20), (20, 31)], 10)
    grey = np.full(SHAPE, 20.0)
    grey[20:30, 20:30] = 100
    grey[20:23, 20:30] = 250
    looks = appearance(masks, masks, grey)
    assert looks.area_px.tolist() == [100, 100]
    assert looks.level.tolist() == [100, 20]
    assert looks.saturated.tolist() == [0.3, 0]
    # the neighbour holds 2 columns of 13 rows, less the 3 below and above it, of the 16² - 10² pixels around
    assert looks.surrounded.tolist() == [pytest.approx(2 * 10 / 156)] * 2
    assert not looks.at_frame.any()
    assert looks.faint[0] < 0.1  # steps of 80 and more all round
    assert looks.faint[1] > 0.6  # there is nothing, but a neighbour's edge at its left


def test_the_frame_is_no_faint_outline():
    grey = np.full(SHAPE, 20.0)
    grey[:10, 30:40] = 200
    looks = appearance(squares(SHAPE, [(0, 30)], 10), CroppedMasks.empty(SHAPE), grey)
    assert looks.at_frame.tolist() == [True]
    assert looks.faint.tolist() == [0]
    assert looks.surrounded.tolist() == [0]


def test_a_data_bar_below_is_not_looked_at_and_an_empty_mask_has_no_look():
    masks = CroppedMasks((np.ones((5, 5), np.uint8), np.zeros((0, 0), np.uint8)), np.array([[55, 10], [0, 0]]), SHAPE)
    taller = np.full((90, 80), 255.0)
    taller[:60] = 30
    looks = appearance(masks, masks, taller)
    assert looks.at_frame.tolist() == [True, False]
    assert looks.saturated[0] == 0
    assert np.isnan([looks.level[1], looks.saturated[1], looks.faint[1], looks.surrounded[1]]).all()


def test_the_first_rule_that_holds_names_the_circumstance():
    """From the last rule to the first, one thing more is made true of a square of 40 px, then of one of 9."""
    large, small = squares(SHAPE, [(10, 20)], 40), squares(SHAPE, [(10, 20)], 9)
    step, flat = np.full(SHAPE, 20.0), np.full(SHAPE, 20.0)
    step[10:50, 20:60] = 200
    around = squares(SHAPE, [(5, 15)], 50)
    none = CroppedMasks.empty(SHAPE)

    def named(masks, others, grey, state="complete"):
        return appearance(masks, others, grey).circumstances([state])[0]

    medium_step, medium = np.full(SHAPE, 20.0), squares(SHAPE, [(10, 20)], 20)
    medium_step[10:30, 20:40] = 200
    assert named(medium, none, medium_step) == "plain"
    assert named(large, none, step) == "large"
    assert named(large, around, step) == "surrounded"
    assert named(large, around, flat) == "faint outline"
    assert named(large, around, np.full(SHAPE, 255.0)) == "saturated"
    assert named(small, around, np.full(SHAPE, 255.0)) == "small"
    at_frame = squares(SHAPE, [(0, 20)], 9)
    assert named(at_frame, around, flat) == "cut by the frame"
    assert named(at_frame, around, flat, "unusable") == "mostly hidden"
    assert {"plain", "large", "mostly hidden"} < set(CIRCUMSTANCES)


def test_covered_is_the_union():
    masks = squares(SHAPE, [(10, 10), (15, 15)], 10)
    assert np.array_equal(masks.union(), masks.to_full().any(axis=0))
    assert not masks[:0].union().any()
