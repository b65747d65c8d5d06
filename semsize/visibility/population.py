"""Size distributions of several kinds of particles, from outlines whose states are known as probabilities only.

Each outline counts as P(particle) · P(state) particles of a state, times its weight against the border effect. A
threshold on the probability would select by size, since small particles get less certain probabilities than large
ones; if the probabilities are calibrated at every size, the weights give each size its expected number.

An outline may contribute two sizes: its own as a fully imaged particle, and that of the whole particle as a partly
hidden one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy import stats

from semsize.metrology.intervals import (
    CONFIDENCE,
    RESAMPLES,
    STATISTICS,
    SamplingInterval,
    resampled_statistics,
    statistics,
    student_intervals,
)
from semsize.metrology.occlusion import QUANTITY_FULLY_IMAGED, QUANTITY_VISIBLE
from semsize.metrology.size_distribution import SizeSample

QUANTITY_COMPLETED = "particles seen enough for a size, hidden parts completed"
QUANTITY_POWDER = "powder, by the fully imaged particles and how images select them"


@dataclass(frozen=True, eq=False)
class SizedOutlines:
    """Sizes and probabilities of N outlines that are off the border and large enough."""

    sizes: np.ndarray  # (N,) of the outlines, positive, in any unit
    whole_sizes: np.ndarray  # (N,) of the whole particles; NaN where too little is seen
    fully_imaged: np.ndarray  # (N,) probability, 0 to 1, that the outline is a fully imaged particle
    masked: np.ndarray  # (N,) probability of a partly hidden particle
    unusable: np.ndarray  # (N,) probability of a particle of which less than 0.4 is seen
    border_weights: np.ndarray  # (N,) of `semsize.metrology.border_weights`, positive
    images: np.ndarray  # (N,) number of the outline's image

    def __post_init__(self):
        shapes = {getattr(self, field.name).shape for field in fields(self)}
        if len(shapes) > 1:
            raise ValueError(f"sizes, probabilities, weights and images must be (N,) each, not {sorted(shapes)}")
        for name in ("fully_imaged", "masked", "unusable"):
            values = getattr(self, name)
            if not ((values >= 0) & (values <= 1)).all():
                raise ValueError(f"probabilities of being {name.replace('_', ' ')} must lie in 0 to 1")


@dataclass(frozen=True)
class Ratio:
    """A statistic divided by the same one of the fully imaged particles, with its 95 % interval."""

    value: float
    low: float  # NaN, like high, with fewer than two outlines
    high: float

    @property
    def is_shown(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low > 1 or self.high < 1


@dataclass(frozen=True)
class PopulationSizes:
    """D10, D50, D90 and mean of one kind of particles, by number and by volume of spheres of that diameter."""

    quantity: str  # which particles, in words
    expected_count: float  # particles among the outlines: sum of their probabilities, without border weights
    number: dict[str, SamplingInterval]  # by number
    volume: dict[str, SamplingInterval]  # by volume
    number_ratio: dict[str, Ratio]  # to the fully imaged particles, by the same draws of images
    volume_ratio: dict[str, Ratio]


@dataclass(frozen=True, eq=False)
class _Members:
    """The sizes of a population, and the outline that each comes from."""

    quantity: str
    sample: SizeSample
    outlines: np.ndarray
    expected_count: float

    def by_volume(self) -> SizeSample:
        """The sample with each size weighted by the volume of its sphere."""
        return SizeSample(self.sample.sizes, self.sample.volumes, self.sample.images)


def compare_populations(outlines: SizedOutlines, seed: int) -> tuple[PopulationSizes, ...]:
    """Compare fully imaged particles, these with completed partly hidden ones, and all visible outlines.

    Intervals and ratios contain the sampling of images (of outlines, if there is a single image) by bootstrap. Errors
    of the probabilities or the completions that all images share are not in them.

    Args:
        outlines: N outlines.
        seed: of the draws; every population gets the same ones.

    >>> half = np.full(2, 0.5)
    >>> outlines = SizedOutlines(np.array([10.0, 20.0]), np.array([10.0, 40.0]), half, half, 0 * half, np.ones(2),
    ...     np.array([0, 1]))
    >>> full, completed, visible = compare_populations(outlines, seed=0)
    >>> full.expected_count, full.number["mean"].value, completed.expected_count, completed.number["mean"].value
    (1.0, 15.0, 2.0, 20.0)
    """
    full = outlines.fully_imaged
    of_whole = np.where(np.isnan(outlines.whole_sizes), 0.0, outlines.masked)
    kinds = (
        _members(QUANTITY_FULLY_IMAGED, outlines, [(outlines.sizes, full)]),
        _members(QUANTITY_COMPLETED, outlines, [(outlines.sizes, full), (outlines.whole_sizes, of_whole)]),
        _members(QUANTITY_VISIBLE, outlines, [(outlines.sizes, np.ones(len(full)))]),
    )
    image_numbers = np.unique(outlines.images, return_inverse=True)[1]
    units = image_numbers if image_numbers.max(initial=0) > 0 else np.arange(len(full))
    dof = int(units.max(initial=0))
    number = [_drawn(kind.sample, units[kind.outlines], dof + 1, seed) for kind in kinds]
    volume = [_drawn(kind.by_volume(), units[kind.outlines], dof + 1, seed) for kind in kinds]
    lacks_units = [len(np.unique(units[kind.outlines])) <= dof for kind in kinds]  # such a kind needs draws of its own
    return tuple(
        PopulationSizes(
            kind.quantity,
            kind.expected_count,
            _intervals(kind.sample, kind.outlines, None if alone else by_number, seed),
            _intervals(kind.by_volume(), kind.outlines, None if alone else by_volume, seed),
            _ratios(kind.sample, kinds[0].sample, by_number, number[0], dof),
            _ratios(kind.by_volume(), kinds[0].by_volume(), by_volume, volume[0], dof),
        )
        for kind, by_number, by_volume, alone in zip(kinds, number, volume, lacks_units, strict=True)
    )


def unsized_count(outlines: SizedOutlines) -> float:
    """Expected number of particles of which too little is seen for a size."""
    return float((outlines.unusable + np.where(np.isnan(outlines.whole_sizes), outlines.masked, 0.0)).sum())


def _members(quantity: str, outlines: SizedOutlines, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> _Members:
    """Join pairs of sizes and probabilities (N,) of the outlines; sizes of probability 0 are left out."""
    sizes, probabilities = (np.concatenate(values) for values in zip(*parts, strict=True))
    number = np.tile(np.arange(len(outlines.sizes)), len(parts))
    kept = probabilities > 0
    number, weights = number[kept], probabilities[kept] * outlines.border_weights[number[kept]]
    sample = SizeSample(sizes[kept], weights, outlines.images[number])
    return _Members(quantity, sample, number, float(probabilities.sum()))


def _drawn(sample: SizeSample, units: np.ndarray, count: int, seed: int) -> np.ndarray | None:
    """(RESAMPLES, 4) statistics of bootstrap samples; None without sizes or with fewer than two units."""
    if not len(sample) or count < 2:
        return None
    return resampled_statistics(sample, np.random.default_rng(seed), RESAMPLES, units, count)


def _intervals(
    sample: SizeSample, outlines: np.ndarray, drawn: np.ndarray | None, seed: int
) -> dict[str, SamplingInterval]:
    """Intervals of a population, by bootstrap over the images that it occurs in, or over the outlines of a single one.

    Args:
        sample: N sizes.
        outlines: (N,) number of the outline that each comes from; an outline may have two.
        drawn: statistics of the bootstrap samples; None: they are drawn here.
        seed: of the draws.
    """
    units = np.unique(sample.images if sample.image_count > 1 else outlines, return_inverse=True)[1]
    count = int(units.max(initial=-1)) + 1
    drawn = _drawn(sample, units, count, seed) if drawn is None else drawn
    return student_intervals(sample, drawn, len(np.unique(outlines)), count)


def _ratios(
    sample: SizeSample, base: SizeSample, drawn: np.ndarray | None, base_drawn: np.ndarray | None, dof: int
) -> dict[str, Ratio]:
    """Statistic → ratio, with Student's interval on the logarithm, as for the statistics themselves."""
    ratios = statistics(sample) / statistics(base)
    reach = np.full(len(STATISTICS), np.nan)
    if drawn is not None and base_drawn is not None:
        drawn_ratios = drawn / base_drawn  # NaN where no drawn image has a member
        spread = np.nanstd(np.log(drawn_ratios), axis=0) * np.sqrt((dof + 1) / dof)
        reach = np.exp(stats.t.ppf((1 + CONFIDENCE) / 2, dof) * spread)
    rows = zip(ratios, ratios / reach, ratios * reach, strict=True)
    return {name: Ratio(*map(float, row)) for name, row in zip(STATISTICS, rows, strict=True)}
