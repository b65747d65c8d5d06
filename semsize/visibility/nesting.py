"""The error of a size distribution as a chain of steps, each from one population to the next.

On images of known truth the populations lead from the true particles to those that a measurement reports. The effect
of a step is the ratio of a statistic (D10, D50, D90, mean) between its two populations; the product of all ratios is
the total error, so that nothing counts twice.

Legend: M outlines found in an image, N true particles of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from semsize.metrology.intervals import STATISTICS, resampled_statistics, statistics
from semsize.metrology.occlusion import AREA_FRACTION_EDGES, between_image_std
from semsize.metrology.size_distribution import SizeSample
from semsize.structures.states import VISIBILITY_CLASSES

IMAGE_RESAMPLES = 200  # of the particles of one image, for the variance of its effects
POOLED_RESAMPLES = 500  # of images
OUTLINE, SELECTION = "outline", "selection"
"""The step from true to found outlines, which a detector's bias record corrects."""

FULLY_IMAGED_STEPS = ("overlooked", OUTLINE, "states", "false")
COMPLETED_STEPS = ("overlooked", OUTLINE, "completion", "states", "false")
"""Steps from true to reported sizes of fully imaged particles, and of these with completed partly hidden ones."""

FULL, MASKED = (VISIBILITY_CLASSES.index(name) for name in ("complete", "masked"))

FEWEST_PARTICLES = 5  # that an image needs in both populations of a step for the spread between images


@dataclass(frozen=True, eq=False)
class Population:
    """Sizes in one image, each with the unit that is drawn when the image's particles are resampled."""

    sizes: np.ndarray  # (K,) positive
    weights: np.ndarray  # (K,) positive
    units: np.ndarray  # (K,) numbers from 0: a found outline and the true particle that it matches are one unit


@dataclass(frozen=True, eq=False)
class ImageSteps:
    """The populations of one image, from the true to the reported one, and its density."""

    populations: tuple[Population, ...]
    units: int  # number of units
    area_fraction: float  # of the found masks


@dataclass(frozen=True, eq=False)
class MatchedOutlines:
    """The N true particles and the M outlines found in an image, with what a measurement says of each outline."""

    true_sizes: np.ndarray  # (N,) of the visible outline if fully imaged, else of the whole particle; NaN not known
    true_visible_sizes: np.ndarray  # (N,) of the visible outlines
    true_classes: np.ndarray  # (N,) place in VISIBILITY_CLASSES
    true_weights: np.ndarray  # (N,) of `semsize.metrology.border_weights`; NaN at the border
    true_off_border: np.ndarray  # (N,) bool
    sizes: np.ndarray  # (M,) of the outlines, as reported
    whole_sizes: np.ndarray  # (M,) of the whole particles, as reported; NaN where too little is seen
    classes: np.ndarray  # (M, 3) probabilities of VISIBILITY_CLASSES
    is_particle: np.ndarray  # (M,) probability
    weights: np.ndarray  # (M,) of `border_weights`, as for the true particles
    partner: np.ndarray  # (M,) number of the true particle that an outline matches, -1 none
    counted: np.ndarray  # (M,) bool, off the border and in no region to ignore
    area_fraction: float  # of all found masks

    def fully_imaged(self) -> ImageSteps:
        """The populations of `FULLY_IMAGED_STEPS`."""
        return self._steps([FULL], [(self.sizes, self.classes[:, FULL])], self.sizes)

    def completed(self) -> ImageSteps:
        """The populations of `COMPLETED_STEPS`."""
        of_whole = np.where(np.isnan(self.whole_sizes), 0.0, self.classes[:, MASKED])
        outlined = self._of_partner(self.true_sizes) * self.sizes / self._of_partner(self.true_visible_sizes)
        completed = np.where(np.isnan(self.whole_sizes), outlined, self.whole_sizes)
        is_full = self._of_partner(self.true_classes) == FULL
        between = (np.where(is_full, self.sizes, sizes) for sizes in (outlined, completed))
        return self._steps(
            [FULL, MASKED], [(self.sizes, self.classes[:, FULL]), (self.whole_sizes, of_whole)], *between
        )

    def _of_partner(self, values: np.ndarray) -> np.ndarray:
        """(M,) value of the particle that each outline matches; NaN without a match."""
        return np.append(values, np.nan)[self.partner]

    def _steps(
        self, usable: Sequence[int], end: Sequence[tuple[np.ndarray, np.ndarray]], *between: np.ndarray
    ) -> ImageSteps:
        """The populations from the true particles to the reported ones.

        In order: all usable particles; the found ones at their true sizes, then at each of the sizes `between`;
        outlines that match any particle, weighted by their probability of a usable class; all outlines, weighted by
        this probability times that of being a particle.

        Args:
            usable: classes of the particles that ought to be reported.
            end: sizes (M,) of the outlines and probabilities (M,) of being a usable particle of that size.
            between: sizes (M,) of the outlines after each step between truth and report.
        """
        units = np.arange(len(self.partner))
        known = np.isin(self.true_classes, usable) & ~np.isnan(self.true_sizes) & self.true_off_border
        matched = (self.partner >= 0) & self.counted
        there = matched & (self._of_partner(known) == 1)
        true_units = len(units) + np.arange(len(known))
        true_units[self.partner[self.partner >= 0]] = units[self.partner >= 0]
        particle = self.counted * self.is_particle
        populations = (
            population([(self.true_sizes, known)], self.true_weights, true_units),
            *(population([(s, there)], self.weights, units) for s in (self._of_partner(self.true_sizes), *between)),
            population([(sizes, matched * chance) for sizes, chance in end], self.weights, units),
            population([(sizes, particle * chance) for sizes, chance in end], self.weights, units),
        )
        return ImageSteps(populations, len(units) + len(known), self.area_fraction)


