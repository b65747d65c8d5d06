"""tools/benchmarks/scales.py on squares that each scale is known to find or miss."""

import json
import sys

import numpy as np
import pytest
from tool_modules import tool_module

from scenes import coco_found, coco_truth, shifted, square_grid, squares
from semsize.structures import write_annotations, write_predictions
from semsize.structures.masks import CroppedMasks

tool = tool_module("benchmarks/scales")

SHAPE = (200, 300)
LARGE = squares(SHAPE, [(10, 10), (10, 80), (10, 150), (10, 220)], 40)
SMALL = squares(SHAPE, [(100, 10), (100, 80), (100, 150), (100, 220)], 12)
BOTH = CroppedMasks.cat([LARGE, SMALL])


def test_precision_is_counted_in_the_range_of_each_score():
    truth = square_grid(6)
    far = squares(truth.image_shape, [(6, 6)], 4)  # in the gap of four squares
    found = CroppedMasks.cat([truth, truth[:2], far])
    scores = [0.95, 0.95, 0.6, 0.6, 0.35, 0.01, 0.9, 0.5, 0.3]  # two squares a second time, one too doubtful to count
    shares = tool.precision_by_score(coco_truth([truth]), coco_found([found], [scores]))
    assert shares[0] == (0, pytest.approx(np.nan, nan_ok=True))
    assert shares[1:] == [(2, 0.5), (3, pytest.approx(2 / 3)), (0, pytest.approx(np.nan, nan_ok=True)), (3, 2 / 3)]


def test_a_particle_counts_once_and_for_the_highest_score_and_regions_to_ignore_do_not_count():
    truth = square_grid(2)
    found = CroppedMasks.cat([truth[:1], shifted(truth[:1], 1, 0), truth[1:]])
    of_crowd = coco_truth([truth[:1]], [truth[1:]])
    shares = tool.precision_by_score(of_crowd, coco_found([found], [[0.4, 0.8, 1.0]]))
    assert [count for count, _ in shares] == [0, 1, 0, 1, 0]
    assert (shares[1][1], shares[3][1]) == (0, 1)


def write_test(folder, masks, scores, seconds):
    """What tools/test.py leaves of a test."""
    folder.mkdir()
    records = [record | {"image": "1.png"} for record in coco_found([masks], [scores])]
    write_predictions(folder / "predictions.json", records)
    (folder / "metrics.json").write_text(json.dumps({"seconds_per_image": {"mean": seconds}}))
    return folder


def tables(text):
    """Rows of both tables by what was looked at and how it was joined."""
    found = []
    for table in text.strip().split("\n\n"):
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
        found.append({(name, joining): values for name, joining, *values in cells})
    return found


def test_two_scales_that_see_one_half_each_are_joined_to_the_whole(tmp_path, monkeypatch, capsys):
    """Each finds 4 of 8, the finer one a fifth again: 51, and 63, of the 101 recalls are reached, at precision 1."""
    write_annotations(tmp_path / "truth.json", coco_truth([BOTH]))
    coarse = write_test(tmp_path / "coarse", LARGE, [0.95] * 4, 0.5)
    fine = write_test(tmp_path / "fine", CroppedMasks.cat([SMALL, LARGE[:1]]), [0.8] * 4 + [0.6], 1.5)
    words = [tmp_path / "truth.json", f"1={fine}", f"0.5={coarse}", "--beside", f"the same={coarse}"]
    monkeypatch.setattr(sys, "argv", ["scales.py", *map(str, words)])
    tool.main()
    precisions, scores = tables(capsys.readouterr().out)
    keys = [("the same", "–"), ("×0.5", "–"), ("×0.5, ×1", "suppression"), ("×0.5, ×1", "size"), ("×1", "–")]
    assert list(precisions) == list(scores) == keys
    half = f"{51 / 101:.3f}"
    assert precisions["×0.5", "–"] == precisions["the same", "–"] == [half] * 4 + ["0.50"]
    assert precisions["×1", "–"][0] == f"{63 / 101:.3f}", "5 of 8: recalls up to 0.62"
    assert precisions["×0.5, ×1", "suppression"] == precisions["×0.5, ×1", "size"] == ["1.000"] * 4 + ["2.00"]
    assert scores["×0.5", "–"] == ["–"] * 4 + ["1.00 of 4"]
    assert scores["×1", "–"] == ["–", "–", "1.00 of 1", "1.00 of 4", "–"]
    assert scores["×0.5, ×1", "suppression"] == ["–"] * 3 + ["1.00 of 4", "1.00 of 4"], "each once"
    counts = [int(cell.split()[-1]) for cell in scores["×0.5, ×1", "size"] if cell != "–"]
    assert sum(counts) == 8


def test_suppression_keeps_the_most_certain_of_what_overlaps():
    masks = CroppedMasks.cat([LARGE[:1], shifted(LARGE[:1], 0, 2), SMALL[:1]])
    kept = tool.suppress(masks, np.array([0.6, 0.9, 0.1]), np.array([0, 1, 1]), (0.5, 1.0))
    assert kept.index.tolist() == [1, 2]
    assert kept.scores.tolist() == [0.9, 0.1]
