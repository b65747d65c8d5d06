"""Annotations simulated with errors of known size have errors of that size."""

import numpy as np
import pytest

from annotators import (
    CORRELATION_PX,
    AnnotatorErrors,
    annotated,
    annotation_of,
    correlated_noise,
    disputed,
    exact,
    labels_of,
    scene_of,
    windows_of,
    with_gaps,
)
from scenes import disks, square_grid, squares
from semsize.metrology.comparison import ImageTruth

SHAPE = (60, 80)


def truth_of(masks, states=None):
    states = ("complete",) * len(masks) if states is None else states
    ids, cut = np.arange(len(masks)), np.zeros(len(masks), bool)
    return ImageTruth(1, "1.png", None, None, ids, masks, states, cut, masks[:0])


def field_of_disks(radius=12.0, side=6):
    centres = [(20 + 40 * row, 20 + 40 * column) for row in range(side) for column in range(side)]
    return disks((40 * side, 40 * side), centres, [radius] * side**2)


def test_without_errors_both_draw_the_same():
    scene = scene_of(truth_of(field_of_disks(side=2)))
    drawn = annotated(scene, AnnotatorErrors(), np.random.default_rng(0))
    assert np.array_equal(drawn.masks.to_full(), exact(scene, gaps_filled=False).to_full())
    assert (abs(drawn.masks.areas - scene.truth.masks.areas) <= 4).all()  # the smooth outline's, not the steps'
    assert drawn.states == scene.truth.states


def test_an_outline_that_is_moved_as_a_whole_moves_the_diameter_by_twice_that():
    scene = scene_of(truth_of(field_of_disks(side=12)))
    drawn = annotated(scene, AnnotatorErrors(between_px=0.5), np.random.default_rng(0)).masks
    diameters = 2 * np.sqrt(drawn.areas / np.pi)
    assert diameters.mean() == pytest.approx(24, abs=0.3)
    assert diameters.std(ddof=1) == pytest.approx(1.0, rel=0.2)


def test_an_error_along_the_outline_moves_pixels_and_hardly_the_diameter():
    """Of an outline moved by N(0, s) everywhere, both sides lose and gain a band of s·sqrt(2/pi)/2 on average."""
    scene = scene_of(truth_of(field_of_disks(side=8)))
    drawn, true = annotated(scene, AnnotatorErrors(within_px=0.8), np.random.default_rng(1)).masks, scene.truth.masks
    shared = (drawn.to_full() & true.to_full()).sum(axis=(1, 2))
    lost = (true.areas - shared) / (2 * np.pi * 12)
    assert lost.mean() == pytest.approx(0.8 * np.sqrt(2 / np.pi) / 2, rel=0.15)
    assert (2 * np.sqrt(drawn.areas / np.pi)).std() < 0.8


def test_errors_beside_others_are_larger_by_the_factor():
    pair = squares(SHAPE, [(15, 10), (15, 32)], 20)  # 2 px apart
    scene = scene_of(truth_of(pair))
    near = scene.near_others[0]
    rows, columns = (slice_.start for slice_ in scene.places[0])
    assert near[20 - rows, 29 - columns]
    assert not near[20 - rows, 27 - columns]
    moved = [
        annotated(scene, AnnotatorErrors(between_px=0.4, inner=inner), np.random.default_rng(3)).masks.areas
        for inner in (1.0, 3.0)
    ]
    assert (moved[0] != moved[1]).any()


def test_noise_has_unit_variance_and_its_correlation_length():
    noise = correlated_noise((600, 600), np.random.default_rng(0))
    assert noise.std() == pytest.approx(1, rel=0.05)
    apart = int(CORRELATION_PX)
    assert (noise[:, apart:] * noise[:, :-apart]).mean() == pytest.approx(1 / np.e, abs=0.05)


def test_gaps_are_filled_by_the_nearer_and_cut_again():
    pair = squares(SHAPE, [(15, 10), (15, 31)], 20)  # one column between them
    scene = scene_of(truth_of(pair))
    whole = exact(scene, gaps_filled=True)
    assert whole.areas.sum() >= 2 * 20 * 20 + 16 - 8  # the gap, but for what smoothing takes of the eight corners
    numbers = labels_of(whole)
    touching = (numbers[:, 1:] != numbers[:, :-1]) & (numbers[:, 1:] > 0) & (numbers[:, :-1] > 0)
    assert touching.any()
    cut = with_gaps(numbers)
    touching = (cut[:, 1:] != cut[:, :-1]) & (cut[:, 1:] > 0) & (cut[:, :-1] > 0)
    assert not touching.any()
    apart = squares(SHAPE, [(15, 10), (15, 35)], 20)
    assert np.array_equal(with_gaps(labels_of(apart)), labels_of(apart))


def test_all_left_out_all_divided_all_joined():
    rng = np.random.default_rng(0)
    grid = labels_of(square_grid(9, side_px=12, gap_px=2))
    assert not disputed(grid, 9, AnnotatorErrors(missed=1), rng).any()
    halves = disputed(grid, 9, AnnotatorErrors(divided=1), rng)
    assert np.unique(halves[halves > 0]).tolist() == list(range(1, 19))
    for number in range(1, 10):
        sizes = [(halves == part).sum() for part in (number, number + 9)]
        assert abs(sizes[0] - sizes[1]) < 12
        assert sum(sizes) > 144 - 25
    pair = labels_of(squares(SHAPE, [(15, 10), (15, 32)], 20))
    joined = disputed(pair, 2, AnnotatorErrors(joined=1), rng)
    assert len(np.unique(joined[joined > 0])) == 1
    assert (joined > 0).sum() == 800
    alone = labels_of(squares(SHAPE, [(15, 10), (15, 40)], 20))
    assert np.array_equal(disputed(alone, 2, AnnotatorErrors(joined=1), rng), alone)


def test_shares_are_shares():
    grid = square_grid(400, side_px=6, gap_px=6)
    drawn = disputed(labels_of(grid), 400, AnnotatorErrors(missed=0.1, divided=0.2), np.random.default_rng(0))
    present = np.unique(drawn[drawn > 0])
    assert 400 - (present <= 400).sum() == pytest.approx(40, abs=18)
    assert (present > 400).sum() == pytest.approx(80, abs=24)


def test_halves_have_the_state_of_the_whole():
    masks = squares(SHAPE, [(15, 10), (15, 40)], 20)
    numbers = labels_of(masks)
    numbers[15:25, 40:60] = 4  # the upper half of particle 2 of 2
    annotation = annotation_of(truth_of(masks, ("masked", "unusable")), numbers)
    assert annotation.states == ("masked", "unusable", "unusable")
    assert annotation.masks.areas.tolist() == [400, 200, 200]


def test_windows_end_at_the_frame_and_tell_whose_pixels_are_whose():
    masks = squares(SHAPE, [(0, 0), (5, 22)], 20)
    (place, own, others), (_, second, first) = windows_of(masks)
    assert place == (slice(0, 30), slice(0, 30))
    assert (own.sum(), others.sum()) == (400, 8 * 20)
    assert (second.sum(), first.sum()) == (400, 8 * 20)
