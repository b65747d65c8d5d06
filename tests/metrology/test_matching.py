"""Matching against cases worked out by hand, an exhaustive search, full-frame counting; COCO's average precision."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from scenes import coco_found, coco_truth, disks, shifted, square_grid, squares
from semsize.metrology.matching import match, outcomes, pooled_average_precision
from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import overlaps

FRAME = (60, 60)


@st.composite
def heaps(draw):
    """Up to 7 disks anywhere in the frame, overlapping one another and cut by its edge."""
    circles = draw(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(1.5, 14)), max_size=7))
    masks = disks(FRAME, [circle[:2] for circle in circles], [circle[2] for circle in circles])
    return masks[masks.areas > 0]


def test_squares_shifted_by_known_amounts():
    truth = squares((100, 100), [(10, 10), (40, 10), (70, 10), (70, 60)], 20)
    moved = CroppedMasks.cat([shifted(truth[0], 0, 2), shifted(truth[1], 4, 0), shifted(truth[2], 8, 0)])
    pairs = overlaps(truth, moved)
    assert pairs.first.tolist() == pairs.second.tolist() == [0, 1, 2]
    assert pairs.intersection_px.tolist() == [18 * 20, 16 * 20, 12 * 20]
    assert pairs.dice == pytest.approx([0.9, 0.8, 0.6])
    assert pairs.iou == pytest.approx([18 / 22, 16 / 24, 12 / 28])
    matching = match(truth, moved)
    assert matching.truth.tolist() == matching.found.tolist() == [0, 1]
    assert matching.dice == pytest.approx([0.9, 0.8])
    assert (matching.missed.tolist(), matching.false_positives.tolist()) == ([2, 3], [2])
    assert match(truth, moved, min_dice=0.6).missed.tolist() == [3]


def test_a_disk_in_a_disk_has_the_dice_of_its_areas():
    pair = disks(FRAME, [(30.5, 30.5), (30.5, 30.5)], [20, 10])
    small, large = pair.areas[1], pair.areas[0]
    assert overlaps(pair[0], pair[1]).dice == pytest.approx([2 * small / (small + large)])
    assert small / large == pytest.approx(0.25, abs=0.01)


def test_boxes_that_meet_without_shared_pixels_are_no_pair():
    corner = np.tril(np.ones((9, 9), np.uint8), -1)
    other = np.triu(np.ones((9, 9), np.uint8), 1)
    both = CroppedMasks((corner, other), np.zeros((2, 2), np.int64), (9, 9))
    assert len(overlaps(both[0], both[1]).first) == 0


def test_more_pairs_win_over_one_better_pair():
    # columns: true A 0-19, B 3-22; found X 2-21, Y 7-26. Shared of 20: A-X 18, B-X 19, B-Y 16, A-Y 13
    truth = squares((20, 40), [(0, 0), (0, 3)], 20)
    found = squares((20, 40), [(0, 2), (0, 7)], 20)
    matching = match(truth, found, min_dice=0.75)
    assert list(zip(matching.truth, matching.found, strict=True)) == [(0, 0), (1, 1)]
    assert matching.dice == pytest.approx([0.9, 0.8])
    alone = match(truth, found, min_dice=0.85)  # B-Y is out: A and B compete for X
    assert (alone.truth.tolist(), alone.found.tolist(), alone.missed.tolist()) == ([1], [0], [0])


def test_finds_in_ignored_regions_are_neither_right_nor_wrong():
    grid = square_grid(6, side_px=8)
    found = CroppedMasks.cat([grid[:2], shifted(grid[2:4], 0, 1), shifted(grid[4], 0, 6)])
    matching = match(grid[:2], found, ignored_regions=grid[2:])
    assert matching.ignored.tolist() == [2, 3]
    assert matching.false_positives.tolist() == [4]  # a quarter of it lies in the region
    assert match(grid[:2], found).false_positives.tolist() == [2, 3, 4]
    assert match(grid, found, ignored_regions=grid).ignored.size == 0  # matched or, below half, wrong


@pytest.mark.parametrize("side", ["truth", "found", "both"])
def test_empty_sets(side):
    grid = square_grid(3)
    truth, found = (grid[:0] if side in (name, "both") else grid for name in ("truth", "found"))
    matching = match(truth, found, ignored_regions=grid[:0])
    assert matching.truth.size == matching.found.size == matching.dice.size == 0
    assert (len(matching.missed), len(matching.false_positives)) == (len(truth), len(found))


def test_images_may_differ_by_a_data_bar_at_the_foot_but_not_in_width():
    grid = square_grid(4)
    taller = CroppedMasks(grid.crops, grid.origins, (grid.image_shape[0] + 64, grid.image_shape[1]))
    assert match(grid, taller).dice.tolist() == [1.0] * 4
    wider = CroppedMasks(grid.crops, grid.origins, (grid.image_shape[0], grid.image_shape[1] + 1))
    with pytest.raises(ValueError, match="cannot be compared"):
        match(grid, wider)
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        match(grid, grid, min_dice=0.0)


@settings(max_examples=150, deadline=None)
@given(heaps(), heaps())
def test_overlaps_equal_full_frame_counting(first, second):
    counts = np.einsum("nhw,mhw->nm", first.to_full().astype(np.int64), second.to_full().astype(np.int64))
    pairs = overlaps(first, second)
    full = np.zeros_like(counts)
    full[pairs.first, pairs.second] = pairs.intersection_px
    assert np.array_equal(full, counts)
    assert (pairs.intersection_px > 0).all()
    assert np.allclose(pairs.dice, 2 * pairs.iou / (1 + pairs.iou))


@settings(max_examples=150, deadline=None)
@given(heaps(), heaps(), st.sampled_from([0.2, 0.4, 0.75]))
def test_the_assignment_is_the_best_of_all(truth, found, min_dice):
    matching = match(truth, found, min_dice=min_dice)
    assert len(set(matching.truth.tolist())) == len(set(matching.found.tolist())) == len(matching.truth)
    assert (matching.dice >= min_dice).all()
    assert sorted([*matching.truth, *matching.missed]) == list(range(len(truth)))
    assert sorted([*matching.found, *matching.false_positives]) == list(range(len(found)))
    pairs = overlaps(truth, found)
    dice = np.zeros((len(truth), len(found)))
    dice[pairs.first, pairs.second] = np.where(pairs.dice >= min_dice, pairs.dice, 0)
    assert (len(matching.truth), matching.dice.sum()) == pytest.approx(best_by_search(dice))


def best_by_search(dice):
    """Most pairs, then largest sum, over every assignment of the rows to columns or to nobody."""
    dice = dice if len(dice) <= dice.shape[1] else dice.T
    best = (0, 0.0)
    usable = [[-1, *np.nonzero(row)[0]] for row in dice]
    for choice in itertools.product(*usable):
        columns = [column for column in choice if column >= 0]
        if len(columns) == len(set(columns)):
            best = max(best, (len(columns), sum(dice[i, j] for i, j in enumerate(choice) if j >= 0)))
    return best


def test_3741_against_3741_in_19_images_take_under_two_seconds():
    rng = np.random.default_rng(0)
    pairs = []
    for count in [197] * 18 + [195]:
        centres, radii = rng.uniform(0, (1536, 2048), (count, 2)), rng.uniform(10, 60, count)
        moved = centres + rng.normal(0, 2, (count, 2))
        pairs.append((disks((1536, 2048), centres, radii), disks((1536, 2048), moved, radii)))
    assert sum(len(truth) for truth, _ in pairs) == 3741
    start = time.process_time()
    matched = sum(len(match(truth, found).truth) for truth, found in pairs)
    assert time.process_time() - start < 2
    assert matched > 3600


def random_image(rng, count):
    grid = square_grid(count + 20, side_px=12, gap_px=8)
    order = rng.permutation(len(grid))
    truth, rest = grid[np.sort(order[:count])], order[count:]
    kept = truth[np.flatnonzero(rng.random(count) < 0.85)]
    moved = [shifted(kept[i], *rng.integers(0, 5, 2)) for i in range(len(kept))]
    found = CroppedMasks.cat([*moved, grid[rest[:10]], truth[:5]])
    return truth, grid[rest[6:14]], found, np.round(rng.random(len(found)), 2)


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(seed):
    rng = np.random.default_rng(seed)
    images = [random_image(rng, count) for count in (70, 30, 1)]
    truth, specks, found, scores = zip(*images, strict=True)
    api = COCO()
    api.dataset = coco_truth(truth, specks)
    api.createIndex()
    evaluation = COCOeval(api, api.loadRes(coco_found(found, scores)), "segm")
    evaluation.params.maxDets, evaluation.params.areaRng = [1, 10, 100_000], [[0, 1e10]]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    expected = evaluation.eval["precision"][:, :, 0, 0, -1].mean(axis=1)
    of_images = [outcomes(t, f, s, i) for t, i, f, s in images]
    ours = pooled_average_precision(scores, of_images, sum(map(len, truth)))
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_a_resample_that_repeats_every_image_changes_little_and_nothing_found_is_zero():
    truth, specks, found, _ = random_image(np.random.default_rng(9), 40)
    scores = np.linspace(0.9, 0.1, len(found))
    result = outcomes(truth, found, scores, specks)
    once = pooled_average_precision([scores], [result], len(truth))
    twice = pooled_average_precision([scores] * 2, [result] * 2, 2 * len(truth))
    np.testing.assert_allclose(once, twice, atol=0.02)
    assert (pooled_average_precision([scores[:0]], [result[:0]], 5) == 0).all()
    assert np.isnan(pooled_average_precision([scores], [result], 0)).all()
