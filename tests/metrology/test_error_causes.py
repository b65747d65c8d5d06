"""Each cause of an error, in a scene of squares that has no other."""

import numpy as np
import pytest

from scenes import shifted, squares
from semsize.metrology.comparison import ImageFound, ImageTruth, compare_image
from semsize.metrology.error_causes import FALSE_CAUSES, MISS_CAUSES, image_errors, overlap_tables
from semsize.structures.masks import CroppedMasks

SHAPE = (60, 90)
SUBSTRATE, PARTICLE = 20.0, 120.0


def block(top, left, height, width):
    """One full rectangle."""
    return CroppedMasks.from_crops([(np.ones((height, width)), (top, left))], SHAPE)


def errors_of(truth, found, scores=None, *, specks=None, bright=()):
    """Errors of a scene in which particles, specks and what else is named are bright."""
    specks = truth[:0] if specks is None else specks
    grey = np.full(SHAPE, SUBSTRATE)
    for crop, (row, column) in CroppedMasks.cat([truth, specks, *bright]):
        grey[row : row + crop.shape[0], column : column + crop.shape[1]] = PARTICLE
    states = ("complete",) * len(truth)
    known = ImageTruth(1, "1.png", None, None, np.arange(len(truth)), truth, states, np.zeros(len(truth), bool), specks)
    everything = ImageFound(found, np.full(len(found), 0.9) if scores is None else np.array(scores))
    return image_errors(compare_image(known, everything), grey)


PAIR = CroppedMasks.cat([block(10, 10, 20, 20), block(10, 30, 20, 20)])
ONE = PAIR[0]


@pytest.mark.parametrize(
    ("truth", "found", "scores", "misses", "false"),
    [
        (ONE, ONE, [0.3], ["below the threshold"], []),
        (PAIR, block(10, 10, 20, 40), None, ["merged"] * 2, ["merged"]),
        # the larger is found with Dice 2·480 / (480 + 560), and the smaller lies in what was found
        (
            CroppedMasks.cat([block(10, 10, 20, 24), block(10, 34, 20, 4)]),
            block(10, 10, 20, 28),
            None,
            ["swallowed"],
            [],
        ),
        (ONE, CroppedMasks.cat([block(10, 10, 10, 20), block(20, 10, 10, 20)]), None, ["split"], ["poor outline"] * 2),
        (
            ONE,
            CroppedMasks.cat([block(10, 10, 6, 20), block(16, 10, 6, 20)]),
            None,
            ["split"],
            ["part of a missed one"] * 2,
        ),
        (ONE, shifted(ONE, 0, 8), None, ["poor outline"], ["poor outline"]),  # Dice 12 / 20
        (ONE, shifted(ONE, 0, 8), [0.3], ["weak and poor"], []),
        (ONE, ONE[:0], None, ["overlooked"], []),
        (ONE, CroppedMasks.cat([ONE, block(10, 10, 20, 12)]), None, [], ["duplicate"]),
        (ONE, CroppedMasks.cat([ONE, block(10, 10, 20, 5)]), None, [], ["part of a found one"]),
        (PAIR, CroppedMasks.cat([PAIR, block(14, 25, 4, 8)]), None, [], ["part of a found one"]),
        (PAIR, CroppedMasks.cat([PAIR, block(6, 26, 8, 8)]), None, [], ["astride"]),
    ],
)
def test_a_scene_has_its_cause(truth, found, scores, misses, false):
    errors = errors_of(truth, found, scores)
    assert errors.miss_causes == misses
    assert errors.false_causes == false


def test_one_detection_serves_one_particle_only():
    """Two equal true masks and one detection: the second's outline was found, for the first."""
    twice = CroppedMasks.cat([ONE, ONE])
    assert errors_of(twice, ONE).miss_causes == ["taken"]


def test_what_lies_on_nothing_annotated_is_named_by_level_and_place():
    apart = block(40, 60, 8, 8)
    between = block(12, 31, 12, 4)
    walls = CroppedMasks.cat([block(10, 10, 16, 20), block(10, 36, 16, 20)])
    assert errors_of(walls, CroppedMasks.cat([walls, apart])).false_causes == ["substrate"]
    assert errors_of(walls, CroppedMasks.cat([walls, between])).false_causes == ["gap"]
    for place in (apart, between):
        found = CroppedMasks.cat([walls, place])
        assert errors_of(walls, found, bright=[place]).false_causes == ["annotation fault suspected"]


def test_what_touches_a_speck_is_annotated():
    """A third of the detection lies on a speck: too little to be excused, too much to be on nothing annotated."""
    speck = block(40, 60, 4, 8)
    errors = errors_of(ONE, CroppedMasks.cat([ONE, block(40, 60, 12, 8)]), specks=speck)
    assert errors.false_causes == ["astride"]


def test_the_nearest_particle_is_the_one_of_largest_dice_or_none():
    found = CroppedMasks.cat([PAIR, block(10, 22, 20, 20), block(40, 60, 8, 8)])
    assert errors_of(PAIR, found).nearest.tolist() == [1, -1]
    nothing = PAIR[:0]
    assert errors_of(nothing, PAIR).nearest.tolist() == [-1, -1]


def test_every_error_has_one_cause_of_the_lists():
    rng = np.random.default_rng(0)
    corners = rng.integers(3, (40, 70), (30, 2))
    truth = squares(SHAPE, corners[:15], 12)
    found = squares(SHAPE, corners[5:] + rng.integers(-3, 4, (25, 2)), 12)
    scores = rng.random(len(found))
    errors = errors_of(truth, found, scores)
    assert set(errors.miss_causes) <= set(MISS_CAUSES)
    assert set(errors.false_causes) <= set(FALSE_CAUSES)
    assert len(errors.circumstances) == len(truth)
    assert len(errors.nearest) == len(errors.false_causes)


def test_tables_hold_shares_of_both_sides():
    cover, inside, dice = overlap_tables(PAIR, block(10, 10, 20, 30))
    assert cover[:, 0].tolist() == [1, 0.5]
    assert inside[:, 0] == pytest.approx([2 / 3, 1 / 3])
    assert dice[:, 0] == pytest.approx([0.8, 0.4])
    assert overlap_tables(PAIR, PAIR[:0]).shape == (3, 2, 0)
