"""Completion by the convex hull, and scores of completions: closed forms."""

import cv2
import numpy as np
import pytest

from semsize.metrology.measurands import measure
from semsize.structures.masks import CroppedMasks
from semsize.synthesis import RenderSettings, render_image
from semsize.visibility.completion import (
    VISIBLE_FRACTION_EDGES,
    CompletionScores,
    by_fraction,
    completion_scores,
    hull_completion,
    summary,
)

SHAPE = (120, 160)


def disk(centre, radius):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    return np.hypot(rows - centre[0], columns - centre[1]) <= radius


def bright(masks):
    """Grey levels of bodies on a substrate that is plainly darker."""
    return np.where(masks.any(axis=0), 180.0, 40.0)


def test_a_convex_outline_and_a_lone_hollow_one_stay_as_they_are():
    ring = disk((60, 110), 20) & ~disk((60, 110), 10) & ~disk((60, 125), 8)
    full = np.stack([disk((60, 40), 25), ring])
    masks, completed = CroppedMasks.from_full(full), hull_completion(CroppedMasks.from_full(full), bright(full))
    np.testing.assert_array_equal(completed.to_full()[0], full[0])
    beside = cv2.dilate(full[1].astype(np.uint8), np.ones((5, 5))).astype(bool)  # blurred levels tell nothing there
    assert not (completed.to_full()[1].astype(bool) & ~beside).any()
    assert (completed.to_full() >= masks.to_full()).all()


def test_a_bite_taken_by_a_neighbour_is_filled_back_to_the_chord():
    whole, front = disk((60, 60), 30), disk((60, 95), 20)
    visible = np.stack([whole & ~front, front])
    completed = hull_completion(CroppedMasks.from_full(visible), bright(visible)).to_full().astype(bool)
    np.testing.assert_array_equal(completed[1], front)
    assert (completed[0] & visible[0] == visible[0]).all()
    notch = cv2.dilate(visible.any(axis=0).astype(np.uint8), np.ones((5, 5))).astype(bool)
    assert not (completed[0] & ~notch).any()
    distance = (30**2 - 20**2 + 35**2) / (2 * 35)  # of the chord from the particle's centre
    chord = 2 * np.sqrt(30**2 - distance**2)
    segment = 30**2 * np.arccos(distance / 30) - distance * chord / 2  # beyond the chord
    assert (whole & ~completed[0]).sum() == pytest.approx(segment, abs=chord)  # pixels lie within one of the chord


def test_the_hull_holds_as_many_pixels_as_the_measurand_says():
    """Two particles that cover all of the frame: nothing is bare, so that the completion is the hull."""
    rows, columns = np.mgrid[:40, :50]
    labels = 1 + ((rows // 5 + columns // 7) % 3 == 0) + (np.hypot(rows - 20, columns - 24) < 17)
    masks = CroppedMasks.from_label_image(labels)
    completed = hull_completion(masks, labels.astype(float))
    np.testing.assert_allclose(completed.areas, masks.areas / measure(masks).solidity)


def test_an_empty_mask_stays_empty():
    assert hull_completion(CroppedMasks.from_full(np.zeros((1, 4, 4))), np.zeros((4, 4))).areas == [0]


def test_the_truth_scores_best_and_the_visible_outline_by_its_fraction():
    rendered = render_image(RenderSettings(seed=7, shape=(256, 320), preset="agglomerated", particles=60), 0)
    truth = rendered.truth
    perfect = completion_scores(truth.visible, truth.full, truth.visible, truth.full)
    assert (perfect.iou == 1).all()
    assert (perfect.ecd_error_percent == 0).all()
    hidden = truth.visible_fractions < 1
    assert (perfect.hidden_iou[hidden] == 1).all()
    assert np.isnan(perfect.hidden_iou[~hidden]).all()
    bare = completion_scores(truth.visible, truth.visible, truth.visible, truth.full)
    np.testing.assert_allclose(bare.iou, truth.visible_fractions)
    np.testing.assert_allclose(bare.ecd_error_percent, 100 * (np.sqrt(truth.visible_fractions) - 1))
    assert (bare.hidden_iou[hidden] == 0).all()
    assert (bare.predicted_fraction == 1).all()
    hull = hull_completion(truth.visible, rendered.pixels)
    hulled = completion_scores(truth.visible, hull, truth.visible, truth.full)
    assert summary(hulled[hidden]).ecd_error_percent > summary(bare[hidden]).ecd_error_percent
    assert summary(hulled).iou > summary(bare).iou


def test_classes_hold_every_particle_once_their_lower_ends_included():
    fractions = np.array([*VISIBLE_FRACTION_EDGES, 1.0])
    scores = CompletionScores(fractions, fractions, fractions, np.full(7, np.nan), np.arange(7.0))
    rows = by_fraction(scores, scores.true_fraction)
    assert [row.count for row in rows] == [1, 1, 1, 1, 1, 2]
    assert [row.ecd_error_percent for row in rows] == [0, 1, 2, 3, 4, 5.5]
    assert rows[-1].ecd_error_std_percent == pytest.approx(np.sqrt(0.5))
    assert np.isnan(rows[0].hidden_iou)


def test_joined_scores_keep_their_order():
    one = CompletionScores(*np.arange(5.0)[:, None])
    two = CompletionScores(*(10 + np.arange(5.0))[:, None])
    assert CompletionScores.cat([one, two]).ecd_error_percent.tolist() == [4, 14]


def test_outlines_that_do_not_correspond_are_refused():
    masks = CroppedMasks.from_full(np.ones((2, 4, 4)))
    with pytest.raises(ValueError, match="as many"):
        completion_scores(masks, masks, masks, masks[:1])
