"""Which particles a distribution is of, named; and what leaving others out does to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.size_sample import weighted_quantiles

FULLY_IMAGED_STATES = ("isolated", "complete", "touch_complete")
QUANTITY_FULLY_IMAGED = "fully imaged particles"
QUANTITY_VISIBLE = "visible outlines of all detected particles"


@dataclass(frozen=True, eq=False)
class PopulationSplit:
    """Which of N particles the headline distribution is of.

    Attributes:
        quantity: what is measured, in words: `QUANTITY_FULLY_IMAGED` or `QUANTITY_VISIBLE`.
        states_known: whether any particle has a state.
        headline: (N,) bool: the fully imaged ones; all where no state is known.
        rest: (N,) bool: those known not to be fully imaged; to be shown beside, never mixed in.
        unknown: (N,) bool: those without a state where others have one; in neither.
    """

    quantity: str
    states_known: bool
    headline: np.ndarray
    rest: np.ndarray
    unknown: np.ndarray

    @property
    def unknown_count(self) -> int:
        """Particles in neither distribution."""
        return int(self.unknown.sum())


@dataclass(frozen=True)
class Exclusion:
    """Particles left out for one reason.

    Attributes:
        reason: in words.
        count: particles.
        d50: median by number of all that was kept.
        d50_with: the same with these put back.
    """

    reason: str
    count: int
    d50: float
    d50_with: float

    @property
    def effect_percent(self) -> float:
        """What leaving them out changed D50 by, in % of D50 with them; NaN where nothing was kept."""
        return 100 * (self.d50 - self.d50_with) / self.d50_with


def population(states: Sequence[str | None]) -> PopulationSplit:
    """Splits N particles, those at the border and below the thresholds already left out, by their states."""
    known = np.array([state is not None for state in states], bool)
    if not known.any():
        nobody = np.zeros(len(known), bool)
        return PopulationSplit(QUANTITY_VISIBLE, False, ~nobody, rest=nobody, unknown=nobody)
    full = np.array([state in FULLY_IMAGED_STATES for state in states], bool)
    return PopulationSplit(QUANTITY_FULLY_IMAGED, True, full, rest=known & ~full, unknown=~known)


def exclusion_effects(
    sizes: np.ndarray, weights: np.ndarray, reasons: Mapping[str, np.ndarray]
) -> tuple[Exclusion, ...]:
    """What each reason for leaving particles out does to D50.

    Args:
        sizes: (N,) of all particles, positive.
        weights: (N,); a particle that touches the border has none (NaN) and is put back with 1.
        reasons: reason to (N,) bool. A particle with several counts under the first; one without any is kept.

    Returns:
        One a reason, in order; those without particles too.
    """
    weights = np.where(np.isnan(weights), 1.0, weights)
    left = np.ones(len(sizes), bool)
    groups = {}
    for reason, applies in reasons.items():
        groups[reason] = left & applies
        left &= ~applies
    d50 = _median(sizes, weights, left)
    return tuple(
        Exclusion(reason, int(group.sum()), d50, _median(sizes, weights, left | group))
        for reason, group in groups.items()
    )


def _median(sizes: np.ndarray, weights: np.ndarray, chosen: np.ndarray) -> float:
    return float(weighted_quantiles(sizes[chosen], weights[chosen], (0.5,))[0])
