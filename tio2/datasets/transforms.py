"""Random transforms: scaling, crops and transposition, and degradations that vary between SEM images.

The SEM transforms (paper §3.2: blur, contrast, noise, brightness) draw a value from a range with the sample's own
generator, and call a function of `semsize/sem/degradation.py`. The others draw from NumPy's global generator, which
`SeededDataset` seeds, as MMDetection's transforms do.
"""

from abc import abstractmethod

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import RandomCrop, Resize
from mmdet.registry import TRANSFORMS

from semsize.sem.degradation import add_gaussian_noise, change_contrast, gaussian_blur, in_grey_levels, invert, multiply
from tio2.datasets.sampling import sample_generator

# ruff: noqa: NPY002 - SeededDataset seeds NumPy's global generator


@TRANSFORMS.register_module()
class RandomRescale(BaseTransform):
    """Scales image, boxes and masks by a random factor.

    MMCV's RandomResize draws a size of the result around a fixed size. Here the factor has a fixed range, so that the
    enlargement of particles does not depend on the image's size.

    Args:
        ratio_range: Smallest and largest factor; 1 leaves the image as it is.
    """

    def __init__(self, ratio_range: tuple[float, float]):
        self.ratio_range = _checked_range("RandomRescale", ratio_range)

    @cache_randomness
    def draw_factor(self) -> float:
        """Draw a factor uniformly from the range."""
        return float(np.random.uniform(*self.ratio_range))

    def transform(self, results: dict) -> dict:
        """Scale by the drawn factor with MMDetection's Resize."""
        factor = self.draw_factor()
        return Resize(scale_factor=factor, interpolation=_interpolation(factor)).transform(results)


@TRANSFORMS.register_module()
class RandomScaledCrop(BaseTransform):
    """Cuts a random window and scales it to one size: RandomRescale and a crop, without scaling what is cut away.

    With `stretch` above 1 rows and columns are scaled differently, so that the aspect ratio of particles varies.
    If the image is smaller than the window, all of it is scaled, and the result is smaller than `crop_size`.

    Args:
        crop_size: (h, w) of the result in pixels.
        ratio_range: Smallest and largest enlargement; its logarithm is drawn uniformly.
        stretch: Largest ratio of the factors along the two directions, at least 1; 1 keeps the proportions.
    """

    def __init__(self, crop_size: tuple[int, int], ratio_range: tuple[float, float], stretch: float = 1.0):
        self.ratio_range = _checked_range("RandomScaledCrop", ratio_range)
        if stretch < 1:
            raise ValueError(f"RandomScaledCrop: stretch is a ratio of 1 or more, not {stretch}")
        self.crop_size = tuple(crop_size)
        self.stretch = stretch

    @cache_randomness
    def draw_factors(self) -> tuple[float, float]:
        """Draw the vertical and the horizontal enlargement; their geometric mean lies in the range."""
        factor, ratio = np.random.uniform(
            np.log((self.ratio_range[0], 1 / self.stretch)), np.log((self.ratio_range[1], self.stretch))
        )
        return float(np.exp(factor + ratio / 2)), float(np.exp(factor - ratio / 2))

    def transform(self, results: dict) -> dict:
        """Cut with MMDetection's RandomCrop, scale with its Resize."""
        height, width = self.crop_size
        down, across = self.draw_factors()
        window = max(1, round(height / down)), max(1, round(width / across))
        cut = RandomCrop(window[::-1], allow_negative_crop=True, recompute_bbox=True).transform(results)
        whole = cut["img_shape"]
        size = (
            width if whole[1] == window[1] else max(1, round(whole[1] * across)),
            height if whole[0] == window[0] else max(1, round(whole[0] * down)),
        )
        return Resize(scale=size, keep_ratio=False, interpolation=_interpolation(min(down, across))).transform(cut)


def _interpolation(factor: float) -> str:
    """The same interpolation as in tests (`semsize.detecting.looking.enlarged`); below 1 areas are averaged."""
    return "area" if factor < 1 else "bilinear"


def _checked_range(name: str, ratio_range: tuple[float, float]) -> tuple[float, float]:
    low, high = ratio_range
    if not 0 < low <= high:
        raise ValueError(f"{name}: ratio_range is two positive factors, low and high, not {ratio_range}")
    return low, high


