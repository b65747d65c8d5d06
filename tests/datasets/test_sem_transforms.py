"""A SEM transform is its function with a drawn strength, on any bit depth; masks stay."""

import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmdet.utils import register_all_modules

from semsize.sem.degradation import add_gaussian_noise, change_contrast, gaussian_blur, invert, multiply
from tio2.datasets import OneOrMoreOf, SEMContrast, SEMGaussianBlur, SEMGaussianNoise, SEMInvert, SEMMultiply
from tio2.datasets.sampling import sample_generator

IMAGE = np.repeat(np.random.default_rng(0).uniform(20, 120, (60, 80, 1)).astype(np.float32), 3, axis=2)
KINDS = [SEMGaussianBlur, SEMContrast, SEMGaussianNoise, SEMMultiply]


@pytest.fixture(scope="module", autouse=True)
def registered():
    register_all_modules()


def sample(image=IMAGE, k=0):
    return {"img": image.copy(), "gt_masks": object(), "sample_seed": (0, k, 0)}


@pytest.mark.parametrize(
    ("kind", "value", "function"),
    [
        (SEMGaussianBlur, 1.3, lambda image, value, _: gaussian_blur(image, value)),
        (SEMContrast, 1.3, lambda image, value, _: change_contrast(image, value)),
        (SEMGaussianNoise, 6.0, add_gaussian_noise),
        (SEMMultiply, 0.8, lambda image, value, _: multiply(image, value)),
    ],
)
def test_each_is_its_function_with_the_drawn_strength(kind, value, function):
    before = sample()
    done = kind((value, value)).transform(dict(before))
    rng = np.random.default_rng((0, 0, 0, 1))
    rng.random(), rng.uniform()
    np.testing.assert_array_equal(done["img"], function(IMAGE, value, rng))
    assert done["gt_masks"] is before["gt_masks"]
    assert done["img"].dtype == np.float32
    assert (done["img"][..., 0] == done["img"][..., 2]).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "steps"), [(np.uint8, 1), (np.uint16, 257)])
def test_eight_and_sixteen_bits_give_the_float_result_to_half_a_step(kind, dtype, steps):
    stored = np.rint(IMAGE * steps).astype(dtype)
    done = kind((1.2, 1.2)).transform(sample(stored))["img"]
    expected = kind((1.2, 1.2)).transform(sample((stored / np.float32(steps)).astype(np.float32)))["img"]
    assert done.dtype == dtype
    np.testing.assert_allclose(done / np.float32(steps), expected, atol=0.5 / steps + 1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_strength_is_drawn_per_sample_and_repeatable(kind):
    step = kind((0.8, 1.6))
    images = [step.transform(sample(k=k))["img"] for k in range(4)]
    assert len({image.tobytes() for image in images}) == 4
    np.testing.assert_array_equal(images[2], step.transform(sample(k=2))["img"])
    np.testing.assert_array_equal(kind((1.2, 1.2), prob=0.0).transform(sample())["img"], IMAGE)


def test_contrast_keeps_the_mean_and_scales_the_spread():
    done = change_contrast(IMAGE, 1.2)
    assert done.mean() == pytest.approx(IMAGE.mean(), rel=1e-4)
    assert done.std() == pytest.approx(1.2 * IMAGE.std(), rel=1e-4)


def test_multiply_scales_and_saturates():
    np.testing.assert_allclose(multiply(IMAGE, 0.5), IMAGE / 2, rtol=1e-5)
    assert multiply(IMAGE, 9).max() == 255


@pytest.mark.parametrize(("dtype", "steps"), [(np.float32, 1), (np.uint8, 1), (np.uint16, 257)])
def test_inversion_turns_levels_about_the_middle_of_their_range_and_back(dtype, steps):
    stored = (np.rint(IMAGE) * steps).astype(dtype)
    step = SEMInvert(prob=1.0)
    done = step.transform(sample(stored))["img"]
    assert done.dtype == dtype
    np.testing.assert_array_equal(done, (255 * steps - stored.astype(np.float64)).astype(dtype))
    np.testing.assert_array_equal(step.transform(sample(done))["img"], stored)
    np.testing.assert_array_equal(invert(IMAGE), 255 - IMAGE)


def test_a_share_of_the_samples_is_inverted():
    step = TRANSFORMS.build({"type": "SEMInvert", "prob": 0.3})
    inverted = [bool((step.transform(sample(k=k))["img"] != IMAGE).any()) for k in range(300)]
    assert sum(inverted) == pytest.approx(90, abs=32)  # four standard deviations


def test_one_or_more_are_applied_every_number_as_likely():
    parts = [{"type": "SEMMultiply", "factor_range": (0.5, 0.5)}] * 3
    step = OneOrMoreOf(parts)
    factors = [round(float(step.transform(sample(k=k))["img"].mean() / IMAGE.mean()), 3) for k in range(300)]
    counts = {factor: factors.count(factor) for factor in set(factors)}
    assert set(counts) == {0.5, 0.25, 0.125}
    assert min(counts.values()) > 70
    untouched = OneOrMoreOf(parts, prob=0.0).transform(sample())["img"]
    np.testing.assert_array_equal(untouched, IMAGE)


def test_two_noises_of_one_sample_are_independent():
    step = TRANSFORMS.build({"type": "SEMGaussianNoise", "std_range": (4.0, 4.0)})
    results = sample(np.full((90, 90), 128, np.float32))
    first = step.transform(results)["img"] - 128
    second = step.transform(results)["img"] - 128 - first
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_errors_are_one_line():
    with pytest.raises(ValueError, match="sample_seed"):
        sample_generator({})
    with pytest.raises(ValueError, match="SEMContrast"):
        SEMContrast((2.0, 1.0))
    with pytest.raises(ValueError, match="SEMInvert"):
        SEMInvert(prob=1.5)
    with pytest.raises(ValueError, match="OneOrMoreOf"):
        OneOrMoreOf([])
    with pytest.raises(TypeError, match="float64"):
        SEMMultiply(prob=1.0).transform(sample(IMAGE.astype(np.float64)))
