"""The report's files hold the numbers of the comparison."""

import csv
import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from tested_runs import scene

from semsize.measuring.overlays import write_png
from semsize.measuring.tables import PARTICLE_COLUMNS, TRUTH_COLUMNS
from semsize.metrology import compare_split, particle_metrics
from tio2.reporting.report import write_report

RECORD = {"config": "x", "split": "val", "operating_point": {}, "metrics": {}}


def report(folder, truth, predictions, metrics=None):
    """Writes the report of predictions in grey pictures, and gives what it gives."""
    for image in truth["images"]:
        write_png(folder / "pictures" / image["file_name"], np.full((image["height"], image["width"]), 90, np.uint8))
    record = RECORD | {"metrics": metrics or {}}
    return write_report(folder, compare_split(truth, predictions), record, folder / "pictures")


def test_files_of_a_split(tmp_path):
    folder = tmp_path / "val"
    truth, predictions = scene(3)
    found = particle_metrics(compare_split(truth, predictions))
    curve = report(folder, truth, predictions, {f"particles/{name}": value for name, value in found.items()})
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
    assert len(list((folder / "overlays").glob("*.png"))) == 3
    written = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert written["suggested"]["score"] == curve.suggested
    assert written["metrics"]["particles/f1"] == found["f1"]


def test_a_test_that_is_killed_leaves_no_figures_of_another_one(tmp_path, monkeypatch):
    """Before, tables of the new test stood beside the old `metrics.json`."""
    report(tmp_path, *scene(1))

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", killed)
    with pytest.raises(KeyboardInterrupt):
        report(tmp_path, *scene(1, missed=5))
    assert (tmp_path / "particles.csv").is_file()
    assert not (tmp_path / "metrics.json").exists()


def test_a_split_where_nothing_was_found_is_reported_too(tmp_path):
    truth, _ = scene(1)
    report(tmp_path, truth, [])
    assert re.search(r"\| all +\| +9 \| +0 \| +0\.0 \|", (tmp_path / "report.md").read_text(encoding="utf-8"))


def test_the_threshold_s_table_and_words_are_the_curve_s(tmp_path, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda *_: None)  # the other tests look at pictures
    truth, predictions = scene(1)
    curve = report(tmp_path, truth, predictions)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    # 7 of 9 are found up to 0.6: F = 14 / 16; from 0.65 on fewer are left
    assert curve.operating_point.score == 0.6
    assert "Suggested here: **0.6**" in text
    assert "finds 77.8 % of the useful particles, with 0.00 false positives per useful particle found" in text
    assert re.search(r"\|\s+0\.60 \|\s+7 \| 77\.78 \|\s+0 \|\s+0\.00 \| 0\.88 \|", text)
