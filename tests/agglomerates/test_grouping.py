"""Agglomerates are connected groups of particles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from scenes import disks, squares
from tio2.agglomerates.agglomerate import touching_groups


@pytest.mark.parametrize(("gap", "groups"), [(1, 1), (3, 1), (4, 2), (9, 2)])
def test_a_gap_up_to_the_joining_distance_is_closed(gap, groups):
    # pixels at columns 10..15 and 16 + gap ..: centres gap + 1 apart
    masks = squares((40, 60), [(10, 10), (10, 16 + gap)], 6)
    assert len(touching_groups(masks, join_px=4)) == groups


@given(st.lists(st.tuples(st.integers(4, 56), st.integers(4, 76)), max_size=12, unique=True), st.floats(1, 8))
@settings(max_examples=40, deadline=None)
def test_groups_are_the_components_of_the_distance_graph(centres, join_px):
    masks = disks((60, 80), centres, [3] * len(centres))
    groups = touching_groups(masks, join_px)
    assert sorted(i for group in groups for i in group) == list(range(len(masks)))
    if not centres:
        return
    pixels = [np.argwhere(mask) for mask in masks.to_full()]
    near = np.array([[cdist(a, b).min() <= join_px for b in pixels] for a in pixels])
    count, component = connected_components(near)
    assert len(groups) == count
    assert all(len(set(component[group])) == 1 for group in groups)


def test_empty_masks_belong_to_no_group():
    masks = squares((20, 20), [(2, 2)], 4).crop((10, 10, 20, 20))
    assert masks.areas.tolist() == [0]
    assert touching_groups(masks) == []
