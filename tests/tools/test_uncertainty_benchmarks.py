"""The programs behind docs/uncertainty.md on closed forms, simulated truth and edges of known width."""

import numpy as np
import pytest
from scipy import ndimage, stats
from tool_modules import tool_module

from semsize.metrology import SizeSample
from semsize.metrology.intervals import resampled_statistics, statistics

border, coverage, outlines = (tool_module(f"benchmarks/{name}") for name in ("border", "interval_coverage", "outlines"))


def test_simulated_samples_have_the_truth_in_the_limit():
    material = coverage.Material(0.1)
    sample = material.sample(4000, np.random.default_rng(0))
    np.testing.assert_allclose(statistics(sample), material.truth(), rtol=0.01)
    shares = [np.mean(sample.sizes <= limit) for limit in material.limits()]
    np.testing.assert_allclose(shares, coverage.SHARES, atol=0.01)
    of_images = np.bincount(sample.images)
    assert of_images.std() / of_images.mean() == pytest.approx(np.hypot(0.6, 1 / np.sqrt(60)), rel=0.05)


def test_bca_of_a_symmetric_mean_is_the_normal_interval():
    sizes = 200 + stats.norm.ppf((np.arange(300) + 0.5) / 300)
    sample = SizeSample(sizes, np.ones(300), np.arange(300))
    drawn = resampled_statistics(sample, np.random.default_rng(0), 4000)
    low, high = coverage.bca(sample, drawn)[:, 3]
    assert (low, high) == pytest.approx((200 - 1.96 / np.sqrt(300), 200 + 1.96 / np.sqrt(300)), abs=0.015)


def test_crops_hold_particles_in_proportion_to_one_over_their_weight():
    """Two kinds of particle on a field that continues on its other side: their number is as that of their places."""
    rng = np.random.default_rng(0)
    extent = np.repeat([[10, 10], [60, 30]], 40, axis=0)
    field = border.Field(extent.mean(axis=1), rng.integers(0, 500, (80, 2)), extent, np.array([500, 500]))
    crops = border.crop_at_random(field, 128, 4000, rng)
    counts = np.bincount(crops.particles < 40) / (4000 * 40)
    places = np.array([(128 - 60 - 3) * (128 - 30 - 3), (128 - 10 - 3) ** 2])
    np.testing.assert_allclose(counts, places / 500**2, rtol=0.05)
    assert set(np.round(crops.weights, 9)) == set(np.round(128**2 / places, 9))


@pytest.mark.parametrize(("blur_px", "width_px"), [(0, 0.85), (0.8, 2.0), (1.6, 3.0)])
def test_a_blurred_edge_is_found_at_the_outline_with_its_width(blur_px, width_px):
    """2 px for each px of blur (a normal distribution's 84 - 16 %), but no less than the 0.85 px that pixels spread."""
    rows, columns = np.mgrid[:160, :160] - 79.5
    mask = rows**2 + columns**2 <= 60**2
    grey = 20 + 100 * (ndimage.gaussian_filter(mask.astype(float), blur_px) if blur_px else mask)
    one = outlines.Neighbourhood(mask, np.zeros_like(mask), grey, "complete")
    inner, half, outer = one.edge()
    assert half == pytest.approx(0, abs=0.1)
    assert outer - inner == pytest.approx(width_px, rel=0.05)


def test_gaps_of_one_pixel_are_counted_and_wider_ones_are_not():
    def beside(gap):
        mask, others = np.zeros((2, 30, 40), bool)
        mask[10:20, 5:15] = True
        others[10:20, 15 + gap : 30] = True
        return outlines.Neighbourhood(mask, others, np.zeros((30, 40)), None).gap_counts()

    assert beside(1) == (10, 40)
    assert beside(2) == (0, 40)
    assert beside(0) == (0, 40)


def test_a_particle_that_does_not_stand_out_has_no_edge():
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    assert outlines.Neighbourhood(mask, np.zeros_like(mask), np.full((60, 60), 50.0), None).edge() is None
