"""What the benchmark counts as cut straight, and as claimed twice."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from semsize.structures.masks import CroppedMasks

PROGRAM = Path(__file__).parents[2] / "tools" / "benchmarks" / "overlaps.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("overlaps_bench", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def disc(radius=30.0, centre=50.0, size=100):
    rows, columns = np.mgrid[:size, :size] + 0.5
    return np.hypot(rows - centre, columns - centre) <= radius


def test_a_disc_is_round_in_its_box_and_cut_in_one_that_is_too_small(bench):
    whole = disc()
    cut = whole.copy()
    cut[:25] = False  # 5 px of it: a chord of 2 sqrt(30² - 25²) = 33 px in a box of 60
    masks = CroppedMasks.from_full(np.stack([whole, cut, cut, np.zeros_like(cut)]).astype(np.uint8))
    boxes = np.array([[19.5, 19.5, 80.5, 80.5], [20, 25, 80, 80], [20, 23, 80, 80], [20, 20, 80, 80]], np.float32)
    # cut, but not by its box, which ends two pixels away; and an empty mask
    assert bench.cut_straight(masks, boxes).tolist() == [False, True, False, False]


def test_pixels_that_two_masks_claim_are_a_share_of_all(bench):
    full = np.zeros((2, 10, 20), np.uint8)
    full[0, :, :10] = full[1, :, 5:20] = 1
    assert bench.overlapping_share(CroppedMasks.from_full(full)) == pytest.approx(50 / 200)
    assert bench.overlapping_share(CroppedMasks.empty((10, 20))) == 0
