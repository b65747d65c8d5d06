"""tools/benchmarks/realism.py: the area under a ROC curve against counted pairs, and the sheet's place and content."""

import cv2
import numpy as np
import pytest
from tool_modules import tool_module


@pytest.fixture(scope="module")
def realism():
    return tool_module("benchmarks/realism")


def sample(module, level, share):
    image = np.full((400, 500), level, dtype=np.float32)
    covered = np.zeros(image.shape, dtype=bool)
    covered[: round(400 * share)] = True
    return module.Sample(image, covered, np.zeros(0), np.zeros(0))


def test_the_roc_area_is_the_share_of_ordered_pairs(realism):
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 9, 60).astype(float), rng.integers(0, 2, 60)
    pairs = scores[labels == 1][:, None] - scores[labels == 0]
    assert realism.roc_area(scores, labels) == pytest.approx((np.sign(pairs) + 1).mean() / 2)


def test_halves_are_all_images_once(realism):
    left, right = realism.halve(list(range(7)), np.random.default_rng(1))
    assert sorted(left + right) == list(range(7))
    assert (len(left), len(right)) == (4, 3)


def test_the_sheet_shows_real_crops_left_and_rendered_ones_right_by_coverage(realism, tmp_path):
    real = [sample(realism, 10 * k, share) for k, share in enumerate((0.9, 0.1, 0.5), 1)]
    rendered = [sample(realism, 100 + 10 * k, share) for k, share in enumerate((0.5, 0.1, 0.9), 1)]
    realism.write_sheet(tmp_path / "new" / "sheet.png", real, rendered, rows=2)
    sheet = cv2.imread(str(tmp_path / "new" / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    assert sheet.shape == (640, 644)
    assert [sheet[100, 50], sheet[500, 50], sheet[100, 600], sheet[500, 600]] == [20, 10, 120, 130]
    assert (sheet[:, 320:324] == 255).all()
