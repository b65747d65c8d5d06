import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import scenes
from semsize.structures import (
    STATES,
    USEFUL_STATES,
    CroppedMasks,
    assign_states,
    has_neighbour_within,
    visibility_class,
)
from semsize.structures.states import neighbour_pairs


def squares(*corners):
    """Masks of squares of 6 px at (row, column) corners."""
    return scenes.squares((40, 60), corners, 6)


@st.composite
def label_images(draw):
    """Labels (H, W) of up to 8 random rectangles, later ones hiding earlier ones."""
    height, width = draw(st.tuples(st.integers(6, 24), st.integers(6, 24)))
    labels = np.zeros((height, width), np.int32)
    for label in range(1, draw(st.integers(1, 8)) + 1):
        row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        labels[row : row + draw(st.integers(1, 7)), column : column + draw(st.integers(1, 7))] = label
    return labels


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(1, "complete"), (0.98, "complete"), (0.9799, "masked"), (0.4, "masked"), (0.3999, "unusable"), (0, "unusable")],
)
def test_class_limits_belong_to_the_better_class(fraction, expected):
    assert visibility_class(fraction) == expected


@pytest.mark.parametrize("fraction", [-0.01, 1.01, float("nan")])
def test_visible_fraction_is_a_fraction(fraction):
    with pytest.raises(ValueError, match="0 to 1"):
        visibility_class(fraction)


def test_unusable_is_the_one_state_that_is_not_useful():
    assert set(STATES) - set(USEFUL_STATES) == {"unusable"}


def test_isolated_ends_where_another_pixel_lies_three_pixels_away():
    two_empty = squares((5, 5), (5, 13))  # columns 10 and 13: centres 3 px apart
    three_empty = squares((5, 5), (5, 14))
    assert assign_states(two_empty, ["complete"] * 2) == ["complete"] * 2
    assert assign_states(three_empty, ["complete"] * 2) == ["isolated"] * 2


def test_distance_is_euclidean():
    corner = squares((5, 5), (13, 13))  # nearest pixels 3 rows and 3 columns apart
    assert assign_states(corner, ["complete"] * 2) == ["isolated"] * 2


def test_other_classes_are_states_already_and_unknown_stays_unknown():
    masks = squares((5, 5), (5, 11), (20, 5), (20, 30))
    assert assign_states(masks, ["masked", "unusable", None, "complete"]) == ["masked", "unusable", None, "isolated"]


def test_a_neighbour_of_unknown_state_still_ends_isolation():
    assert assign_states(squares((5, 5), (5, 12)), ["complete", None]) == ["complete", None]


@pytest.mark.parametrize(
    ("share", "behind_class", "expected"),
    [
        (0.0, "complete", ["complete", "complete"]),
        (0.01, "complete", ["complete", "touch_complete"]),
        (0.02, "complete", ["touch_complete", "touch_complete"]),
        (0.3, "masked", ["touch_complete", "masked"]),
        (0.7, "unusable", ["touch_complete", "unusable"]),
    ],
)
def test_touch_complete_hides_noticeably_or_is_hidden_by_a_sliver(share, behind_class, expected):
    masks = squares((5, 5), (5, 11))  # share a border
    assert assign_states(masks, ["complete", behind_class], {(0, 1): share}) == expected


def test_touch_complete_needs_a_shared_border():
    apart, corner_to_corner = squares((5, 5), (5, 12)), squares((5, 5), (11, 11))
    for masks in (apart, corner_to_corner):
        assert assign_states(masks, ["complete", "masked"], {(0, 1): 0.3}) == ["complete", "masked"]


def test_an_empty_mask_has_no_neighbours():
    full = np.zeros((2, 8, 8), np.uint8)
    full[0, 2:5, 2:5] = 1
    assert assign_states(CroppedMasks.from_full(full), ["complete", "unusable"]) == ["isolated", "unusable"]


def test_no_particles_have_no_states():
    assert assign_states(CroppedMasks.empty((5, 5)), []) == []


@pytest.mark.parametrize(("classes", "message"), [(["complete"], "as many"), (["complete", "green"], "green")])
def test_refuses_classes_that_do_not_fit(classes, message):
    with pytest.raises(ValueError, match=message):
        assign_states(squares((5, 5), (20, 20)), classes)


@settings(deadline=None)
@given(label_images(), st.sampled_from([1, 2, 2.5, 3, 5]))
def test_neighbours_are_those_of_a_distance_transform(labels, distance):
    ids = np.unique(labels[labels > 0])
    expected = {
        (i, j)
        for i, first in enumerate(ids)
        for j, second in enumerate(ids)
        if i < j and ndimage.distance_transform_edt(labels != first)[labels == second].min() <= distance
    }
    masks = CroppedMasks.from_label_image(labels)
    assert set(map(tuple, neighbour_pairs(masks, distance).tolist())) == expected
    expected_alone = set(range(len(ids))) - {index for pair in expected for index in pair}
    assert set(np.flatnonzero(~has_neighbour_within(masks, distance)).tolist()) == expected_alone


@settings(deadline=None)
@given(label_images(), st.data())
def test_states_do_not_change_under_flips(labels, data):
    masks = CroppedMasks.from_label_image(labels)
    classes = data.draw(
        st.lists(st.sampled_from(["complete", "masked", "unusable", None]), min_size=len(masks), max_size=len(masks))
    )
    pairs = st.tuples(*[st.integers(0, max(len(masks) - 1, 0))] * 2)
    hides = data.draw(st.dictionaries(pairs, st.sampled_from([0.01, 0.02, 0.5])))
    hides = {(i, j): share for (i, j), share in hides.items() if i != j}
    states = assign_states(masks, classes, hides)
    for flipped in (labels[::-1], labels[:, ::-1], labels[::-1, ::-1], labels.T):
        assert assign_states(CroppedMasks.from_label_image(flipped), classes, hides) == states
