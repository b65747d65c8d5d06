"""The classical baseline: its search, and its folder, which is like that of a network's test."""

import json

import pytest

from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset

SCENES = DatasetPlan(
    RenderSettings(seed=4, shape=(200, 260), preset="scattered", particles=14), 3, fractions=(0.67, 0.33, 0)
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two images to search on, one to judge."""
    folder = tmp_path_factory.mktemp("scattered") / "data"
    render_dataset(SCENES, folder)
    return folder


def test_the_best_of_some_sets_finds_scattered_particles_and_the_search_is_kept(data, tmp_path, run_tool):
    words = ("--data", str(data), "--sets", "12", "--finalists", "3", "--work-dir", str(tmp_path / "run"))
    first = run_tool("baselines/watershed.py", *words)
    assert first.returncode == 0, first.stderr
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["sets"] == 12
    assert run["best"]["threshold"] in first.stdout
    metrics = json.loads((tmp_path / "run" / "val" / "metrics.json").read_text())
    assert metrics["metrics"]["coco/segm_AP50"] > 0.5
    assert metrics["operating_point"] == {"score": 0.0}
    assert (tmp_path / "run" / "val" / "report.md").is_file()
    written = (tmp_path / "run" / "search.json").stat().st_mtime_ns
    again = run_tool("baselines/watershed.py", *words)
    assert (tmp_path / "run" / "search.json").stat().st_mtime_ns == written
    assert again.stdout.splitlines()[0] == first.stdout.splitlines()[0]


def test_a_folder_without_annotations_is_one_line(tmp_path, run_tool):
    done = run_tool("baselines/watershed.py", "--data", str(tmp_path), "--work-dir", str(tmp_path / "run"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "train.json" in done.stderr
