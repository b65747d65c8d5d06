"""Sizes of several kinds of particles, from outlines of which it is known with a probability only what is seen of them.

Each outline stands for P(particle) · P(state) particles of a state, times its weight against the border effect. A
threshold in the place of the probability would choose by size, since small particles are judged with less confidence
than large ones; with probabilities that are calibrated at every size, the weights give each size its expected number.

One outline may stand for two sizes: its own where the particle is fully imaged, that of the whole particle where it is
partly hidden.
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
    """N outlines off the border and large enough, with what is known of the particles behind them."""

    sizes: np.ndarray  # (N,) of the outlines, positive, in any unit
    whole_sizes: np.ndarray  # (N,) of the whole particles; NaN where too little is seen
    fully_imaged: np.ndarray  # (N,) probability, 0 to 1, that the outline is a fully imaged particle
    masked: np.ndarray  # (N,) that it is one partly hidden
    unusable: np.ndarray  # (N,) that it is one of which less than 0.4 is seen
    border_weights: np.ndarray  # (N,) of `semsize.metrology.border_weights`, positive
    images: np.ndarray  # (N,) number of the image that each comes from

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
    low: float  # NaN below two outlines, as is high
    high: float

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 1."""
        return self.low > 1 or self.high < 1


@dataclass(frozen=True)
class PopulationSizes:
    """D10, D50, D90 and mean of one kind of particles, by number and by volume of spheres of that diameter."""

    quantity: str  # which particles, in words
    expected_count: float  # particles among the outlines: sum of their probabilities, without border weights
    number: dict[str, SamplingInterval]  # by number
    volume: dict[str, SamplingInterval]  # by volume
    number_ratio: dict[str, Ratio]  # to the fully imaged ones, the same images drawn for both
    volume_ratio: dict[str, Ratio]


@dataclass(frozen=True, eq=False)
class _Members:
    """What a population is made of: sizes, and the outline that each comes from."""

    quantity: str
    sample: SizeSample
    outlines: np.ndarray
    expected_count: float

    def by_volume(self) -> SizeSample:
        """The same, each weighted with the volume of a sphere."""
        return SizeSample(self.sample.sizes, self.sample.volumes, self.sample.images)


def compare_populations(outlines: SizedOutlines, seed: int) -> tuple[PopulationSizes, ...]:
    """Fully imaged particles; with them those partly hidden, completed; and visible outlines as if none were hidden.

    Intervals and ratios hold the sampling of images, which are drawn with repeats; an error that the probabilities or
    the completions share over all images is not in them. Of a single image its outlines are drawn.

    Args:
        outlines: N of them.
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
    places = np.unique(outlines.images, return_inverse=True)[1]
    units = places if places.max(initial=0) > 0 else np.arange(len(full))
    dof = int(units.max(initial=0))
    number = [_drawn(kind.sample, units[kind.outlines], dof + 1, seed) for kind in kinds]
    volume = [_drawn(kind.by_volume(), units[kind.outlines], dof + 1, seed) for kind in kinds]
    lacks_units = [len(np.unique(units[kind.outlines])) <= dof for kind in kinds]  # the paired draws are not its own
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
    """Sizes and probabilities (N,) of the outlines, joined; those of probability 0 are left out."""
    sizes, probabilities = (np.concatenate(values) for values in zip(*parts, strict=True))
    number = np.tile(np.arange(len(outlines.sizes)), len(parts))
    kept = probabilities > 0
    number, weights = number[kept], probabilities[kept] * outlines.border_weights[number[kept]]
    sample = SizeSample(sizes[kept], weights, outlines.images[number])
    return _Members(quantity, sample, number, float(probabilities.sum()))


def _drawn(sample: SizeSample, units: np.ndarray, count: int, seed: int) -> np.ndarray | None:
    """(RESAMPLES, 4) statistics; None without a member, or a second unit."""
    if not len(sample) or count < 2:
        return None
    return resampled_statistics(sample, np.random.default_rng(seed), RESAMPLES, units, count)


def _intervals(
    sample: SizeSample, outlines: np.ndarray, drawn: np.ndarray | None, seed: int
) -> dict[str, SamplingInterval]:
    """Intervals of a population: its own images are drawn, or in a single one its own outlines.

    Args:
        sample: N sizes.
        outlines: (N,) number of the outline that each comes from; an outline may have two.
        drawn: statistics of such draws; None makes them.
        seed: of the draws.
    """
    units = np.unique(sample.images if sample.image_count > 1 else outlines, return_inverse=True)[1]
    count = int(units.max(initial=-1)) + 1
    drawn = _drawn(sample, units, count, seed) if drawn is None else drawn
    return student_intervals(sample, drawn, len(np.unique(outlines)), count)


def _ratios(
    sample: SizeSample, base: SizeSample, drawn: np.ndarray | None, base_drawn: np.ndarray | None, dof: int
) -> dict[str, Ratio]:
    """Statistic to its ratio; the interval is Student's on the logarithm, as that of the statistics themselves."""
    ratios = statistics(sample) / statistics(base)
    reach = np.full(len(STATISTICS), np.nan)
    if drawn is not None and base_drawn is not None:
        drawn_ratios = drawn / base_drawn  # NaN where an image that was drawn has no member
        spread = np.nanstd(np.log(drawn_ratios), axis=0) * np.sqrt((dof + 1) / dof)
        reach = np.exp(stats.t.ppf((1 + CONFIDENCE) / 2, dof) * spread)
    rows = zip(ratios, ratios / reach, ratios * reach, strict=True)
    return {name: Ratio(*map(float, row)) for name, row in zip(STATISTICS, rows, strict=True)}
