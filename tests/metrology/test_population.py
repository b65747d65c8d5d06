"""Each measurand has a name, and each exclusion a stated effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.metrology import exclusion_effects, population
from semsize.metrology.occlusion import QUANTITY_FULLY_IMAGED, QUANTITY_VISIBLE
from semsize.structures import STATES
from semsize.structures.states import FULLY_IMAGED_STATES


@given(st.lists(st.sampled_from([*STATES, None]), max_size=20))
def test_every_particle_is_in_one_part(states):
    split = population(states)
    full = np.array([state in FULLY_IMAGED_STATES for state in states], bool)
    parts = np.array([full | (not split.states_known), split.not_fully_imaged, split.unknown])
    np.testing.assert_array_equal(parts.sum(axis=0), 1)
    assert split.quantity == (QUANTITY_FULLY_IMAGED if split.states_known else QUANTITY_VISIBLE)
    assert split.unknown.sum() == (states.count(None) if split.states_known else 0)


def test_fully_imaged_ones_make_the_headline():
    split = population(["isolated", "complete", "touch_complete", "masked", "unusable", None])
    np.testing.assert_array_equal(split.unknown, [0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(split.not_fully_imaged, [0, 0, 0, 1, 1, 0])
    assert not population([None, None]).not_fully_imaged.any()


def test_exclusions_count_once_and_tell_their_effect():
    sizes = np.array([10.0, 20, 30, 40, 50])
    weights = np.ones(5)
    first, second, third = exclusion_effects(
        sizes,
        weights,
        {
            "border": np.array([0, 0, 0, 0, 1], bool),
            "score": np.array([1, 0, 0, 0, 1], bool),
            "state": np.zeros(5, bool),
        },
    )
    assert (first.reason, first.count, first.d50, first.d50_with) == ("border", 1, 30, 35)
    assert (second.count, second.d50_with) == (1, 25)
    assert second.effect_percent == pytest.approx(20)
    assert (third.count, third.effect_percent) == (0, 0)


def test_nothing_kept_is_nan():
    (only,) = exclusion_effects(np.array([1.0]), np.array([1.0]), {"score": np.array([True])})
    assert np.isnan([only.d50, only.effect_percent]).all()
    assert only.d50_with == 1
