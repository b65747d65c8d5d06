"""Sizes of the fully imaged particles, from outlines of which that is known with a probability only.

Each outline stands for P(fully imaged) · P(particle) particles, times its weight against the border effect. A threshold
in the place of the first would choose by size, since small particles are judged with less confidence than large ones;
with probabilities that are calibrated at every size, the weights give each size its expected number of particles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semsize.metrology.intervals import SamplingInterval, size_intervals
from semsize.metrology.size_distribution import SizeSample


@dataclass(frozen=True, eq=False)
class WeightedPopulation:
    """The outlines that may be fully imaged particles, and what they say of these."""

    sample: SizeSample  # those with a positive weight
    expected_count: float  # fully imaged particles among the outlines: sum of the probabilities, without border weights
    expected_count_std: float  # its standard uncertainty from the probabilities alone, each outline for itself
    intervals: dict[str, SamplingInterval]  # D10, D50, D90 and mean, in the unit of the sizes


def fully_imaged_population(
    sizes: np.ndarray,
    images: np.ndarray,
    *,
    p_fully_imaged: np.ndarray,
    p_particle: np.ndarray,
    border_weights: np.ndarray,
    rng: np.random.Generator,
) -> WeightedPopulation:
    """D10, D50, D90 and mean of the fully imaged particles with intervals from images drawn with repeats.

    The intervals hold the sampling of images; an error that the probabilities share over all images is not in them.

    Args:
        sizes: (N,) of the outlines, positive, in any unit.
        images: (N,) number of the image that each comes from.
        p_fully_imaged: (N,) 0 to 1, that a particle of this outline is fully imaged.
        p_particle: (N,) 0 to 1, that the outline is a particle.
        border_weights: (N,) of `semsize.metrology.border_weights`; NaN for one that touches the border, left out.
        rng: draws the images; of a single image, its outlines are drawn instead.

    Raises:
        ValueError: a probability lies outside 0 to 1, or the lengths differ.

    >>> found = fully_imaged_population(
    ...     [10.0, 20.0, 30.0], [0, 0, 1], p_fully_imaged=np.array([1, 0.5, 0]), p_particle=np.array([1, 1, 1]),
    ...     border_weights=np.ones(3), rng=np.random.default_rng(0))
    >>> found.expected_count, len(found.sample), round(found.intervals["mean"].value, 2)
    (1.5, 2, 13.33)
    """
    arrays = [np.asarray(values, np.float64) for values in (sizes, p_fully_imaged, p_particle, border_weights)]
    sizes, p_fully_imaged, p_particle, border_weights = arrays
    images = np.asarray(images, np.int64)
    if len({array.shape for array in (*arrays, images)}) > 1:
        raise ValueError(f"sizes, probabilities, weights and images must be (N,) each, not {[a.shape for a in arrays]}")
    for name, values in (("fully imaged", p_fully_imaged), ("particle", p_particle)):
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"probabilities of being {name} must lie in 0 to 1")
    probability = np.where(np.isnan(border_weights), 0.0, p_fully_imaged * p_particle)
    kept = probability > 0
    sample = SizeSample(sizes[kept], probability[kept] * border_weights[kept], images[kept])
    variance = float((probability * (1 - probability)).sum())
    return WeightedPopulation(sample, float(probability.sum()), variance**0.5, size_intervals(sample, rng))
