"""Simulated images: no overlaps, everything aligned, failures returned."""

import numpy as np
import pytest
from agglomerate_samples import library
from hypothesis import given, settings
from hypothesis import strategies as st

from semsize.structures.states import has_neighbour_within
from tio2.agglomerates import PasteSettings, Seam, paste_agglomerates

LIBRARY = library()
SEAM = Seam()


@given(
    st.tuples(st.integers(20, 220), st.integers(20, 220)),
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(1, 60), st.integers(1, 60)), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_nothing_overlaps_nothing_leaves_the_frame_nothing_occupied_is_touched(shape, seed, corners):
    occupied = [(top, left, top + height, left + width) for top, left, height, width in corners]
    background = np.full(shape, 40, np.float32)
    rng = np.random.default_rng(seed)
    pasted = paste_agglomerates(background, LIBRARY, rng, PasteSettings((0, 30), tries=5), occupied)
    count = np.zeros(shape, int)
    for placement in pasted.placements:
        top, left, bottom, right = placement.box
        assert 0 <= top < bottom <= shape[0]
        assert 0 <= left < right <= shape[1]
        count[top:bottom, left:right] += 1
    assert count.max() <= 1
    for top, left, bottom, right in occupied:
        assert not count[top:bottom, left:right].any()
    full = pasted.masks.to_full()
    assert full.sum(axis=0).max(initial=0) <= 1
    assert not full.any(axis=0)[count == 0].any()
    np.testing.assert_array_equal(pasted.image[count == 0], 40)
    assert len(pasted.masks) == len(pasted.particles) == sum(len(p.agglomerate.masks) for p in pasted.placements)


def test_masks_lie_where_the_pixels_were_pasted():
    background = np.full((300, 400), 40, np.float32)
    pasted = paste_agglomerates(background, LIBRARY, np.random.default_rng(3), PasteSettings((20, 20)))
    for crop, (row, column) in pasted.masks:
        assert pasted.image[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0].mean() > 100
    union = pasted.masks.to_full().any(axis=0)
    assert pasted.image[~union].mean() < 45


def test_agglomerates_stay_apart_and_what_was_alone_stays_alone():
    pasted = paste_agglomerates(
        np.zeros((300, 400), np.float32), LIBRARY, np.random.default_rng(4), PasteSettings((40, 40))
    )
    near = has_neighbour_within(pasted.masks, 2 * SEAM.reach_px)
    alone = [len(p.agglomerate.masks) == 1 for p in pasted.placements for _ in p.agglomerate.masks]
    np.testing.assert_array_equal(~near, alone)


def test_states_go_with_their_particles():
    pasted = paste_agglomerates(
        np.zeros((200, 200), np.float32), LIBRARY, np.random.default_rng(5), PasteSettings((10, 10))
    )
    areas = [int(a) for p in pasted.placements for a in p.agglomerate.masks.areas]
    states = [particle["state"] for p in pasted.placements for particle in LIBRARY[p.number].particles]
    assert pasted.masks.areas.tolist() == areas
    assert [particle["state"] for particle in pasted.particles] == states


def test_a_full_frame_is_a_returned_value():
    background = np.full((12, 12), 40, np.float32)
    pasted = paste_agglomerates(background, LIBRARY, np.random.default_rng(0), PasteSettings((5, 5), tries=7))
    assert (len(pasted.placements), len(pasted.masks), pasted.failures) == (0, 0, 7)
    np.testing.assert_array_equal(pasted.image, background)


def test_the_generator_decides_everything():
    background = np.full((200, 200), 40, np.float32)
    one, same, other = (
        paste_agglomerates(background, LIBRARY, np.random.default_rng(s), PasteSettings((6, 6))) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.image, same.image)
    assert one.manifest_entries() == same.manifest_entries() != other.manifest_entries()


@pytest.mark.parametrize("wrong", [{"count_range": (3, 2)}, {"count_range": (-1, 2)}, {"tries": 0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="count_range"):
        PasteSettings(**wrong)
