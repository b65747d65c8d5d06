"""tools/draw_placement.py from the command line."""

from functools import partial

import cv2
import pytest
from agglomerate_samples import drawn, library

from scenes import disks
from tio2.agglomerates.library import encode_grey


@pytest.fixture(scope="module")
def run(run_tool):
    """Runs the program."""
    return partial(run_tool, "draw_placement.py")


def test_three_panels_show_eight_subframes_then_more_then_none(run, tmp_path):
    library().save(tmp_path / "library.zip")
    (tmp_path / "backgrounds").mkdir()
    (tmp_path / "backgrounds" / "a.png").write_bytes(encode_grey(drawn(disks((200, 300), [], []))))
    sources = ("--library", tmp_path / "library.zip", "--backgrounds", tmp_path / "backgrounds", "--size", 260, 180)
    answer = run(*sources, "--count", 6, "--out", tmp_path / "p.png")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("6 agglomerates, ")
    sheet = cv2.imread(str(tmp_path / "p.png"))
    assert sheet.shape == (180, 3 * 260 + 2 * 8, 3)
    panels = [sheet[:, left : left + 260] for left in (0, 268, 536)]
    coloured = [panel.max(axis=2) != panel.min(axis=2) for panel in panels]
    assert 0 < coloured[0].sum() < coloured[1].sum()
    assert not coloured[2].any()

    too_large = run(*sources[:4], "--size", 999, 999, "--out", tmp_path / "p.png")
    assert too_large.returncode == 1
    assert too_large.stderr.startswith("error: ")
