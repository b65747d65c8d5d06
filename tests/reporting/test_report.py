"""The report's files hold what the comparison says."""

import csv
import re

from matplotlib.figure import Figure
from tested_runs import scene

from semsize.measuring.tables import PARTICLE_COLUMNS, TRUTH_COLUMNS
from semsize.metrology import compare_split, particle_metrics
from tio2.reporting import write_report


def test_files_of_a_split(tmp_path):
    folder = tmp_path / "val"
    truth, predictions = scene(3)
    images = compare_split(truth, predictions)
    metrics = {f"particles/{name}": value for name, value in particle_metrics(images).items()}
    write_report(folder, images, {"config": "x", "split": "val", "operating_point": {}, "metrics": metrics})
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
    write_report(tmp_path, compare_split(truth, []), record)
    assert re.search(r"\| all +\| +9 \| +0 \| +0\.0 \|", (tmp_path / "report.md").read_text(encoding="utf-8"))


def test_the_threshold_s_table_and_words_are_the_curve_s(tmp_path, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda *_: None)  # the other tests look at pictures
    truth, predictions = scene(1)
    record = {"config": "x", "split": "val", "operating_point": {}, "metrics": {}}
    curve = write_report(tmp_path, compare_split(truth, predictions), record)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    # 7 of 9 are found up to 0.6: F = 14 / 16; from 0.65 on fewer are left
    assert curve.operating_point.score == 0.6
    assert "Suggested here: **0.6**" in text
    assert "finds 77.8 % of the useful particles, with 0.00 false positives a useful one found" in text
    assert re.search(r"\|\s+0\.60 \|\s+7 \| 77\.78 \|\s+0 \|\s+0\.00 \| 0\.88 \|", text)
