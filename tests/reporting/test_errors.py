"""The content of an error sheet and of its tables, on scenes of squares."""

import numpy as np
import pytest

from scenes import squares
from semsize.measuring.overlays import FALSE_POSITIVE, MISSED, TRUE_OUTLINE
from semsize.metrology.comparison import ImageFound, ImageTruth, compare_image
from semsize.metrology.error_causes import FALSE_CAUSES, MISS_CAUSES, image_errors
from semsize.structures.masks import CroppedMasks
from tio2.reporting.errors import (
    ERROR_COLUMNS,
    FOUND_OUTLINE,
    NOTHING,
    JudgedImage,
    draw_sheet,
    error_rows,
    errors_markdown,
    false_examples,
    miss_examples,
    share_found_right,
)

SHAPE = (80, 120)
STATES = ("complete", "masked", "unusable", "complete")


def scene(number=1, found=(0,), apart=True, states=STATES):
    """Four squares of 20, 16, 12 and 10 px, some of them found with the score 0.9; and one found apart, score 0.6."""
    sides = (20, 16, 12, 10)
    masks = CroppedMasks.from_crops(
        [(np.ones((side, side)), (10, 5 + 24 * place)) for place, side in enumerate(sides)], SHAPE
    )
    grey = np.full(SHAPE, 20.0)
    for crop, (row, column) in masks:
        grey[row : row + crop.shape[0], column : column + crop.shape[1]] = 120
    ids = 10 * number + np.arange(4)
    truth = ImageTruth(number, f"{number}.png", None, None, ids, masks, states, np.zeros(4, bool), masks[:0])
    wrong = squares(SHAPE, [(50, 50)] if apart else [], 12)
    found_masks = CroppedMasks.cat([masks[list(found)], wrong])
    everything = ImageFound(found_masks, np.array([0.9] * len(found) + [0.6] * len(wrong)))
    image = compare_image(truth, everything)
    return JudgedImage(image, image_errors(image, grey), grey)


def has(picture, colour):
    return (picture == colour).all(axis=2).any()


def test_useful_misses_come_largest_first_and_false_ones_by_score():
    drawn = [scene(1, found=[0]), scene(2, found=[1, 2])]
    misses = miss_examples(drawn, list(MISS_CAUSES), most=3)["overlooked: 4"]
    assert [int(example.mask.areas[0]) for example in misses] == [400, 256, 100]
    assert misses[0].caption == "2 #20 complete"
    false = false_examples(drawn, list(FALSE_CAUSES), most=3)["substrate: 2"]
    assert [example.caption for example in false] == ["1 2 score 0.60", "2 3 score 0.60"]
    assert len(miss_examples(drawn, list(MISS_CAUSES), most=3)) == len(MISS_CAUSES)


def test_all_misses_are_shown_where_no_state_is_known():
    drawn = [scene(found=[], states=(None,) * 4)]
    assert len(miss_examples(drawn, list(MISS_CAUSES), most=9)["overlooked: 4"]) == 4


def test_a_seed_draws_at_random_and_draws_the_same_again():
    drawn = [scene(number, found=[]) for number in range(1, 30)]
    first, again, other = (
        [example.caption for example in miss_examples(drawn, list(MISS_CAUSES), 9, seed)["overlooked: 87"]]
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_sheet_has_every_outline_and_as_many_rows_as_it_takes():
    drawn = [scene(number) for number in range(1, 4)]
    misses = miss_examples(drawn, list(MISS_CAUSES), most=5)
    one_row, two_rows = draw_sheet(misses, columns=5, caption="run"), draw_sheet(misses, columns=3, caption="run")
    assert one_row.dtype == np.uint8
    assert one_row.shape[1] > two_rows.shape[1]
    assert two_rows.shape[0] > one_row.shape[0] + 150
    tiles = two_rows[:-60]  # without the legend
    assert has(tiles, MISSED)
    assert not has(tiles, FALSE_POSITIVE)
    both = draw_sheet(misses | false_examples(drawn, list(FALSE_CAUSES), most=5), columns=3)
    for colour in (MISSED, FALSE_POSITIVE, TRUE_OUTLINE, FOUND_OUTLINE):
        assert has(both[:-60], colour)


def test_without_errors_only_the_legend_is_left():
    nothing = draw_sheet(miss_examples([], list(MISS_CAUSES), most=5), columns=2)
    assert 0 < nothing.shape[0] < 100


def test_an_error_larger_than_its_panel_or_at_the_frame_is_drawn():
    shape = (700, 600)
    masks = CroppedMasks.from_crops([(np.ones((650, 580)), (0, 0)), (np.ones((4, 4)), (696, 596))], shape)
    truth = ImageTruth(1, "1.png", None, None, np.arange(2), masks, ("complete",) * 2, np.zeros(2, bool), masks[:0])
    found = ImageFound(masks[:0], np.zeros(0))
    image = compare_image(truth, found)
    grey = np.full(shape, 90.0)
    drawn = [JudgedImage(image, image_errors(image, grey), grey)]
    sheet = draw_sheet(miss_examples(drawn, list(MISS_CAUSES), most=2), columns=2)
    assert has(sheet[:-60], MISSED)


def test_rows_name_particles_as_the_other_files_do():
    drawn = scene(found=[1])
    rows = list(error_rows(drawn))
    assert [row["error"] for row in rows] == ["miss"] * 3 + ["false positive"]
    assert [row.get("true_id") for row in rows] == [10, 12, 13, None]
    assert rows[-1]["id"] == 2  # the second row of particles.csv
    assert rows[-1]["circumstance"] == NOTHING
    assert rows[1]["circumstance"] == "mostly hidden"
    assert (rows[0]["x_px"], rows[0]["y_px"]) == (15, 20)
    assert rows[0]["ecd_px"] == pytest.approx(2 * np.sqrt(400 / np.pi))
    assert set(rows[0]) | set(rows[-1]) == set(ERROR_COLUMNS)


def test_tables_count_every_error_once_and_put_the_worst_image_first():
    good, bad = scene(1, found=[0, 1, 2, 3], apart=False), scene(2, found=[0])
    assert share_found_right(good.image) == 1
    assert share_found_right(bad.image) == pytest.approx(2 * 1 / (3 + 1 + 1))
    text = errors_markdown([good, bad], "run, val")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert ["all", "2", "1", ""] in cells
    assert ["all", "1", ""] in cells
    assert next(row for row in cells if row[0] == "mostly hidden")[:5] == ["mostly hidden", "2", "1", "50.00", "0"]
    plain = next(row for row in cells if row[0] == "plain")
    assert plain[5:8] == ["0.00", "0.00", "0.00"]  # what was found is the truth
    assert [row[0] for row in cells[-2:]] == ["2.png", "1.png"]