@TRANSFORMS.register_module()
class RandomTranspose(BaseTransform):
    """Exchanges rows and columns of image, boxes and masks in a share `prob` of the samples."""

    def __init__(self, prob: float = 0.5):
        if not 0 <= prob <= 1:
            raise ValueError(f"RandomTranspose: prob is a share from 0 to 1, not {prob}")
        self.prob = prob

    @cache_randomness
    def draw(self) -> bool:
        """Whether this sample is transposed."""
        return bool(np.random.uniform() < self.prob)

    def transform(self, results: dict) -> dict:
        """Transpose a share `prob` of the samples."""
        if not self.draw():
            return results
        results["img"] = np.ascontiguousarray(results["img"].swapaxes(0, 1))
        results["img_shape"] = results["img"].shape[:2]
        if "gt_bboxes" in results:
            boxes = results["gt_bboxes"]
            results["gt_bboxes"] = type(boxes)(boxes.tensor[:, [1, 0, 3, 2]])
        if "gt_masks" in results:
            results["gt_masks"] = results["gt_masks"].transpose()
        return results


class _SEMTransform(BaseTransform):
    """Degrades a share `prob` of the images (float32 0-255, or 8 or 16 bits) with a strength drawn uniformly."""

    def __init__(self, value_range: tuple[float, float], prob: float):
        low, high = value_range
        if not (0 <= low <= high and 0 <= prob <= 1):
            raise ValueError(
                f"{type(self).__name__}: a range is 0 <= low <= high and prob 0 to 1, got {value_range}, {prob}"
            )
        self.value_range, self.prob = (low, high), prob

    def transform(self, results: dict) -> dict:
        """Degrade ``img`` in a share `prob` of the samples, each with its own strength."""
        rng = sample_generator(results)
        if rng.random() < self.prob:
            value = float(rng.uniform(*self.value_range))
            results["img"] = in_grey_levels(results["img"], lambda grey: self._degraded(grey, value, rng))
        return results

    @abstractmethod
    def _degraded(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:
        """The image, float32 0-255, degraded with this strength."""


@TRANSFORMS.register_module()
class SEMGaussianBlur(_SEMTransform):
    """Defocus, a Gaussian probe with a standard deviation from `sigma_range`, px."""

    def __init__(self, sigma_range: tuple[float, float] = (0.0, 1.5), prob: float = 1.0):
        super().__init__(sigma_range, prob)

    def _degraded(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        return gaussian_blur(image, value)


@TRANSFORMS.register_module()
class SEMContrast(_SEMTransform):
    """The detector's contrast: distances of grey levels from their mean times a factor from `factor_range`."""

    def __init__(self, factor_range: tuple[float, float] = (0.7, 1.4), prob: float = 1.0):
        super().__init__(factor_range, prob)

    def _degraded(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        return change_contrast(image, value)


@TRANSFORMS.register_module()
class SEMGaussianNoise(_SEMTransform):
    """Electronic noise, white and Gaussian, with a standard deviation from `std_range`, grey levels of 255."""

    def __init__(self, std_range: tuple[float, float] = (0.0, 8.0), prob: float = 1.0):
        super().__init__(std_range, prob)

    def _degraded(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:
        return add_gaussian_noise(image, value, rng)


@TRANSFORMS.register_module()
class SEMMultiply(_SEMTransform):
    """The beam current: all grey levels times one factor from `factor_range`."""

    def __init__(self, factor_range: tuple[float, float] = (0.7, 1.3), prob: float = 1.0):
        super().__init__(factor_range, prob)

    def _degraded(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        return multiply(image, value)


@TRANSFORMS.register_module()
class SEMInvert(_SEMTransform):
    """Inverts a share `prob` of the images, so that dark particles lie on a bright background."""

    def __init__(self, prob: float = 0.5):
        super().__init__((0.0, 0.0), prob)

    def _degraded(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        return invert(image)


@TRANSFORMS.register_module()
class OneOrMoreOf(BaseTransform):
    """Applies one or several of its transforms in random order (paper §3.2: "one or multiple").

    Args:
        transforms: configs; the number of transforms applied is drawn uniformly from one to all.
        prob: share of the images to which any is applied.
    """

    def __init__(self, transforms: list[dict], prob: float = 1.0):
        if not transforms:
            raise ValueError("OneOrMoreOf: give it one transform or more")
        self.transforms = [TRANSFORMS.build(transform) for transform in transforms]
        self.prob = prob

    def transform(self, results: dict) -> dict | None:
        """Apply a random choice of the transforms, in random order."""
        rng = sample_generator(results)
        if rng.random() < self.prob:
            count = int(rng.integers(1, len(self.transforms) + 1))
            for number in rng.permutation(len(self.transforms))[:count]:
                results = self.transforms[number](results)
                if results is None:
                    return None
        return results
