"""The window around a box, and the outline's way back into the image."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from semsize.detecting.joining import COMFORTABLE_PX
from semsize.detecting.looking import CONTEXT, MOST_ENLARGED, MOST_INPUT_PX, outline_in_box
from semsize.structures.masks import CroppedMasks

SHAPE = (90, 140)
GREY = np.arange(SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)


def filled(window, boxes, _):
    """All pixels of the box: a mask branch of which the answer is known."""
    mask = np.zeros((1, *window.shape), np.uint8)
    x1, y1, x2, y2 = np.rint(boxes[0]).astype(int)
    mask[0, y1:y2, x1:x2] = 1
    return CroppedMasks.from_full(mask)


corners = st.tuples(st.integers(-20, 150), st.integers(-20, 100))


@given(corners, st.integers(1, 160), st.integers(1, 120))
def test_an_outline_comes_back_where_its_box_is(corner, width, height):
    (x, y), image = corner, np.zeros(SHAPE, bool)
    image[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
    assume(image.any())
    crop, (row, column) = outline_in_box(GREY, (x, y, x + width, y + height), filled)
    drawn = np.zeros(SHAPE, bool)
    drawn[row : row + crop.shape[0], column : column + crop.shape[1]] = crop
    np.testing.assert_array_equal(drawn, image)


@pytest.mark.parametrize(("side", "scale"), [(60, 1.0), (30, 2.0), (120, 0.5), (2, MOST_ENLARGED)])
def test_the_network_sees_the_box_in_its_best_size_with_what_is_around_it(side, scale):
    seen = []

    def branch(window, boxes, scale):
        seen.append((window, boxes[0], scale))
        return filled(window, boxes, scale)

    grey = np.arange(1000 * 1000, dtype=np.float32).reshape(1000, 1000)
    outline_in_box(grey, (500, 400, 500 + side, 400 + side), branch)
    ((window, box, used),) = seen
    assert box.dtype == window.dtype == np.float32
    assert used == pytest.approx(min(COMFORTABLE_PX / side, MOST_ENLARGED)) == pytest.approx(scale)
    margin = int(CONTEXT * side)
    np.testing.assert_array_equal(box, [margin, margin, margin + side, margin + side])
    np.testing.assert_array_equal(window, grey[400 - margin : 400 + side + margin, 500 - margin : 500 + side + margin])


def test_a_long_box_does_not_become_a_large_input():
    seen = []

    def branch(window, boxes, scale):
        seen.append(max(window.shape) * scale)
        return filled(window, boxes, scale)

    outline_in_box(np.zeros((40, 9000), np.float32), (1000, 10, 6000, 14), branch)
    assert seen[0] <= MOST_INPUT_PX * 1.01


def test_where_the_network_sees_nothing_the_crop_is_empty():
    crop, _ = outline_in_box(GREY, (10, 10, 20, 20), lambda window, *_: CroppedMasks.from_full(
        np.zeros((1, *window.shape), np.uint8)
    ))  # fmt: skip
    assert crop.size == 0
