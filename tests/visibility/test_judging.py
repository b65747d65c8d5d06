"""Judged answers: perfect ones on a rendered scene, and metrics computed by hand."""

import dataclasses

import numpy as np
import pytest

from semsize.structures.masks import CroppedMasks
from semsize.synthesis import RenderSettings, render_image
from semsize.visibility.crops import mask_crops, windows
from semsize.visibility.judging import (
    COMPLETION_COLUMNS,
    JudgedOutlines,
    completion_table,
    confusion,
    errors_by_true_fraction,
    judge,
    masked_rows,
    selection_table,
    visibility_metrics,
)
from semsize.visibility.model import QUANTILES, CropAnswers
from semsize.visibility.reported_sizes import pooled_sizes, reported_sizes
from semsize.visibility.states import BINS, StateThresholds, fraction_bins
from semsize.visibility.truth import SIZES, OutlineTruth, outline_truth, sizes_px


@pytest.fixture(scope="module")
def scene():
    """Visible outlines of a rendered image, its grey levels, and what is true of them."""
    rendered = render_image(RenderSettings(seed=5, shape=(256, 320), preset="agglomerated", particles=60), 0)
    visible, whole = rendered.truth.visible, rendered.truth.full
    fractions = rendered.truth.visible_fractions
    truth = OutlineTruth(
        is_particle=np.ones(len(visible)),
        visible_fraction=fractions,
        visibility_class=np.where(fractions >= 0.98, 0, np.where(fractions >= 0.4, 1, 2)),
        truncated=np.zeros(len(visible), bool),
        sizes_px=sizes_px(whole),
        visible=visible,
        whole=whole,
        partner=np.arange(len(visible)),
    )
    return visible, rendered.pixels, truth


def perfect(visible, truth):
    ratios = truth.sizes_px / sizes_px(visible)
    return CropAnswers(
        fractions=np.eye(BINS)[fraction_bins(truth.visible_fraction)],
        is_particle=np.ones(len(visible)),
        whole=mask_crops(truth.whole, windows(visible)).astype(float),
        size_ratios=np.repeat(ratios[..., None], len(QUANTILES), axis=2) * [0.9, 1, 1.1],
    )


def test_perfect_answers_are_judged_perfect_and_better_than_no_network(scene):
    visible, grey, truth = scene
    metrics = visibility_metrics(judge(visible, perfect(visible, truth), truth, grey))
    assert metrics["outlines"] == metrics["states"] == len(visible)
    assert metrics["masked"] > 5
    assert metrics["states_right"] == 1
    assert metrics["states_ece"] == pytest.approx(0, abs=1e-9)
    assert metrics["masked_network_number_ecd_error_percent"] == pytest.approx(0, abs=1e-9)
    assert metrics["masked_network_number_interval_holds_percent"] == 100
    assert metrics["masked_network_outline_iou"] > 0.97  # a crop of 64 px, and what lies over bare substrate
    assert (
        metrics["masked_network_outline_iou"]
        > metrics["masked_convex_hull_iou"]
        > metrics["masked_visible_outline_iou"]
    )


def test_a_model_that_sees_all_particles_whole_is_right_on_those_that_are(scene):
    visible, grey, truth = scene
    answers = perfect(visible, truth)
    blind = CropAnswers(np.eye(BINS)[np.full(len(visible), BINS - 1)], answers.is_particle, answers.whole * 0,
                        np.ones_like(answers.size_ratios))  # fmt: skip
    judged = judge(visible, blind, truth, grey)
    counts = confusion(judged)
    assert counts[:, 1:].sum() == 0
    assert counts.sum(axis=1).tolist() == np.bincount(truth.visibility_class, minlength=3).tolist()
    assert visibility_metrics(judged)["states_right"] == counts[0, 0] / len(visible)
    rows = {row[0]: row[1:] for row in masked_rows(judged)}
    assert rows["network's outline"][:5] == rows["visible outline"][:5]  # the sixth is of intervals, which neither has


def test_every_scored_outline_stands_in_one_class_of_predicted_fraction(scene):
    visible, grey, truth = scene
    judged = judge(visible, perfect(visible, truth), truth, grey)
    rows = completion_table(judged)
    assert all(len(row) == 2 + len(COMPLETION_COLUMNS) for row in rows)
    assert sum(row[2] for row in rows if row[0] == "visible outline") == judged.scored.sum()


