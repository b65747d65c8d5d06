"""Doubts that are updated during correction equal doubts computed anew."""

from types import SimpleNamespace

import numpy as np
from correcting_scenes import SHAPE, corrections
from hypothesis import given, settings
from hypothesis import strategies as st

from semsize.correcting import CorrectionError
from semsize.correcting.doubts import Doubts
from semsize.correcting.shapes import ellipse_mask

STEPS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 39), st.integers(0, 29), st.integers(1, 8)), min_size=1, max_size=10
)


def done(state, choice, x, y, size):
    """Some operation, done, from random numbers."""
    numbers = sorted(state.outlines)
    first = numbers[x % len(numbers)] if numbers else 0
    if choice in (6, 7):
        return state.undo().inverse() if choice == 6 else state.redo()
    operation = [
        lambda: state.delete([first]),
        lambda: state.add(ellipse_mask((x, y), (size, size + 1), SHAPE, 30)),
        lambda: state.split(first, [(x, -1), (y, 31)]),
        lambda: state.merge(numbers[:2]),
        lambda: state.push(first, ellipse_mask((x, y), (size, size), SHAPE), adds=size % 2 > 0),
        lambda: state.mark([first], is_particle=size % 2 > 0),
    ][choice]()
    state.apply(operation)
    return operation


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_doubts_after_each_change_are_those_of_a_fresh_look_and_all_that_changed_are_named(steps):
    state = corrections()
    result = SimpleNamespace(scores=np.array([0.9, 0.3, 0.6]), seen={}, states=[None] * 3)
    doubts = Doubts(state, result, 0.5)
    for step in steps:
        before = doubts.of(state.outlines)
        try:
            operation = done(state, *step)
        except CorrectionError:
            continue
        named = doubts.renew({*operation.before, *operation.after})
        after = doubts.of(state.outlines)
        assert after == Doubts(state, result, 0.5).of(state.outlines)
        changed = {number for number in after if after[number] != before.get(number)}
        assert changed <= named | operation.after.keys()
