"""The classical pipeline finds drawn disks and splits touching ones, and its search keeps the best settings."""

import numpy as np
import pytest

from scenes import disks
from semsize.metrology import match
from tio2.baselines import (
    GREY_THRESHOLDS,
    Example,
    Parameters,
    central_part,
    contrast_scores,
    f1,
    gmm_limits,
    kmeans_limits,
    search,
    segment,
)

SHAPE = (160, 200)
CENTRES = [(30, 30), (30, 100), (30, 160), (110, 60), (110, 94)]
GOOD = Parameters(1.0, "otsu", 1, 1.0, 1.0, 40)


def picture(radii=(18, 18, 18, 20, 20)):
    """Bright disks, the last two of which touch, on a dark noisy ground."""
    truth = disks(SHAPE, CENTRES, radii)
    inside = truth.to_full().any(axis=0)
    rng = np.random.default_rng(0)
    return (np.where(inside, 150, 50) + rng.normal(0, 8, SHAPE)).astype(np.float32), truth


def test_disks_are_found_and_touching_ones_split():
    image, truth = picture()
    found = segment(image, GOOD)
    assert len(match(truth, found, min_dice=0.9).truth) == len(found) == 5


@pytest.mark.parametrize("threshold", ["otsu", "li", "local 0", "kmeans, two brighter", "gmm, two brighter"])
def test_thresholds_give_a_foreground_that_holds_the_disks(threshold):
    image, truth = picture()
    foreground = GREY_THRESHOLDS[threshold](image)
    inside = truth.to_full().any(axis=0)
    assert foreground.shape == SHAPE
    assert foreground[inside].mean() > 0.9


def test_clusters_are_told_apart_at_the_middle_between_them():
    rng = np.random.default_rng(0)
    image = np.concatenate([rng.normal(mean, 5, 20_000) for mean in (40, 120, 200)]).reshape(200, 300)
    np.testing.assert_allclose(kmeans_limits(image), [80, 160], atol=2)
    np.testing.assert_allclose(gmm_limits(image), [80, 160], atol=4)


def test_the_score_is_the_contrast_across_the_outline():
    image, truth = picture()
    scores = contrast_scores(image, truth)
    assert scores[:3] == pytest.approx([100 / 255] * 3, abs=0.02)
    assert (scores[3:] < scores[:3].min()).all()  # a neighbour lies outside
    assert (contrast_scores(255 - image, truth) == 0).all()


def test_the_search_ranks_sets_by_f1_and_a_centre_ignores_what_it_cuts():
    image, truth = picture()
    example = Example(image, truth, truth[:0])
    part = central_part(example)
    assert part.image.shape == (80, 100)
    assert len(part.truth) + len(part.ignored) <= 5
    bad = Parameters(0.0, "triangle", 0, 0.0, 0.25, 4000)
    first, second = search([bad, GOOD], [example], finalists=2, progress=list)
    assert [len(first), len(second)] == [2, 2]
    assert second[0].parameters == GOOD
    assert second[0].f1 == f1(GOOD, [example]) == 1.0