def test_sizes_by_true_fraction_are_those_of_the_classes_however_they_are_predicted(scene):
    """A model that takes each outline for the whole is sqrt(v) - 1 off, and says the same of what is seen of each."""
    visible, grey, truth = scene
    distribution = np.zeros(BINS)
    distribution[[25, 44]] = 0.5
    ratios = np.ones((len(visible), 3, len(QUANTILES))) * [0.9, 1, 1.2]
    answers = CropAnswers(
        np.tile(distribution, (len(visible), 1)), np.ones(len(visible)), np.zeros((len(visible), 64, 64)), ratios
    )
    errors = errors_by_true_fraction(judge(visible, answers, truth, grey))["ecd"]
    seen = visible.areas / truth.whole.areas
    assert [(row.low, row.high) for row in errors][-2:] == [(0.9, 0.98), (0.98, 1.0)]
    for row in errors:
        chosen = (seen >= row.low) & ((seen < row.high) | (row.high == 1))
        assert row.particles == chosen.sum()
        assert row.error_percent == pytest.approx(100 * (np.sqrt(seen[chosen]).mean() - 1))
        assert row.covered_percent == pytest.approx(100 * (1.2 * np.sqrt(seen[chosen]) >= 1).mean())
    assert errors[0].covered_percent == 0
    assert errors[-1].covered_percent == 100


def test_outlines_seen_to_less_than_0_4_by_the_model_have_no_whole_size(scene):
    visible, grey, truth = scene
    answers = perfect(visible, truth)
    hidden = CropAnswers(
        np.eye(BINS)[np.full(len(visible), 9)], answers.is_particle, answers.whole, answers.size_ratios
    )
    assert errors_by_true_fraction(judge(visible, hidden, truth, grey)) == dict.fromkeys(SIZES, ())


def test_two_images_are_judged_together_as_each_alone(scene):
    visible, grey, truth = scene
    answers = perfect(visible, truth)
    both = JudgedOutlines.cat([judge(visible, answers, truth, grey)] * 2)
    assert len(both.is_particle) == 2 * len(visible)
    assert (confusion(both) == 2 * confusion(judge(visible, answers, truth, grey))).all()


def test_an_image_without_outlines_adds_nothing(scene):
    visible, grey, truth = scene
    nothing = judge(visible[:0], perfect(visible, truth)[:0], truth[np.zeros(0, int)], grey)
    some = judge(visible, perfect(visible, truth), truth, grey)
    assert visibility_metrics(JudgedOutlines.cat([nothing, some])) == pytest.approx(
        visibility_metrics(some), nan_ok=True
    )
    assert np.isnan(visibility_metrics(nothing)["states_right"])


def test_states_of_people_are_judged_by_their_thresholds(scene):
    """At v = 0.94 a person with the threshold 0.9 calls a particle complete; the renderer's rule does not."""
    visible, grey, truth = scene
    one = visible[:1]
    answers = CropAnswers(np.eye(BINS)[[47]], np.ones(1), np.zeros((1, 64, 64)), np.ones((1, 3, 3)))
    nothing = CroppedMasks.from_crops([(np.zeros((0, 0)), (0, 0))], visible.image_shape)
    given = OutlineTruth(
        is_particle=np.ones(1),
        visible_fraction=np.full(1, np.nan),
        visibility_class=np.zeros(1, int),
        truncated=np.zeros(1, bool),
        sizes_px=np.full((1, 3), np.nan),
        visible=one,
        whole=nothing,
        partner=np.zeros(1, int),
    )
    by_people = judge(one, answers, given, grey, StateThresholds(complete=0.9))
    assert by_people.class_probabilities.argmax() == 0
    assert judge(one, answers, given, grey).class_probabilities.argmax() == 1
    assert truth.whole_is_known.all()


def test_sizes_of_fully_imaged_particles_are_weighted_with_their_probabilities():
    shape = (100, 100)
    squares = [(np.ones((side, side)), (20 * row + 5, 40)) for row, side in enumerate((4, 6, 8))]
    masks = CroppedMasks.from_crops([*squares, (np.ones((4, 4)), (0, 0))], shape)  # the last one touches the frame
    states = ("complete", "isolated", "masked", None)
    particles = [
        {"segmentation": rle, "iscrowd": 0, "state": state} for rle, state in zip(masks.to_rles(), states, strict=True)
    ]
    fractions = np.eye(BINS)[[BINS - 1, BINS - 1, BINS - 1, BINS - 1]]
    answers = CropAnswers(fractions, np.array([1, 0.5, 0.25, 1]), np.zeros((4, 64, 64)), np.ones((4, 3, 3)))
    truth = outline_truth(masks, particles)
    [sizes] = reported_sizes(masks, answers, truth, particles, pixel_size_nm=2.0)
    diameter = 2 * np.array([4, 6, 8]) * np.sqrt(4 / np.pi)
    border = 1e4 / (97 - np.array([4, 6, 8])) ** 2
    np.testing.assert_allclose(sizes.true.sizes, diameter[:2])
    np.testing.assert_allclose(sizes.true.weights, border[:2])
    np.testing.assert_allclose(sizes.found.sizes, diameter)
    np.testing.assert_allclose(sizes.found.weights, border * [1, 0.5, 0.25])
    mean, low, high = pooled_sizes([[sizes], [sizes]])[0].ratios()["mean"]
    expected = np.average(diameter, weights=sizes.found.weights) / np.average(diameter[:2], weights=border[:2])
    np.testing.assert_allclose([mean, low, high], expected)  # of one image there is nothing to draw

    steps = {step.name: step.of("mean").effect for step in pooled_sizes([[sizes], [sizes]])[0].steps()}
    third = np.average(diameter, weights=border) / np.average(diameter[:2], weights=border[:2])
    assert steps["overlooked"] == pytest.approx(0)
    assert steps["outline"] == pytest.approx(0)
    assert np.exp(steps["states"]) == pytest.approx(third), "the masked one is taken for fully imaged"
    assert np.exp(sum(steps.values())) == pytest.approx(expected)
    assert sizes.steps() == (), "one image cannot tell how images differ"

    particles[2]["state"] = None
    assert reported_sizes(masks, answers, truth, particles) == [], "the class of a particle is not known"


