"""tools/render_dataset.py from the command line."""

from functools import partial

import pytest

from semsize.structures import read_annotations


@pytest.fixture(scope="module")
def run(run_tool):
    """Runs the program."""
    return partial(run_tool, "render_dataset.py")


def test_it_renders_says_what_and_picks_up_where_it_stopped(run, tmp_path):
    out = tmp_path / "set"
    arguments = (
        "--num",
        4,
        "--size",
        160,
        120,
        "--particles",
        20,
        "--preset",
        "agglomerated",
        "--data-bar",
        "--out",
        out,
    )
    first = run(*arguments)
    assert first.returncode == 0, first.stderr
    assert "train: 2 images" in first.stdout
    image = read_annotations(out / "annotations" / "val.json")["images"][0]
    assert (image["width"], image["height"]) == (160, 120 + 11)
    assert image["configuration"] == "agglomerated"
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("images/*/*")}
    second = run(*arguments)
    assert second.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in out.glob("images/*/*")} == stamps


def test_faults_are_one_line(run, tmp_path):
    (tmp_path / "render.json").write_text("{}")
    answer = run("--num", 1, "--size", 64, 64, "--out", tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in answer.stderr
    assert run("--num", 0, "--out", tmp_path).returncode == 2
    assert run("--num", 1, "--fractions", 0, 0, 0, "--out", tmp_path).returncode == 2
