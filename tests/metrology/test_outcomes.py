"""Pooled outcomes give COCO's average precision, also of resamples."""

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from scenes import coco_found, coco_truth, shifted, square_grid
from semsize.metrology.matching import outcomes, pooled_average_precision
from semsize.structures.masks import CroppedMasks


def random_image(rng, count):
    grid = square_grid(count + 20, side_px=12, gap_px=8)
    order = rng.permutation(len(grid))
    truth, rest = grid[np.sort(order[:count])], order[count:]
    kept = truth[np.flatnonzero(rng.random(count) < 0.85)]
    moved = [shifted(kept[i], *rng.integers(0, 5, 2)) for i in range(len(kept))]
    found = CroppedMasks.cat([*moved, grid[rest[:10]], truth[:5]])
    return truth, grid[rest[6:14]], found, np.round(rng.random(len(found)), 2)


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(seed):
    rng = np.random.default_rng(seed)
    images = [random_image(rng, count) for count in (70, 30, 1)]
    truth, specks, found, scores = zip(*images, strict=True)
    api = COCO()
    api.dataset = coco_truth(truth, specks)
    api.createIndex()
    evaluation = COCOeval(api, api.loadRes(coco_found(found, scores)), "segm")
    evaluation.params.maxDets, evaluation.params.areaRng = [1, 10, 100_000], [[0, 1e10]]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    expected = evaluation.eval["precision"][:, :, 0, 0, -1].mean(axis=1)
    of_images = [outcomes(t, f, s, i) for t, i, f, s in images]
    ours = pooled_average_precision(scores, of_images, sum(map(len, truth)))
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_a_resample_that_repeats_every_image_changes_little_and_nothing_found_is_zero():
    truth, specks, found, _ = random_image(np.random.default_rng(9), 40)
    scores = np.linspace(0.9, 0.1, len(found))
    result = outcomes(truth, found, scores, specks)
    once = pooled_average_precision([scores], [result], len(truth))
    twice = pooled_average_precision([scores] * 2, [result] * 2, 2 * len(truth))
    np.testing.assert_allclose(once, twice, atol=0.02)
    assert (pooled_average_precision([scores[:0]], [result[:0]], 5) == 0).all()
    assert np.isnan(pooled_average_precision([scores], [result], 0)).all()
