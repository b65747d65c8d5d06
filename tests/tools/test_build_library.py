"""tools/build_library.py from the command line."""

from functools import partial

import cv2
import pytest
from agglomerate_samples import write_dataset

from scenes import disks
from semsize.structures.files import file_sha256
from tio2.agglomerates import AgglomerateLibrary, Backgrounds
from tio2.agglomerates.simulation import folder_hash

SHAPE = (220, 260)
SCENES = [
    disks(SHAPE, [(60, 60), (60, 73), (150, 180)], [6, 6, 9]),
    disks(SHAPE, [(110, 130), (0, 20)], [8, 5]),
]


@pytest.fixture(scope="module")
def run(run_tool):
    """Runs the program."""
    return partial(run_tool, "build_library.py")


def test_it_writes_library_table_sheet_and_backgrounds_and_says_so(run, tmp_path):
    ann_file = write_dataset(tmp_path, SCENES)
    hashes = []
    for out in (tmp_path / "a", tmp_path / "b"):
        answer = run("--ann", ann_file, "--background-size", 400, 300, "--out", out)
        assert answer.returncode == 0, answer.stderr
        hashes.append((file_sha256(out / "library.zip"), folder_hash(out / "backgrounds")))
    assert hashes[0] == hashes[1]
    assert "| agglomerates | 3 |" in answer.stdout
    assert "| left out: cut by the image's edge | 1 |" in answer.stdout
    assert "backgrounds: 2 of 2 images" in answer.stdout
    assert (out / "summary.md").read_text(encoding="utf-8") in answer.stdout
    assert len(AgglomerateLibrary.load(out / "library.zip")) == 3
    assert cv2.imread(str(out / "library.png")).shape[2] == 3
    assert len(Backgrounds(out / "backgrounds")) == 2
    assert cv2.imread(str(out / "backgrounds" / "1.png"), cv2.IMREAD_UNCHANGED).shape == (300, 400)


def test_a_missing_file_is_one_line(run, tmp_path):
    answer = run("--ann", tmp_path / "none.json", "--out", tmp_path / "out")
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: ")
    assert "none.json" in answer.stderr
    assert "Traceback" not in answer.stderr
