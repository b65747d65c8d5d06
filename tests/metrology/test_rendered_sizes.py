"""Sizes measured on rendered scenes' full masks against those that the renderer drew."""

from functools import cache

import numpy as np

from semsize.metrology import SizeSample, border_weights, measure, size_distribution, size_intervals
from semsize.metrology.intervals import STATISTICS
from semsize.structures import PixelSize
from semsize.synthesis import Population, RenderSettings, render_image

POPULATION = Population(ecd_median_nm=330.0, ecd_gsd=1.25)
NM_PER_PX = 7.344
IMAGES = 5


@cache
def measured():
    """Full masks of all particles of 45 px in median that don't touch the border: found, true, weight, image."""
    settings = RenderSettings(5, (448, 704), "scattered", particles=50, pixel_size_nm=NM_PER_PX, population=POPULATION)
    rows = []
    for number in range(IMAGES):
        truth = render_image(settings, number).truth
        border = border_weights(truth.full.boxes, truth.full.image_shape)
        kept = ~np.isnan(border)
        sizes = measure(truth.full[kept], PixelSize(NM_PER_PX))
        columns = sizes.ecd_nm, truth.ecds_nm[kept], border[kept], np.full(kept.sum(), number)
        ferets = sizes.feret_min_px - truth.ferets_nm[kept, 0] / NM_PER_PX
        rows.append(np.stack([*columns, ferets, sizes.feret_max_px - truth.ferets_nm[kept, 1] / NM_PER_PX]))
    return np.concatenate(rows, axis=1)


def test_the_mean_bias_of_ecd_is_below_two_thousandths_and_ferets_are_within_their_table():
    found, true, _, _, feret_min, feret_max = measured()
    inner = (true > 20 * NM_PER_PX) & (true < 100 * NM_PER_PX)
    assert inner.sum() > 120
    assert abs(np.mean(found[inner] / true[inner] - 1)) < 0.002
    assert abs(found[inner].mean() / true[inner].mean() - 1) < 0.002
    assert abs(feret_min[inner].mean()) < 0.5  # docs/notebook/measurands.md
    assert abs(feret_max[inner].mean()) < 0.5
    assert max(abs(feret_min[inner]).max(), abs(feret_max[inner]).max()) < 1.75


def test_the_population_s_quantiles_lie_in_their_intervals():
    found, _, weights, images, *_ = measured()
    sample = SizeSample(found, weights, images)
    intervals = size_intervals(sample, np.random.default_rng(0))
    spread = np.log(POPULATION.ecd_gsd)
    truth = 330.0 * np.exp(spread * np.array([-1.2816, 0, 1.2816, spread / 2]))
    for name, true in zip(STATISTICS, truth, strict=True):
        assert intervals[name].low <= true <= intervals[name].high, name
    fit = size_distribution(sample).fit
    assert abs(fit.geometric_std - 1.25) < 0.02
    assert fit.goodness < 0.05
