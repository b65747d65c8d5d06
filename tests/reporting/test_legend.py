"""The legend keeps the picture, its width, and every colour."""

import numpy as np
import pytest

from tio2.reporting.legend import FILL_OPACITY, STRIP_COLOUR, Entry, add_legend

ENTRIES = [Entry("one", (255, 0, 0)), Entry("another, with a longer label", (0, 255, 0), filled=True)] * 2


@pytest.mark.parametrize("width", [2048, 700, 300])
def test_the_picture_stays_and_each_colour_occurs_below_it(width):
    picture = np.random.default_rng(0).integers(0, 256, (40, width, 3), dtype=np.uint8)
    with_legend = add_legend(picture, ENTRIES, caption="a caption")
    assert with_legend.shape[1] == width
    assert np.array_equal(with_legend[:40], picture)
    strip = with_legend[40:].reshape(-1, 3)
    filled = np.rint((1 - FILL_OPACITY) * np.array(STRIP_COLOUR) + FILL_OPACITY * np.array((0, 255, 0)))
    for colour in ((255, 0, 0), (0, 255, 0), STRIP_COLOUR):
        assert (abs(strip.astype(int) - colour).max(axis=1) <= 2).any()
    assert (abs(strip.astype(int) - filled).max(axis=1) <= 2).any()


def test_a_narrow_picture_gets_more_rows_and_a_very_narrow_one_is_widened():
    heights = [add_legend(np.zeros((10, width, 3), np.uint8), ENTRIES).shape[0] for width in (1200, 600, 240)]
    assert heights == sorted(heights)
    assert heights[0] < heights[-1]
    widened = add_legend(np.full((10, 30, 3), 200, np.uint8), ENTRIES)
    assert widened.shape[1] > 100
    assert (widened[:10, :30] == 200).all()
    assert (widened[:10, 30:] == STRIP_COLOUR).all()
