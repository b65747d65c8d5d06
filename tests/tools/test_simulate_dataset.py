"""tools/simulate_dataset.py from the command line, on rendered scenes."""

import json
from functools import partial

import pytest
from agglomerate_samples import write_dataset

from scenes import disks
from semsize.structures import read_annotations
from tio2.agglomerates.simulation import folder_hash

SHAPE = (220, 260)
SCENE = disks(SHAPE, [(60, 60), (60, 73), (150, 180)], [6, 6, 9])


@pytest.fixture(scope="module")
def run(run_tool):
    """Runs the program."""
    return partial(run_tool, "simulate_dataset.py")


@pytest.fixture
def arguments(tmp_path):
    ann_file = write_dataset(tmp_path / "real", [SCENE])
    return ["--ann", ann_file, "--num", 4, "--size", 240, 200, "--count", 3, 5, "--matrix-share", 0.25]


def test_it_simulates_and_picks_up_where_it_stopped(run, tmp_path, arguments):
    out = tmp_path / "out"
    first = run(*arguments, "--out", out)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("4 images, ")
    truth = read_annotations(out / "annotations" / "train.json")
    assert [image["configuration"] for image in truth["images"]] == ["agglomerated"] * 3 + ["matrix"]
    assert len(json.loads((out / "manifest.json").read_text(encoding="utf-8"))["images"]) == 4

    images = folder_hash(out / "images" / "train")
    (out / "parts" / "000001.json").unlink()
    (out / "images" / "train" / "000001.png").write_bytes(b"stump")
    stamp = (out / "images" / "train" / "000000.png").stat().st_mtime_ns
    second = run(*arguments, "--jobs", 2, "--out", out)
    assert second.stdout == first.stdout
    assert folder_hash(out / "images" / "train") == images
    assert (out / "images" / "train" / "000000.png").stat().st_mtime_ns == stamp


def test_faults_are_one_line(run, tmp_path, arguments):
    out = tmp_path / "out"
    out.mkdir()
    (out / "plan.json").write_text("{}", encoding="utf-8")
    empty = write_dataset(tmp_path / "empty", [disks(SHAPE, [(0, 0)], [9])])
    for command, message in (
        ([*arguments, "--out", out], "other settings"),
        (["--ann", empty, "--num", 1, "--out", tmp_path / "new"], "no whole agglomerate"),
        (["--ann", tmp_path / "none.json", "--num", 1, "--out", tmp_path / "new"], "none.json"),
    ):
        answer = run(*command)
        assert answer.returncode == 1
        assert answer.stderr.strip().splitlines()[-1].startswith("error: ")
        assert message in answer.stderr
        assert "Traceback" not in answer.stderr
    assert run(*arguments[:2], "--num", 0, "--out", out).returncode == 2
