"""Degradations against their statistics and identities."""

import numpy as np
import pytest

from semsize.sem.degradation import (
    add_gaussian_noise,
    add_poisson_gaussian_noise,
    adjust_contrast,
    gaussian_blur,
    jitter_lines,
)

GREY = np.full((300, 400), 100, dtype=np.float32)


@pytest.mark.parametrize("std", [1.0, 8.0])
def test_gaussian_noise_has_its_standard_deviation(std):
    noise = add_gaussian_noise(GREY, std, np.random.default_rng(0)) - GREY
    assert abs(noise.mean()) < 4 * std / np.sqrt(noise.size)
    assert abs(noise.std() - std) < 4 * std / np.sqrt(2 * noise.size)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize("level", [20.0, 80.0, 160.0])
def test_counting_noise_has_variance_signal_over_electrons_plus_read_out(level, correlation):
    image = np.full((300, 400), level, dtype=np.float32)
    noise = add_poisson_gaussian_noise(image, 4.0, 2.0, np.random.default_rng(1), correlation) - image
    assert noise.var() == pytest.approx(level / 4 + 4, rel=0.03)
    neighbours = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.02 if correlation == 0 else 0.1 < neighbours < 0.4


@pytest.mark.parametrize("function", [add_gaussian_noise, lambda i, s, g: add_poisson_gaussian_noise(i, 1, s, g, 0.5)])
def test_noise_is_repeatable_stays_in_range_and_leaves_grey_grey(function):
    image = np.repeat(np.linspace(0, 255, 40 * 50, dtype=np.float32).reshape(40, 50, 1), 3, axis=2)
    before = image.copy()
    noisy = function(image, 30, np.random.default_rng(2))
    np.testing.assert_array_equal(noisy, function(image, 30, np.random.default_rng(2)))
    np.testing.assert_array_equal(image, before)
    assert noisy.dtype == np.float32
    assert noisy.min() >= 0
    assert noisy.max() <= 255
    assert (noisy[..., 0] == noisy[..., 2]).all()


def test_blur_turns_a_point_into_a_gaussian_of_the_same_sum():
    point = np.zeros((61, 61), dtype=np.float32)
    point[30, 30] = 200
    blurred = gaussian_blur(point, 3.0)
    columns = np.arange(61) - 30
    assert blurred.sum() == pytest.approx(200, rel=1e-3)
    assert (blurred.sum(axis=0) * columns**2).sum() / 200 == pytest.approx(9, rel=0.02)
    np.testing.assert_array_equal(gaussian_blur(point, 0), point)


def test_contrast_is_the_identity_by_default_and_a_power_law_else():
    ramp = np.linspace(0, 255, 256, dtype=np.float32).reshape(16, 16)
    np.testing.assert_allclose(adjust_contrast(ramp), ramp, rtol=1e-6)
    np.testing.assert_allclose(adjust_contrast(ramp, 0.5, 20), 0.5 * ramp + 20, rtol=1e-5)
    np.testing.assert_allclose(adjust_contrast(ramp, gamma=2), ramp**2 / 255, rtol=1e-5, atol=1e-4)
    assert adjust_contrast(ramp, 3, -50).max() == 255


def test_jittered_lines_are_shifted_lines():
    ramp = np.broadcast_to(np.arange(200, dtype=np.float32), (500, 200)).copy()
    shifts = jitter_lines(ramp, 0.5, np.random.default_rng(3))[:, 100] - 100
    assert abs(shifts.mean()) < 4 * 0.5 / np.sqrt(500)
    assert shifts.std() == pytest.approx(0.5, rel=0.15)
    np.testing.assert_array_equal(jitter_lines(ramp, 0.0, np.random.default_rng(3)), ramp)
