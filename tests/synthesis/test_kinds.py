"""Kinds of bodies against closed forms, and what presets draw of them."""

from math import gamma

import numpy as np
import pytest

from semsize.programs.render import PRESETS as PROGRAM_PRESETS
from semsize.synthesis.bodies import rounded_polyhedron, silhouette_of, superellipsoid
from semsize.synthesis.depth import rasterise
from semsize.synthesis.populations import KINDS, Population, Prisms, draw_ecds, draw_particle, prism_normals
from semsize.synthesis.scenes import NAMES, REFERENCE_PIXEL_NM, VARIED, VARIED_GSD, choose_scene

FRAME = (704, 1024)


def drawn(kind, count, seed=0):
    rng = np.random.default_rng(seed)
    return [draw_particle(KINDS[kind], 203.0, rng) for _ in range(count)]


def test_the_program_offers_every_preset():
    assert tuple(PROGRAM_PRESETS) == NAMES


def test_spheres_are_as_wide_as_their_ecd():
    for particle in drawn("spheres", 30):
        small, large = particle.silhouette.feret()
        assert np.sqrt(small * large) == pytest.approx(203, rel=5e-3)  # an ellipse's
        assert large / small < 1.12


@pytest.mark.parametrize("aspect", [3.0, 10.0])
@pytest.mark.parametrize("exponent", [3, 9, 17])
def test_the_outline_of_a_slender_body_is_right_up_to_its_tips(aspect, exponent):
    directions = Prisms(elongation_range=(1, aspect)).directions
    silhouette = silhouette_of(superellipsoid([aspect, 1.0, 1.0], np.eye(3), exponent), directions)
    area = 4 * aspect * gamma(1 + 1 / exponent) ** 2 / gamma(1 + 2 / exponent)
    assert silhouette.area == pytest.approx(area, rel=1e-3)
    assert silhouette.feret()[0] == pytest.approx(2, rel=5e-3)
    np.testing.assert_allclose(silhouette.depth(aspect - np.array([0.3, -0.3]), np.zeros(2)), [0.3, -0.3], rtol=1e-3)
    y = np.linspace(-1.2, 1.2, 200)
    for x in (0.5 * aspect, 0.95 * aspect):
        within = (x / aspect) ** exponent + np.abs(y) ** exponent <= 1
        clear = np.abs((x / aspect) ** exponent + np.abs(y) ** exponent - 1) > 0.1
        np.testing.assert_array_equal((silhouette.depth(np.full(200, x), y) >= 0)[clear], within[clear])


@pytest.mark.parametrize(("kind", "low", "high"), [("rods", 1.3, 4.5), ("needles", 3.4, 10.5)])
def test_rods_and_needles_are_as_long_as_they_are_drawn(kind, low, high):
    ratios = [np.divide(*particle.silhouette.feret()[::-1]) for particle in drawn(kind, 60)]
    lying = np.percentile(ratios, [10, 90])  # a square's diagonal is seen where it lies on an edge
    assert low < lying[0] < lying[1] < high
    assert np.median(ratios) > 1.4 * low


@pytest.mark.parametrize("tilt", [0.0, 0.5, 1.2])
def test_the_shadow_of_a_hexagonal_plate_is_that_of_its_faces(tilt):
    half = 0.2
    turn = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    plate = rounded_polyhedron(prism_normals(6, "z"), [1.0, 1.0, half], turn, 17)
    face = 2 * np.sqrt(3)  # of a hexagon of inscribed radius 1
    side = 2 * half * 4 / np.sqrt(3)  # thickness by width across corners, which lie along y
    shadow = face * np.cos(tilt) + side * np.sin(tilt)
    area = silhouette_of(plate, 512).area
    assert 3 ** (-2 / 17) * shadow < area < shadow  # rounding takes up to 3 ** (-1 / 17) of a corner's distance


def test_cubes_that_lie_flat_are_square():
    population = Prisms(along="z", exponents=(17,), tilt_std=0.0, notch_median=0.0, twin_share=0.0, knob_share=0.0)
    rng = np.random.default_rng(1)
    for _ in range(5):
        silhouette = draw_particle(population, 203.0, rng).silhouette
        assert silhouette.feret()[0] == pytest.approx(203 * np.sqrt(np.pi / 4), rel=0.01)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_particle_has_its_size_at_every_pixel_size(kind):
    for particle in drawn(kind, 4):
        for pixel_size_nm in (1.8, 7.344, 14.7):
            patch = rasterise(particle, pixel_size_nm, (0.3, 0.6))
            assert np.sqrt(4 * patch.inside.sum() / np.pi) * pixel_size_nm == pytest.approx(203, abs=pixel_size_nm)
            assert (patch.top[patch.inside] >= patch.bottom[patch.inside]).all()


@pytest.mark.parametrize("kind", ["rods", "needles"])
def test_no_point_of_a_slender_body_is_deeper_than_its_half_width(kind):
    for particle in drawn(kind, 5):
        patch = rasterise(particle, 1.8, (0.5, 0.5))
        assert patch.depth[patch.inside].max() <= particle.silhouette.feret()[0] / 2 / 1.8 + 1


def test_sizes_are_cut_off_at_the_limit_and_below_it_stay_log_normal():
    population = Population(ecd_median_nm=100, ecd_gsd=1.5)
    ecds = draw_ecds(population, 4000, np.random.default_rng(0), 120.0)
    assert ecds.max() <= 120
    free = draw_ecds(population, 20_000, np.random.default_rng(1))
    points = [25, 50, 75, 95]
    np.testing.assert_allclose(np.percentile(ecds, points), np.percentile(free[free <= 120], points), rtol=0.03)


@pytest.mark.parametrize("pixel_size_nm", [1.8, 7.344, 29.0])
def test_varied_draws_every_kind_but_that_for_testing_in_sizes_that_the_frame_shows(pixel_size_nm):
    assert sum(VARIED.values()) == pytest.approx(1)
    assert set(VARIED) == {"mixed", *KINDS} - {"cubes"}
    rng = np.random.default_rng(3)
    seen = [choose_scene("varied", Population(), 1.0, FRAME, pixel_size_nm, rng)[1] for _ in range(300)]
    medians = np.array([population.ecd_median_nm for population in seen])
    assert medians.min() >= max(203 / 3, 8 * pixel_size_nm)
    assert medians.max() <= 203 * 3
    assert all(VARIED_GSD[0] <= population.ecd_gsd <= VARIED_GSD[1] for population in seen)
    forms = {(getattr(p, "along", ""), getattr(p, "elongation_range", ()), p.polyhedron_share) for p in seen}
    assert len(forms) == len(VARIED)
    assert all(len(population.sides) == 1 for population in seen if isinstance(population, Prisms))


def test_a_kind_covers_the_same_share_of_the_frame_whatever_its_sizes():
    for kind in KINDS:
        preset, population = choose_scene(kind, Population(), 1.0, FRAME, REFERENCE_PIXEL_NM, np.random.default_rng(2))
        usual = {"agglomerated": (22, 640), "scattered": (12, 120)}[preset.configuration]
        covered = np.multiply(preset.particles_range, population.mean_area_nm2)
        np.testing.assert_allclose(covered, np.multiply(usual, Population().mean_area_nm2))
