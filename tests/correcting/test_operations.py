"""Operations on outlines: undone and redone to the byte, exact pixels, each id used once, wrong input refused."""

import doctest

import cv2
import numpy as np
import pytest
from correcting_scenes import LABELS, SHAPE, corrections
from hypothesis import given, settings
from hypothesis import strategies as st

import semsize.correcting.operations
import semsize.correcting.shapes
from semsize.correcting import CorrectionError, Corrections, Operation, Outline
from semsize.correcting.shapes import cut, ellipse_mask, polygon_mask, stroke_mask, without
from semsize.exchange.shapes import joined
from semsize.structures.masks import CroppedMasks


def full(placed, shape=SHAPE):
    return CroppedMasks.from_crops([placed], shape).to_full()[0]


def drawn(state, choice, x, y, size):
    """Some operation, from random numbers."""
    numbers = sorted(state.outlines)
    first = numbers[int(x) % len(numbers)] if numbers else 0
    return [
        lambda: state.delete([first]),
        lambda: state.add(ellipse_mask((x, y), (size, size + 1), SHAPE, 30), "complete"),
        lambda: state.add(polygon_mask([(x, y), (x + size, y), (x, y + size)], SHAPE)),
        lambda: state.split(first, [(x, -1), (y, 31)]),
        lambda: state.merge(numbers[:2]),
        lambda: state.push(first, ellipse_mask((x, y), (size, size), SHAPE), adds=True),
        lambda: state.push(first, ellipse_mask((x, y), (size, size), SHAPE), adds=False),
        lambda: state.restate(numbers, "unusable"),
        lambda: state.mark([first], is_particle=False),
    ][choice]()


STEPS = st.lists(
    st.tuples(st.integers(0, 8), st.floats(0, 39), st.floats(0, 29), st.floats(0.8, 8)), min_size=1, max_size=12
)


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_any_sequence_undone_gives_the_first_state_and_redone_the_last(steps):
    state = corrections()
    states, seen = [repr(sorted(state.outlines.items()))], set(state.outlines)
    for step in steps:
        try:
            operation = drawn(state, *step)
        except CorrectionError:
            continue
        new = operation.after.keys() - operation.before.keys()
        assert not new & seen
        seen |= new
        state.apply(operation)
        states.append(repr(sorted(state.outlines.items())))
    for expected in reversed(states[:-1]):
        state.undo()
        assert repr(sorted(state.outlines.items())) == expected
    with pytest.raises(CorrectionError, match="undo"):
        state.undo()
    for expected in states[1:]:
        state.redo()
        assert repr(sorted(state.outlines.items())) == expected
    with pytest.raises(CorrectionError, match="redo"):
        state.redo()


def test_an_id_whose_outline_was_undone_is_not_given_again():
    state = corrections()
    state.apply(state.add(ellipse_mask((5, 20), (3, 3), SHAPE)))
    state.undo()
    assert list(state.add(ellipse_mask((5, 20), (3, 3), SHAPE)).after) == [5]


