"""Which particles a size distribution is of, and how leaving others out changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.size_distribution import weighted_quantiles

FULLY_IMAGED_STATES = ("isolated", "complete", "touch_complete")
QUANTITY_FULLY_IMAGED = "fully imaged particles"
QUANTITY_VISIBLE = "visible outlines of all detected particles"


@dataclass(frozen=True, eq=False)
class PopulationSplit:
    """Which of N particles are left out of the headline distribution; where no state is known, none is."""

    quantity: str  # what is measured, in words: `QUANTITY_FULLY_IMAGED` or `QUANTITY_VISIBLE`
    states_known: bool  # whether any particle has a state
    not_fully_imaged: np.ndarray  # (N,) bool, by their state: to be shown beside the others, never mixed in
    unknown: np.ndarray  # (N,) bool: without a state where others have one, and in neither distribution


@dataclass(frozen=True)
class Exclusion:
    """Particles left out for one reason."""

    reason: str  # in words
    count: int  # particles
    d50: float  # median by number of all that was kept
    d50_with: float  # median with these put back

    @property
    def effect_percent(self) -> float:
        """What leaving them out changed D50 by, in % of D50 with them; NaN where nothing was kept."""
        return 100 * (self.d50 - self.d50_with) / self.d50_with


def population(states: Sequence[str | None]) -> PopulationSplit:
    """Splits N particles, those at the border and below the thresholds already left out, by their states.

    >>> population(["complete", "masked", None]).not_fully_imaged
    array([False,  True, False])
    """
    known = np.array([state is not None for state in states], bool)
    if not known.any():
        return PopulationSplit(QUANTITY_VISIBLE, False, not_fully_imaged=known, unknown=known)
    full = np.array([state in FULLY_IMAGED_STATES for state in states], bool)
    return PopulationSplit(QUANTITY_FULLY_IMAGED, True, not_fully_imaged=known & ~full, unknown=~known)


def exclusion_effects(
    sizes: np.ndarray, weights: np.ndarray, reasons: Mapping[str, np.ndarray]
) -> tuple[Exclusion, ...]:
    """By how much each reason for leaving particles out changes D50, in order, also where it applies to none.

    Args:
        sizes: (N,) of all particles, positive.
        weights: (N,); a particle that touches the border has none (NaN) and is put back with 1.
        reasons: reason to (N,) bool. A particle with several counts under the first; one without any is kept.

    >>> sizes, weights = np.array([10.0, 20.0, 30.0]), np.array([np.nan, 1.0, 1.0])
    >>> exclusion_effects(sizes, weights, {"border": np.array([True, False, False])})
    (Exclusion(reason='border', count=1, d50=25.0, d50_with=20.0),)
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
