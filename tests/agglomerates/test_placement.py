"""Placed boxes neither overlap nor leave the frame, for any frame and any boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tio2.agglomerates.simulation import FreeSpace, eight_subframes, joined_subframes

frames = st.tuples(st.integers(1, 80), st.integers(1, 80))


@st.composite
def boxes(draw, reach: int = 100):
    top, left = draw(st.integers(-20, reach)), draw(st.integers(-20, reach))
    return top, left, top + draw(st.integers(1, 40)), left + draw(st.integers(1, 40))


def painted(shape, parts):
    count = np.zeros(shape, int)
    for top, left, bottom, right in parts:
        assert 0 <= top < bottom <= shape[0]
        assert 0 <= left < right <= shape[1]
        count[top:bottom, left:right] += 1
    return count


@given(frames, st.lists(boxes(), max_size=6))
def test_what_is_left_is_everything_but_the_boxes_each_pixel_once(shape, occupied):
    space = FreeSpace.of_frame(shape)
    expected = np.ones(shape, int)
    for box in occupied:
        space = space.without(box)
        expected[max(box[0], 0) : max(box[2], 0), max(box[1], 0) : max(box[3], 0)] = 0
    np.testing.assert_array_equal(painted(shape, space.subframes), expected)


@given(frames, st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=25), st.integers(0, 2**32))
@settings(max_examples=150)
def test_boxes_put_one_after_another_neither_overlap_nor_leave_the_frame(shape, sizes, seed):
    rng = np.random.default_rng(seed)
    space, placed = FreeSpace.of_frame(shape), []
    for height, width in sizes:
        corner = space.draw_corner((height, width), rng)
        if corner is None:
            free = space.subframes[:, 2:] - space.subframes[:, :2]
            assert not ((free >= (height, width)).all(axis=1)).any()
            continue
        placed.append((*corner, corner[0] + height, corner[1] + width))
        space = space.without(placed[-1])
    assert painted(shape, placed).max(initial=0) <= 1
    if sizes and sizes[0][0] <= shape[0] and sizes[0][1] <= shape[1]:
        assert placed


def test_a_box_inside_leaves_eight_subframes_and_the_whole_frame_none():
    parts = eight_subframes((0, 0, 30, 60), (10, 20, 20, 40))
    areas = ((parts[:, 2] - parts[:, 0]) * (parts[:, 3] - parts[:, 1])).tolist()
    assert areas == [200] * 8
    assert len(eight_subframes((0, 0, 30, 60), (0, 20, 20, 40))) == 5
    assert len(eight_subframes((0, 0, 30, 60), (-5, -5, 90, 90))) == 0


@given(frames, boxes())
def test_joined_subframes_cover_the_eight_and_each_holds_a_whole_side(shape, box):
    frame = (0, 0, *shape)
    eight, joined = (painted(shape, parts(frame, box)) for parts in (eight_subframes, joined_subframes))
    np.testing.assert_array_equal(joined, eight)
    for part in eight_subframes(frame, box).tolist():
        inside = [j for j in joined_subframes(frame, box).tolist() if part[0] >= j[0] and part[1] >= j[1]]
        assert any(part[2] <= j[2] and part[3] <= j[3] for j in inside)


def test_corners_are_joined_so_that_the_largest_rectangle_is_largest():
    # clockwise 25 x 50 px is the largest, the other way 20 x 55
    clockwise = [[0, 5, 5, 60], [5, 10, 30, 60], [10, 0, 30, 10], [0, 0, 10, 5]]
    assert joined_subframes((0, 0, 30, 60), (5, 5, 10, 10)).tolist() == clockwise
    mirrored = [[top, 60 - right, bottom, 60 - left] for top, left, bottom, right in clockwise]
    assert sorted(joined_subframes((0, 0, 30, 60), (5, 50, 10, 55)).tolist()) == sorted(mirrored)


def test_every_place_is_as_likely():
    rng = np.random.default_rng(0)
    space = FreeSpace.of_frame((3, 9)).without((1, 0, 2, 9))  # two strips of one row
    drawn = [space.draw_corner((1, 3), rng) for _ in range(7000)]
    counts = np.unique(np.array(drawn), axis=0, return_counts=True)[1]
    assert len(counts) == 14
    assert counts == pytest.approx(np.full(14, 500), abs=5 * np.sqrt(500))


def test_no_room_is_a_returned_value():
    assert FreeSpace.of_frame((5, 50)).draw_corner((6, 6), np.random.default_rng(0)) is None
    assert FreeSpace.of_frame((5, 5)).without((0, 0, 5, 5)).draw_corner((1, 1), np.random.default_rng(0)) is None