@given(st.lists(st.tuples(st.floats(-5, 45), st.floats(-5, 35)), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_cut_keeps_every_pixel_once(line):
    mask = next(iter(CroppedMasks.from_label_image(LABELS == 3)))
    try:
        parts = cut(mask, line)
    except CorrectionError:
        return
    assert len(parts) > 1
    assert (sum(full(part).astype(int) for part in parts) == (LABELS == 3)).all()


@pytest.mark.parametrize("shift", [0, 0.3, 0.5])
@pytest.mark.parametrize(("axis", "line"), [(1, [(220, 90), (220, 150)]), (0, [(190, 120), (250, 120)])])
def test_a_line_through_the_middle_of_a_square_gives_equal_halves(axis, line, shift):
    square = np.ones((40, 40), np.uint8), (100, 200)
    parts = cut(square, np.array(line) + shift)
    assert {part[0].shape[axis] for part in parts} in ({20}, {19, 21} if shift == 0.5 else {20})


@given(st.floats(0, np.pi), st.floats(17, 23), st.floats(17, 23))
@settings(max_examples=60, deadline=None)
def test_a_cut_parts_pixels_by_the_side_on_which_their_centres_lie(angle, x, y):
    disk, (row, column) = ellipse_mask((20, 20), (15, 12), (40, 40))
    way = np.array([np.cos(angle), np.sin(angle)])
    parts = cut((disk, (row, column)), [(x, y) - 60 * way, (x, y) + 60 * way])
    rows, columns = np.nonzero(disk)
    sides = (columns + column + 0.5 - x) * way[1] - (rows + row + 0.5 - y) * way[0]
    larger = full(parts[0], (40, 40))[rows + row, columns + column] > 0
    is_clear = np.abs(sides) > 1e-4
    assert len({*zip(larger[is_clear].tolist(), (sides[is_clear] > 0).tolist(), strict=True)}) == 2


def test_a_line_that_ends_inside_or_misses_does_not_cut():
    state = corrections()
    for line in ([(27, 10), (27, 20)], [(0, 0), (0, 29)]):
        with pytest.raises(CorrectionError, match="does not cut"):
            state.split(3, line)


def test_a_piece_that_the_line_misses_stays_whole_with_the_largest_part():
    pieces = np.zeros(SHAPE, int)
    pieces[0:10, 0:10], pieces[20:25, 20:25] = 1, 1
    parts = cut(next(iter(CroppedMasks.from_label_image(pieces))), [(3.5, -2), (3.5, 12)])
    assert [int(part[0].sum()) for part in parts] in ([85, 40], [95, 30])


def test_merge_is_the_union_and_refuses_what_is_apart():
    state = corrections()
    state.apply(state.merge([1, 2]))
    assert (state.masks([4]).to_full()[0] == np.isin(LABELS, [1, 2])).all()
    with pytest.raises(CorrectionError, match="touch"):
        state.merge([3, 4])
    with pytest.raises(CorrectionError, match="two"):
        state.merge([3, 3])


def test_a_polygon_of_whole_pixels_and_an_ellipse_are_their_closed_forms():
    assert full(polygon_mask([(2, 3), (9, 3), (9, 8), (2, 8)], SHAPE)).nonzero()[0].size == 35
    rows, columns = np.mgrid[:30, :40] + 0.5
    for x, y, radius in ((10, 10, 4), (0.2, 29, 6.5), (20.5, 3.5, 0.6)):
        disk = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        assert (full(ellipse_mask((x, y), (radius, radius), SHAPE)) == disk).all()
    turned = full(ellipse_mask((20, 15), (9, 4), SHAPE, 90))
    assert (turned == full(ellipse_mask((20, 15), (4, 9), SHAPE))).all()


POINTS = st.lists(st.tuples(st.floats(-5, 45), st.floats(-5, 35)), min_size=1, max_size=4)


@given(POINTS, st.floats(0.8, 6))
@settings(max_examples=40, deadline=None)
def test_a_stroke_is_what_its_brush_covers_on_the_way(path, radius):
    rows, columns = np.mgrid[:30, :40] + 0.5
    nearest = np.full(SHAPE, np.inf)
    for (x, y), (to_x, to_y) in zip([path[0], *path], path, strict=False):
        for share in np.linspace(0, 1, 400):
            at = np.hypot(rows - y - share * (to_y - y), columns - x - share * (to_x - x))
            nearest = np.minimum(nearest, at)
    try:
        painted = full(stroke_mask(path, radius, SHAPE)) > 0
    except CorrectionError:
        painted = np.zeros(SHAPE, bool)
    assert not ((nearest <= radius - 1e-9) & ~painted).any()
    assert not (painted & (nearest > radius + 0.01)).any()  # the 400 steps are no further than 0.13 px apart


def test_a_brush_that_parts_an_outline_leaves_its_largest_piece_and_says_so():
    state = corrections()
    operation = state.push(3, stroke_mask([(24, 12), (24, 28)], 1.5, SHAPE), adds=False)
    state.apply(operation)
    assert state.masks([3]).boxes[0].tolist() == [26, 15, 35, 25]
    assert operation.note.startswith("the brush parted outline 3: the largest piece stays, 20 px are gone")
    beside = state.push(3, stroke_mask([(25, 12), (26, 28)], 1.5, SHAPE), adds=False)
    assert beside.note is None


def test_pieces_that_the_brush_does_not_part_stay():
    pieces = np.zeros(SHAPE, int)
    pieces[0:10, 0:10], pieces[20:25, 20:25] = 1, 1
    state = Corrections.from_masks(CroppedMasks.from_label_image(pieces), [None])
    state.apply(state.push(1, stroke_mask([(3.5, -2), (3.5, 12)], 1, SHAPE), adds=False))
    left = state.masks([1]).to_full()[0]
    assert (left[:, :10].sum(), left[:, 20:].sum()) == (50, 25)


def test_a_large_ellipse_has_its_area():
    mask, _ = ellipse_mask((500, 400), (300, 150), (800, 1000), 25)
    assert mask.sum() == pytest.approx(np.pi * 300 * 150, rel=1e-3)
    sides = cv2.minAreaRect(np.argwhere(mask)[:, ::-1].astype(np.float32))[1]
    assert sorted(sides) == pytest.approx([300, 600], abs=3)


@given(st.floats(-3, 43), st.floats(-3, 33), st.floats(0.8, 30))
@settings(max_examples=60, deadline=None)
def test_a_brush_adds_and_takes_exactly_its_pixels(x, y, radius):
    mask = next(iter(CroppedMasks.from_label_image(LABELS == 3)))
    try:
        brush = ellipse_mask((x, y), (radius, radius), SHAPE)
    except CorrectionError:
        return
    assert (full(joined([mask, brush])) == (full(mask) | full(brush))).all()
    left = without(mask, brush)
    expected = full(mask) & ~full(brush) & 1
    assert (full(left) == expected).all() if left[0].size else not expected.any()


@pytest.mark.parametrize(
    "make",
    [
        lambda _: polygon_mask([(0, 0), (1, 1)], SHAPE),
        lambda _: polygon_mask([(0, 0), (1, float("nan")), (2, 2)], SHAPE),
        lambda _: polygon_mask([(0, 0), (1e6, 0), (2, 2)], SHAPE),
        lambda _: polygon_mask([(0, 0)] * 30_000, SHAPE),
        lambda _: ellipse_mask((-50, 0), (2, 2), SHAPE),
        lambda _: ellipse_mask((5, 5), (0, 2), SHAPE),
        lambda _: ellipse_mask((5, 5), (1e30, 2), SHAPE),
        lambda _: stroke_mask([], 3, SHAPE),
        lambda _: stroke_mask([(2, 2)], float("nan"), SHAPE),
        lambda _: stroke_mask([(2, 2)], 1e6, SHAPE),
        lambda _: stroke_mask([(0, 0), (9e6, 9e6)], 3, SHAPE),
        lambda _: stroke_mask([(0, 0), (40, 30)] * 9999, 400, SHAPE),
        lambda s: s.delete([7]),
        lambda s: s.delete([]),
        lambda s: s.push(1, ellipse_mask((8, 8), (30, 30), SHAPE), adds=False),
        lambda s: s.apply(s.restate([1], "round")),
        lambda s: s.apply(Operation("add", {}, {2: s.outlines[1]})),
        lambda s: s.apply(Operation("add", {}, {4: Outline("0")})),
        lambda s: s.apply(Operation("add", {}, {4: Outline("129")})),
        lambda s: s.apply(Operation("add", {}, {4: Outline("\n")})),
        lambda s: s.apply(Operation("delete", {1: Outline("129")}, {})),
        lambda s: s.apply(Operation("add", {}, {9: s.outlines[1]})),
        lambda s: s.apply(Operation("explode", s.outlines, {})),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line_and_changes_nothing(make):
    state = corrections()
    with pytest.raises(CorrectionError) as caught:
        make(state)
    assert "\n" not in str(caught.value)
    assert state == corrections()


def test_touched_is_what_an_operation_changed_and_was_not_taken_back():
    state = corrections()
    state.apply(state.merge([1, 2]))
    state.apply(state.restate([3], "complete"))
    assert state.touched() == {3, 4}
    state.undo()
    assert state.touched() == {4}


@pytest.mark.parametrize("module", [semsize.correcting.operations, semsize.correcting.shapes])
def test_examples_run(module):
    assert doctest.testmod(module).failed == 0