def population(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], border_weights: np.ndarray, units: np.ndarray
) -> Population:
    """Join pairs of sizes and probabilities (K,) of K particles or outlines; sizes of probability 0 are left out."""
    sizes, probabilities = (np.concatenate(values) for values in zip(*parts, strict=True))
    kept = probabilities > 0
    place = np.tile(np.arange(len(units)), len(parts))[kept]
    return Population(sizes[kept], probabilities[kept] * border_weights[place], units[place])


@dataclass(frozen=True)
class StatisticEffect:
    """Effect of a step on one statistic: the logarithm of the ratio after / before."""

    statistic: str  # of `STATISTICS`
    effect: float
    standard_error: float  # from images drawn with repeats
    between_image_std: float  # standard deviation of the effect between images, less the sampling of particles
    dof: float  # degrees of freedom of both uncertainties

    @property
    def log_std(self) -> float:
        """Standard uncertainty in other images if the effect is not corrected: the effect itself counts in full."""
        return float(np.sqrt(self.effect**2 + self.corrected_std**2))

    @property
    def corrected_std(self) -> float:
        """Standard uncertainty in other images if the effect is corrected."""
        return float(np.hypot(self.standard_error, self.between_image_std))


@dataclass(frozen=True)
class StepEffects:
    """The name of a step and its effect on each of `STATISTICS`."""

    name: str
    effects: tuple[StatisticEffect, ...]

    def of(self, statistic: str) -> StatisticEffect:
        """The effect on a statistic."""
        return next(effect for effect in self.effects if effect.statistic == statistic)


@dataclass(frozen=True)
class DensityStep:
    """A step in the images of one class of density."""

    low: float  # lower end of the class: an image's area fraction of found masks, included
    high: float  # upper end
    images: int
    step: StepEffects


@dataclass(frozen=True)
class EffectSpread:
    """Limits, symmetric about 0, of the error of a step's effect on one statistic; no value within is more likely."""

    statistic: str  # of `STATISTICS`
    half_width: float  # of the logarithm of the ratio after / before


@dataclass(frozen=True)
class DensitySpread:
    """Limits of the errors of a step's effects in the images of one class of density."""

    low: float  # lower end of the class, as in `DensityStep`
    high: float  # upper end
    effects: tuple[EffectSpread, ...]


OfDensity = TypeVar("OfDensity", DensityStep, DensitySpread)