def test_completed_particles_are_reported_with_their_whole_sizes():
    masks = CroppedMasks.from_crops([(np.ones((4, 4)), (30, 30)), (np.ones((6, 6)), (60, 60))], (100, 100))
    diameter, whole = 2 * np.array([4, 6]) * np.sqrt(4 / np.pi), 20.0
    fractions = np.array([1.0, 0.7])
    particles = [
        {"segmentation": rle, "iscrowd": 0, "visible_fraction": fraction, "ecd_nm": ecd}
        for rle, fraction, ecd in zip(masks.to_rles(), fractions, (diameter[0], whole), strict=True)
    ]
    ratios = np.array([1, 1.1 * whole / diameter[1]])  # a tenth too large
    answers = CropAnswers(
        np.eye(BINS)[fraction_bins(fractions)],
        np.ones(2),
        np.zeros((2, 64, 64)),
        np.ones((2, 3, 3)) * ratios[:, None, None],
    )
    truth = outline_truth(masks, particles, 2.0)
    _, completed = pooled_sizes([reported_sizes(masks, answers, truth, particles, 2.0)] * 2)
    np.testing.assert_allclose(completed.true.sizes, [diameter[0], whole] * 2)
    np.testing.assert_allclose(completed.found.sizes, [diameter[0], 1.1 * whole] * 2)
    steps = {step.name: step.of("D90").effect for step in completed.steps()}
    assert np.exp(steps["completion"]) == pytest.approx(1.1, rel=0.02)
    assert sum(map(abs, steps.values())) == pytest.approx(steps["completion"]), "all else is exact"
    assert len(reported_sizes(masks, answers, truth, particles)) == 1, "whole sizes are in nm, and these are in px"

    nothing = outline_truth(masks, [], 2.0)
    alone, with_empty = (
        pooled_sizes([reported_sizes(masks, answers, of, known, 2.0) for of, known in images])
        for images in ([(truth, particles)], [(truth, particles), (nothing, [])])
    )
    assert [sizes.kind for sizes in with_empty] == [sizes.kind for sizes in alone] == ["fully_imaged", "completed"]
    np.testing.assert_array_equal(with_empty[1].true.sizes, alone[1].true.sizes)
    assert len(with_empty[1].found) == 2 * len(alone[1].found), "what is found there is false"

    del particles[1]["ecd_nm"]
    assert len(reported_sizes(masks, answers, truth, particles, 2.0)) == 1, "one whole size is not known"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("is_empty", [(True, False), (False, True), (True, True)])
def test_without_outlines_or_particles_errors_of_sizes_are_not_known(is_empty):
    masks = CroppedMasks.from_crops([(np.ones((4, 4)), (30, 30)), (np.ones((6, 6)), (60, 60))], (100, 100))
    particles = [{"segmentation": rle, "iscrowd": 0, "visible_fraction": 1.0} for rle in masks.to_rles()]
    outlines, particles = (side[:0] if none else side for side, none in zip((masks, particles), is_empty, strict=True))
    count = len(outlines)
    answers = CropAnswers(
        np.eye(BINS)[[BINS - 1] * count].reshape(count, BINS),
        np.ones(count),
        np.zeros((count, 64, 64)),
        np.ones((count, 3, 3)),
    )
    truth = outline_truth(outlines, particles, 2.0)
    kinds = pooled_sizes([reported_sizes(outlines, answers, truth, particles, 2.0)] * 2)
    metrics = visibility_metrics(judge(outlines, answers, truth, np.zeros((100, 100), np.float32)), kinds)
    assert len(kinds) == 2
    assert np.isnan([metrics[f"{sizes.kind}_D50_error_percent"] for sizes in kinds]).all()
    assert all(sizes.steps() == () for sizes in kinds)


def test_a_threshold_that_chooses_all_has_the_precision_of_the_share(scene):
    visible, grey, truth = scene
    judged = judge(visible, perfect(visible, truth), truth, grey)
    is_full = truth.visibility_class == 0
    chosen = dataclasses.replace(judged, class_probabilities=np.full((len(visible), 3), 0.5))
    rows = selection_table(chosen)
    assert rows[0] == pytest.approx([0.1, len(visible), is_full.mean(), 1])
    assert rows[-1][1] == 0
    assert np.isnan(rows[-1][2])
    assert selection_table(judged)[4] == pytest.approx([0.5, is_full.sum(), 1, 1])
