"""A model is asked about all outlines of an image: the renderer's truth as answers gives the renderer's states."""

import dataclasses

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.structures.states import FULLY_IMAGED_STATES, STATES
from semsize.synthesis import RenderSettings, render_image
from semsize.visibility.conformal import fit_intervals
from semsize.visibility.crops import mask_crops, windows
from semsize.visibility.model import QUANTILES, CropAnswers
from semsize.visibility.prediction import CalibratedModel, Calibration, predict_visibility
from semsize.visibility.states import BINS, StateThresholds, fraction_bins
from semsize.visibility.truth import SIZES, sizes_px


def test_true_answers_give_true_states_and_sizes():
    rendered = render_image(RenderSettings(seed=5, shape=(256, 320), preset="agglomerated", particles=60), 0)
    truth, outlines = rendered.truth, rendered.truth.visible
    ratios = np.repeat((sizes_px(truth.full) / sizes_px(outlines))[..., None], len(QUANTILES), axis=2)
    answers = CropAnswers(
        np.eye(BINS)[fraction_bins(truth.visible_fractions)],
        np.full(len(outlines), 0.9),
        mask_crops(truth.full, windows(outlines)).astype(float),
        ratios,
    )
    asked = 0

    def model(crops):
        nonlocal asked
        part = answers[asked : asked + len(crops)]
        asked += len(crops)
        return part

    seen = predict_visibility(rendered.pixels, outlines, CalibratedModel(model, StateThresholds(), Calibration()))
    likeliest = [STATES[number] for number in seen.state_probabilities.argmax(axis=1)]
    same = np.mean([found == true for found, true in zip(likeliest, truth.states, strict=True)])
    assert same > 0.85  # a sliver that a crop of 64 px loses may turn `touch_complete` to `complete`
    np.testing.assert_allclose(seen.state_probabilities.sum(axis=1), 1)
    full = truth.visible_fractions >= 0.98
    of_full = seen.state_probabilities[:, : len(FULLY_IMAGED_STATES)].sum(axis=1)
    np.testing.assert_array_equal(of_full > 0.5, full)
    np.testing.assert_allclose(seen.whole_sizes_px[..., 1], sizes_px(truth.full))
    np.testing.assert_allclose(seen.particle_probability, 0.9)


def test_an_image_without_outlines_is_asked_nothing():
    model = CalibratedModel(lambda _: 1 / 0, StateThresholds(), Calibration())
    seen = predict_visibility(np.zeros((20, 30)), CroppedMasks.empty((20, 30)), model)
    assert (len(seen.whole), seen.whole_sizes_px.shape) == (0, (0, len(SIZES), len(QUANTILES)))


def test_a_calibration_changes_probabilities_and_the_ends_of_intervals_only():
    predicted = np.full(39, 100.0)
    intervals = fit_intervals(
        np.ones(39), predicted, predicted + np.arange(39), fraction_edges=[0.4, 0.9, 1], size_edges=[0, 50, 1000]
    )
    calibration = Calibration(2.0, 2.0, (intervals, dataclasses.replace(intervals, low=intervals.low / 2)))
    sizes = np.full((2, 3, 3), 100.0)
    calibrated = calibration.sizes(np.array([0.95, 0.5]), sizes)
    np.testing.assert_allclose(calibrated[0, 0], [100, 100, 138])
    assert np.isnan(calibrated[1, 0, [0, 2]]).all(), "no particle like it was seen: no interval"
    np.testing.assert_allclose(calibrated[0, 1], [50, 100, 138])
    assert np.isnan(calibrated[:, 2, [0, 2]]).all(), "older records have no intervals of Feret diameters"
    assert (calibrated[..., 1] == 100).all()
    np.testing.assert_allclose(calibration.particle(np.array([0.8])), [2 / 3])
    np.testing.assert_allclose(calibration.classes(np.array([[0.8, 0.2, 0.0]]))[0, :2], [2 / 3, 1 / 3], atol=1e-6)
    untouched = Calibration()
    np.testing.assert_allclose(untouched.particle(np.array([0.3])), [0.3])
    assert (untouched.sizes(np.ones(2), sizes) == sizes).all()
