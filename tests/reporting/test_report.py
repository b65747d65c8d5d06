"""The report's files hold what the comparison says, and what compare reads back is the same."""

import csv
import json
import re

import numpy as np
import pytest

from scenes import coco_found, coco_truth, shifted, square_grid
from tio2.metrology import compare_split, figures_of_merit
from tio2.reporting import write_report
from tio2.reporting.comparing import (
    comparison_cells,
    comparison_markdown,
    difference,
    fill_between_markers,
    rows_of,
)
from tio2.reporting.csv_files import PARTICLE_COLUMNS, TRUTH_COLUMNS
from tio2.reporting.runs import FIGURES, RunError, read_run, run_config


def scene(images, missed=2):
    """Squares, of which the first ones are missed and the rest found a pixel further right."""
    truths = [square_grid(9, side_px=10) for _ in range(images)]
    found = [shifted(masks[missed:], 0, 1) for masks in truths]
    truth = coco_truth(truths)
    for annotation in truth["annotations"]:
        annotation["state"] = "complete"
    predictions = coco_found(found, [np.linspace(0.9, 0.6, len(masks)) for masks in found])
    return truth, predictions


def write_run(folder, images=3, missed=2, seed=0, config="configs/tio2/some.py", first=0):
    truth, predictions = scene(images, missed)
    for image in truth["images"]:
        image["file_name"] = f"{first + image['id']}.png"
    figures = figures_of_merit(compare_split(truth, predictions))
    record = {
        "config": config,
        "split": "val",
        "operating_point": {"score": 0.05},
        "seconds_per_image": {"median": 2.0},
        "metrics": {f"particles/{name}": None if np.isnan(value) else value for name, value in figures.items()},
    }
    (folder / "val").mkdir(parents=True)
    (folder / "val" / "metrics.json").write_text(json.dumps(record))
    (folder / "run.json").write_text(json.dumps({"parameters": 7, "seconds": 120.0, "seed": seed}))
    write_report(folder / "val", truth, predictions, record)
    return folder


def test_files_of_a_split(tmp_path):
    folder = write_run(tmp_path / "run") / "val"
    with (folder / "particles.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == (*PARTICLE_COLUMNS, *TRUTH_COLUMNS)
    assert [row["match"] for row in rows] == (["matched"] * 7 + ["missed"] * 2) * 3
    assert {row["dice"] for row in rows if row["match"] == "matched"} == {"0.9"}
    assert {row["area_px"] for row in rows} == {"100", ""}
    assert {row["true_area_px"] for row in rows} == {"100"}
    assert rows[0]["ecd_nm"] == ""  # the pixel size is not known
    assert float(rows[0]["x_px"]) == 28 + 1 + 5
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "| useful         |        27 |       21 | 77.8 |" in text
    for name in ("sizes", "residuals", "residual_against_size", "dice", "thresholds"):
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_split_where_nothing_was_found_is_reported_too(tmp_path):
    truth, _ = scene(1)
    record = {"config": "x", "split": "val", "operating_point": {}, "metrics": {}}
    write_report(tmp_path, truth, [], record)
    assert re.search(r"\| all +\| +9 \| +0 \| +0\.0 \|", (tmp_path / "report.md").read_text(encoding="utf-8"))


def test_what_is_read_back_gives_the_same_figures(tmp_path):
    run = read_run(write_run(tmp_path / "run"), "val")
    images = list(run.images.values())
    assert FIGURES["AP50"](images) == pytest.approx(78 / 101)  # recall 7/9: recalls 0 … 0.77
    assert FIGURES["Dice"](images) == pytest.approx(0.9)
    assert FIGURES["useful found, %"](images) == pytest.approx(100 * 7 / 9)
    assert FIGURES["ECD bias, %"](images) == pytest.approx(0)


def test_folds_are_pooled_and_seeds_averaged(tmp_path):
    folds = [read_run(write_run(tmp_path / f"fold{k}", 2, first=10 * k), "val") for k in range(3)]
    (row,) = rows_of(folds, {})
    assert (len(row.seeds), len(row.seeds[0])) == (1, 6)
    seeds = [read_run(write_run(tmp_path / f"seed{k}", 3, missed=k + 1), "val") for k in range(2)]
    (row,) = rows_of(seeds, {})
    assert len(row.seeds) == 2
    assert row.figure("found, %") == pytest.approx(100 * (8 + 7) / 18)
    assert row.seed_std("found, %") == pytest.approx(100 / 9 / np.sqrt(2))


def test_runs_counted_from_other_scores_are_rows_of_their_own(tmp_path):
    folders = [write_run(tmp_path / name) for name in ("usual", "stricter")]
    file = folders[1] / "val" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"counted_from_score": 0.65}))
    rows = rows_of([read_run(folder, "val") for folder in folders], {})
    assert [row.name for row in rows] == ["some (val)", "some (val, score ≥ 0.65)"]


def test_a_cross_validation_s_own_record_and_config_come_first(tmp_path):
    folder = write_run(tmp_path / "run")
    assert run_config(folder, "val") is None
    (folder / "some.py").touch()
    assert (run_config(folder, "val"), read_run(folder, "val").run["parameters"]) == (folder / "some.py", 7)
    (folder / "val" / "some.py").touch()
    (folder / "val" / "run.json").write_text(json.dumps({"parameters": 8}))
    assert (run_config(folder, "val"), read_run(folder, "val").run) == (folder / "val" / "some.py", {"parameters": 8})


def test_the_threshold_s_table_and_words_are_the_curve_s(tmp_path):
    truth, predictions = scene(1)
    record = {"config": "x", "split": "val", "operating_point": {}, "metrics": {}}
    curve = write_report(tmp_path, truth, predictions, record)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    # 7 of 9 are found up to 0.6: F = 14 / 16; from 0.65 on fewer are left
    assert curve.operating_point.score == 0.6
    assert "Suggested here: **0.6**" in text
    assert "finds 77.8 % of the useful particles, with 0.00 false positives a useful one found" in text
    assert re.search(r"\|\s+0\.60 \|\s+7 \| 77\.78 \|\s+0 \|\s+0\.00 \| 0\.88 \|", text)


def test_differences_are_paired_and_said(tmp_path):
    base = read_run(write_run(tmp_path / "base", 4), "val")
    better = read_run(write_run(tmp_path / "better", 4, missed=1, config="configs/tio2/better.py"), "val")
    rows = rows_of([base, better], {better.folder: "epochs: 24 (12)"})
    found = difference(rows[1], rows[0], "found, %")
    assert (found.difference, found.images, found.method) == (pytest.approx(100 / 9), 4, "t")
    text = comparison_markdown(rows, rows[0])
    assert "epochs: 24 (12)" in text
    assert "(t, n = 4)" in text
    header, cells = comparison_cells(rows)
    assert dict(zip(header, cells[0], strict=True))["training, min"] == 2.0


def test_markers_are_filled_and_missing_ones_named(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    for text in ("new \\1\n", "newer\n"):
        fill_between_markers(file, text)
        assert file.read_text() == f"before\n<!-- results -->\n{text}<!-- /results -->\nafter\n"
    file.write_text("nothing")
    with pytest.raises(RunError, match=r"page\.md: has no <!-- results -->"):
        fill_between_markers(file, "x")
