"""A model asked about all outlines of an image: the renderer's truth as its answers gives the renderer's states."""

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.synthesis import RenderSettings, render_image
from semsize.visibility.crops import mask_crops, windows
from semsize.visibility.model import QUANTILES, CropAnswers
from semsize.visibility.seeing import see
from semsize.visibility.states import BINS, fraction_bins
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

    seen = see(rendered.pixels, outlines, model)
    same = np.mean([found == true for found, true in zip(seen.states, truth.states, strict=True)])
    assert same > 0.85  # a sliver that a crop of 64 px loses may turn `touch_complete` to `complete`
    np.testing.assert_allclose(seen.state_probabilities.sum(axis=1), 1)
    full = truth.visible_fractions >= 0.98
    np.testing.assert_array_equal(seen.fully_imaged_probability > 0.5, full)
    np.testing.assert_allclose(seen.whole_sizes_px[..., 1], sizes_px(truth.full))
    assert (seen.particle_probability == 0.9).all()


def test_an_image_without_outlines_is_asked_nothing():
    seen = see(np.zeros((20, 30)), CroppedMasks.empty((20, 30)), lambda _: 1 / 0)
    assert (len(seen.states), len(seen.whole), seen.whole_sizes_px.shape) == (0, 0, (0, len(SIZES), len(QUANTILES)))
