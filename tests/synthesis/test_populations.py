"""Drawn particles have the requested sizes."""

import numpy as np
import pytest

from semsize.synthesis.populations import (
    Population,
    draw_ecds,
    draw_particle,
    draw_semi_axes,
    join,
    uniform_rotation,
    vary_population,
)
from semsize.synthesis.scenes import PRESETS, build_scene


def test_every_outline_has_exactly_the_ecd_that_was_drawn():
    rng = np.random.default_rng(0)
    for ecd in draw_ecds(Population(), 50, rng):
        particle = draw_particle(Population(), float(ecd), rng)
        assert particle.silhouette.ecd == pytest.approx(ecd, rel=1e-9)


@pytest.mark.parametrize("lobes", [2, 3, 5])
def test_the_origin_lies_within_every_lobe_and_the_whole_is_their_union(lobes):
    rng = np.random.default_rng(7)
    for _ in range(10):
        particle = join([Population().draw_body(rng) for _ in range(lobes)], 0.01, rng)
        inside = [lobe.silhouette.depth(-lobe.centre[0], -lobe.centre[1]) >= 0 for lobe in particle.lobes]
        assert len(inside) == lobes
        assert all(inside)
        x, y = rng.uniform(-2, 2, (2, 500))
        union = np.any([o.silhouette.depth(x - o.centre[0], y - o.centre[1]) >= 0 for o in particle.lobes], 0)
        clear = np.abs(particle.silhouette.depth(x, y)) > 0.04
        np.testing.assert_array_equal(union[clear], particle.silhouette.depth(x, y)[clear] >= 0)


POPULATION = Population(ecd_median_nm=180.0, ecd_gsd=1.5)


def placed_ecds(preset, seed):
    """Of 250 particles of POPULATION in a scene."""
    scene = build_scene(PRESETS[preset], POPULATION, (300, 400), 25.0, np.random.default_rng(seed), particles=250)
    return [placed.particle.silhouette.ecd for placed in scene.placed]


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (5000, lambda: draw_ecds(POPULATION, 5000, np.random.default_rng(3))),
        (1000, lambda: [ecd for n in range(4) for ecd in placed_ecds(("scattered", "agglomerated")[n % 2], n)]),
    ],
    ids=["drawn", "placed"],
)
def test_diameters_give_the_log_normal_back_within_4_standard_errors(count, sizes):
    logs = np.log(sizes())
    assert len(logs) == count
    sigma = np.log(1.5)
    assert abs(logs.mean() - np.log(180)) < 4 * sigma / np.sqrt(count)
    assert abs(logs.std(ddof=1) - sigma) < 4 * sigma / np.sqrt(2 * count)


def test_aspect_ratios_are_log_normal_above_1():
    rng = np.random.default_rng(1)
    population = Population()
    axes = np.array([draw_semi_axes(population, rng) for _ in range(4000)])
    elongation = np.log(axes[:, 0] - 1)
    error = np.log(population.elongation_gsd) / np.sqrt(len(axes))
    assert abs(np.median(elongation) - np.log(population.elongation_median)) < 4 * 1.2533 * error
    assert (axes[:, 0] > axes[:, 1]).all()
    assert (axes[:, 1] > axes[:, 2]).all()


def test_rotations_are_proper_and_point_anywhere():
    rng = np.random.default_rng(2)
    rotations = np.array([uniform_rotation(rng) for _ in range(3000)])
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (3000, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    cosines = rotations[:, 2, 2]  # uniform in -1..1 for a uniform rotation: mean 0, variance 1/3
    assert abs(cosines.mean()) < 4 * np.sqrt(1 / 3 / 3000)
    assert abs(np.mean(cosines**2) - 1 / 3) < 4 * np.sqrt(4 / 45 / 3000)


def test_a_powder_varies_only_beyond_a_variety_of_one():
    population = Population()
    rng = np.random.default_rng(0)
    assert vary_population(population, 1.0, rng) is population
    varied = [vary_population(population, 2.0, rng) for _ in range(200)]
    medians = np.log([each.ecd_median_nm / population.ecd_median_nm for each in varied])
    assert np.abs(medians).max() <= 0.25
    assert np.abs(medians).max() > 0.2
    assert all(population.ecd_gsd <= each.ecd_gsd <= population.ecd_gsd**1.5 for each in varied)
