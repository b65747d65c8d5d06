"""Steps from the truth to the report: their product is the total, and their uncertainties come from the images."""

import numpy as np
import pytest

from semsize.metrology.intervals import STATISTICS, statistics
from semsize.metrology.size_distribution import SizeSample
from semsize.visibility.nesting import ImageSteps, Population, at_density, step_effects, steps_by_density

STEPS = ("overlooked", "outline", "state", "false")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def chain(rng, count=80, area_fraction=0.1, outline=1.02):
    """An image: small ones overlooked, outlines off by `outline`, states with errors, a tenth false detections."""
    true = rng.lognormal(3.5, 0.35, count)
    found = rng.random(count) < 1 - np.exp(-true / 15)
    drawn = true * outline * rng.normal(1, 0.02, count)
    units = np.arange(count)
    p_full = rng.uniform(0.5, 1, count)
    false = rng.lognormal(3.0, 0.5, count // 10)
    truth = Population(true, np.ones(count), units)
    kept = Population(true[found], np.ones(found.sum()), units[found])
    outlined = Population(drawn[found], np.ones(found.sum()), units[found])
    stated = Population(drawn[found], p_full[found], units[found])
    all_found = Population(
        np.append(drawn[found], false),
        np.append(p_full[found], np.full(len(false), 0.3)),
        np.append(units[found], count + np.arange(len(false))),
    )
    return ImageSteps((truth, kept, outlined, stated, all_found), count + len(false), area_fraction)


def pooled(images, number):
    parts = [image.populations[number] for image in images]
    sizes, weights = (np.concatenate([getattr(part, name) for part in parts]) for name in ("sizes", "weights"))
    return statistics(SizeSample(sizes, weights, np.zeros(len(sizes), int)))


def test_the_product_of_all_steps_is_the_total_error(rng):
    images = [chain(rng) for _ in range(8)]
    steps = step_effects(STEPS, images)
    total = pooled(images, len(STEPS)) / pooled(images, 0)
    for column, name in enumerate(STATISTICS):
        product = np.exp(sum(step.of(name).effect for step in steps))
        assert product == pytest.approx(total[column], rel=1e-12), name
    assert steps[0].of("D10").effect > steps[0].of("D90").effect > -0.02, "what is overlooked is small"


def test_an_effect_that_all_images_share_is_found_without_spread(rng):
    images = [chain(rng) for _ in range(12)]
    outline = step_effects(STEPS, images)[1].of("mean")
    assert outline.effect == pytest.approx(np.log(1.02), abs=3 * outline.standard_error + 1e-3)
    assert outline.between_image_std < 0.004
    assert outline.log_std > outline.effect, "what is not corrected counts in full"


def test_images_that_differ_have_that_spread(rng):
    images = [chain(rng, count=200, outline=np.exp(rng.normal(0, 0.05))) for _ in range(60)]
    outline = step_effects(STEPS, images)[1].of("mean")
    assert outline.between_image_std == pytest.approx(0.05, rel=0.3)
    assert outline.standard_error == pytest.approx(0.05 / np.sqrt(60), rel=0.4)


def test_a_step_that_does_nothing_has_no_effect(rng):
    part = chain(rng).populations[0]
    [step] = step_effects(["nothing"], [ImageSteps((part, part), len(part.sizes), 0.1)] * 3)
    assert all((e.effect, e.standard_error) == (0, 0) for e in step.effects)


def test_classes_of_density_are_those_of_the_images(rng):
    def image(area_fraction, factor):
        part = chain(rng).populations[0]
        larger = Population(part.sizes * factor, part.weights, part.units)
        return ImageSteps((part, larger), len(part.sizes), area_fraction)

    sparse, dense = [image(0.02, 1.0) for _ in range(3)], [image(0.25, 1.03) for _ in range(4)]
    classes = steps_by_density("selection", [*sparse, *dense, image(0.4, 2.0)])
    assert [(density.low, density.high, density.images) for density in classes] == [(0.0, 0.05, 3), (0.2, 0.3, 4)]
    assert at_density(classes, 0.9).step.of("D50").effect == pytest.approx(np.log(1.03))
    assert at_density(classes, 0.01).step.of("D50").effect == 0
    assert at_density((), 0.1) is None


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_are_refused(rng, count):
    with pytest.raises(ValueError, match="two or more"):
        step_effects(STEPS, [chain(rng)] * count)


def test_an_empty_population_is_refused(rng):
    part = chain(rng).populations[0]
    nothing = Population(np.zeros(0), np.zeros(0), np.zeros(0, int))
    with pytest.raises(ValueError, match="no particle"):
        step_effects(["all lost"], [ImageSteps((part, nothing), len(part.sizes), 0.1)] * 2)