def step_effects(names: Sequence[str], images: Sequence[ImageSteps], seed: int = 0) -> tuple[StepEffects, ...]:
    """Effects of the steps between neighbouring populations; the logarithms add up to that of the total.

    Args:
        names: of the S steps.
        images: at least two, with S + 1 populations each.
        seed: of the draws, the same for all populations, so that their ratios are paired.

    Raises:
        ValueError: there are fewer than two images, or a population is empty in all of them.

    >>> def image(*sizes):
    ...     return ImageSteps(tuple(Population(np.full(9, s), np.ones(9), np.arange(9)) for s in sizes), 9, 0.1)
    >>> outline, state = step_effects(["outline", "state"], [image(10.0, 11.0, 9.9)] * 2)
    >>> round(outline.of("D50").effect, 4), round(outline.of("D50").effect + state.of("D50").effect, 4)
    (0.0953, -0.0101)
    """
    if len(images) < 2:
        raise ValueError(f"{len(images)} images cannot tell how images differ; give two or more")
    samples = [pooled([image.populations[number] for image in images]) for number in range(len(names) + 1)]
    if not all(map(len, samples)):
        raise ValueError(f"there is no particle in one of the {len(samples)} populations to compare")
    values = np.log([statistics(sample) for sample in samples])
    drawn = np.log(
        [
            resampled_statistics(sample, np.random.default_rng(seed), POOLED_RESAMPLES, sample.images, len(images))
            for sample in samples
        ]
    )
    errors = np.nanstd(np.diff(drawn, axis=0), axis=1) * np.sqrt(len(images) / (len(images) - 1))  # (S, 4)
    single = [_single(image, seed) for image in images]
    return tuple(
        StepEffects(
            name,
            tuple(
                StatisticEffect(
                    statistic,
                    float(values[step + 1, column] - values[step, column]),
                    float(errors[step, column]),
                    _between(single, step, column),
                    float(len(images) - 1),
                )
                for column, statistic in enumerate(STATISTICS)
            ),
        )
        for step, name in enumerate(names)
    )


def steps_by_density(name: str, images: Sequence[ImageSteps], seed: int = 0) -> tuple[DensityStep, ...]:
    """One step in each class of `AREA_FRACTION_EDGES` with two images and no empty population."""
    place = np.searchsorted(AREA_FRACTION_EDGES, [image.area_fraction for image in images], side="right") - 1
    place = np.clip(place, 0, len(AREA_FRACTION_EDGES) - 2)
    classes = []
    for number in sorted(set(place.tolist())):
        members = [image for image, of_image in zip(images, place, strict=True) if of_image == number]
        if len(members) > 1 and all(any(len(m.populations[k].sizes) for m in members) for k in (0, 1)):
            [step] = step_effects([name], members, seed)
            low, high = map(float, AREA_FRACTION_EDGES[number : number + 2])
            classes.append(DensityStep(low, high, len(members), step))
    return tuple(classes)


def at_density(classes: Sequence[OfDensity], area_fraction: float) -> OfDensity | None:
    """The class of an area fraction, or the class nearest to it; None without classes."""
    distance = [max(density.low - area_fraction, area_fraction - density.high, 0.0) for density in classes]
    return classes[int(np.argmin(distance))] if classes else None


def pooled(parts: Sequence[Population]) -> SizeSample:
    """Join the populations of several images to one sample, whose images are numbered in their order."""
    images = np.repeat(np.arange(len(parts)), [len(part.sizes) for part in parts])
    return SizeSample(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("sizes", "weights")), images
    )


def _single(image: ImageSteps, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Effects (S, 4) in one image and their variances by resampling its particles; NaN with too few particles."""
    steps = len(image.populations) - 1
    enough = np.array([len(part.sizes) >= FEWEST_PARTICLES for part in image.populations])
    values = np.full((steps + 1, len(STATISTICS)), np.nan)
    drawn = np.full((steps + 1, IMAGE_RESAMPLES, len(STATISTICS)), np.nan)
    for number in np.flatnonzero(enough).tolist():
        part = image.populations[number]
        sample, rng = pooled([part]), np.random.default_rng(seed)
        values[number] = statistics(sample)
        drawn[number] = resampled_statistics(sample, rng, IMAGE_RESAMPLES, part.units, image.units)
    with np.errstate(invalid="ignore"):
        variances = np.full((steps, len(STATISTICS)), np.nan)
        for step in np.flatnonzero(enough[1:] & enough[:-1]).tolist():
            variances[step] = np.nanvar(np.log(drawn[step + 1] / drawn[step]), axis=0)
    return np.diff(np.log(values), axis=0), variances


def _between(single: Sequence[tuple[np.ndarray, np.ndarray]], step: int, column: int) -> float:
    effects, variances = (np.array([part[kind][step, column] for part in single]) for kind in (0, 1))
    known = ~(np.isnan(effects) | np.isnan(variances))
    return between_image_std([effects[known]], [variances[known]]) if known.sum() > 1 else 0.0
