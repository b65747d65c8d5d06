"""What varies between SEM images, as random transforms (paper §3.2): blur, contrast, noise, brightness.

Each draws one value from its range and calls its function in `semsize/sem/degradation.py`. Images are float32 0-255,
or 8 or 16 bits; masks and boxes stay as they are.
"""

from abc import abstractmethod

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from semsize.sem.degradation import (
    add_gaussian_noise,
    change_contrast,
    gaussian_blur,
    in_grey_levels,
    multiply,
)
from tio2.datasets.sample_rng import sample_generator


class _SEMTransform(BaseTransform):
    """One degradation whose strength is drawn anew for each image.

    Args:
        value_range: lowest and highest strength, every value as likely.
        prob: share of the images that are degraded.
    """

    def __init__(self, value_range: tuple[float, float], prob: float):
        low, high = value_range
        if not (0 <= low <= high and 0 <= prob <= 1):
            raise ValueError(
                f"{type(self).__name__}: a range is 0 <= low <= high and prob 0 to 1, got {value_range}, {prob}"
            )
        self.value_range, self.prob = (low, high), prob

    def transform(self, results: dict) -> dict:
        """Degrade ``img``."""
        rng = sample_generator(results)
        if rng.random() < self.prob:
            value = float(rng.uniform(*self.value_range))
            results["img"] = in_grey_levels(results["img"], lambda grey: self.degrade(grey, value, rng))
        return results

    @abstractmethod
    def degrade(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:
        """The image, float32 0-255, degraded with this strength."""


@TRANSFORMS.register_module()
class SEMGaussianBlur(_SEMTransform):
    """Defocus: a Gaussian probe.

    Args:
        sigma_range: its standard deviation, px.
        prob: share of the images that are blurred.
    """

    def __init__(self, sigma_range: tuple[float, float] = (0.0, 1.5), prob: float = 1.0):
        super().__init__(sigma_range, prob)

    def degrade(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """Blurred."""
        return gaussian_blur(image, value)


@TRANSFORMS.register_module()
class SEMContrast(_SEMTransform):
    """The detector's contrast: grey levels drawn apart or together about their mean.

    Args:
        factor_range: of the distances from the mean.
        prob: share of the images that are changed.
    """

    def __init__(self, factor_range: tuple[float, float] = (0.7, 1.4), prob: float = 1.0):
        super().__init__(factor_range, prob)

    def degrade(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """With another contrast."""
        return change_contrast(image, value)


@TRANSFORMS.register_module()
class SEMGaussianNoise(_SEMTransform):
    """Electronic noise, white and Gaussian.

    Args:
        std_range: its standard deviation, grey levels of 255.
        prob: share of the images that get noise.
    """

    def __init__(self, std_range: tuple[float, float] = (0.0, 8.0), prob: float = 1.0):
        super().__init__(std_range, prob)

    def degrade(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:
        """With noise."""
        return add_gaussian_noise(image, value, rng)


@TRANSFORMS.register_module()
class SEMMultiply(_SEMTransform):
    """The beam current: all grey levels times one factor.

    Args:
        factor_range: of the grey levels.
        prob: share of the images that are changed.
    """

    def __init__(self, factor_range: tuple[float, float] = (0.7, 1.3), prob: float = 1.0):
        super().__init__(factor_range, prob)

    def degrade(self, image: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """Brighter or darker."""
        return multiply(image, value)


@TRANSFORMS.register_module()
class OneOrMoreOf(BaseTransform):
    """Applies one or several of its transforms in random order (paper §3.2: "one or multiple").

    Args:
        transforms: configs; how many of them are applied is drawn evenly from one to all.
        prob: share of the images to which any is applied.
    """

    def __init__(self, transforms: list[dict], prob: float = 1.0):
        if not transforms:
            raise ValueError("OneOrMoreOf: give it one transform or more")
        self.transforms = [TRANSFORMS.build(transform) for transform in transforms]
        self.prob = prob

    def transform(self, results: dict) -> dict | None:
        """Apply a random choice."""
        rng = sample_generator(results)
        if rng.random() < self.prob:
            count = int(rng.integers(1, len(self.transforms) + 1))
            for number in rng.permutation(len(self.transforms))[:count]:
                results = self.transforms[number](results)
                if results is None:
                    return None
        return results
