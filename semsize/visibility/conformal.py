"""Split-conformal intervals for the true size of single particles, by predicted visible fraction and predicted size.

In each bin the ratios true / predicted size of a calibration set are sorted; two order statistics are the ends of the
interval of every new particle in the bin. If calibration and new particles come from the same population, the
interval holds at least the stated share of them, whatever the errors' distribution, in each bin (Vovk, Gammerman and
Shafer, Algorithmic learning in a random world, 2005, 4.5; Romano, Patterson and Candès, NeurIPS 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class SizeIntervals:
    """Intervals of true / predicted size in A x B bins of predicted visible fraction and predicted size.

    The outer bins are open: the first holds all values below the second edge, the last all from the last edge but one.
    """

    fraction_edges: np.ndarray  # (A + 1,) ascending
    size_edges: np.ndarray  # (B + 1,) ascending, in the unit of the sizes
    low: np.ndarray  # (A, B) true / predicted; 0 where the bin holds too few particles for an interval
    high: np.ndarray  # (A, B); infinite where the bin holds too few
    counts: np.ndarray  # (A, B) int64, particles of the calibration set
    confidence: float

    def of(self, fractions: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Interval of each particle's true size, (N, 2), in the unit of the sizes.

        Args:
            fractions: (N,) predicted visible fractions.
            sizes: (N,) predicted sizes.
        """
        place = _bins(self.fraction_edges, fractions), _bins(self.size_edges, sizes)
        return np.column_stack([self.low[place], self.high[place]]) * np.asarray(sizes, np.float64)[:, None]


def fit_intervals(
    fractions: np.ndarray,
    predicted: np.ndarray,
    true: np.ndarray,
    *,
    fraction_edges: np.ndarray,
    size_edges: np.ndarray,
    confidence: float = CONFIDENCE,
) -> SizeIntervals:
    """Fit intervals to a calibration set that was used for nothing else.

    The ends are the ratios number floor((n + 1) α/2) and ceil((n + 1) (1 - α/2)) of the n ascending ratios in a bin,
    with α = 1 - confidence. With fewer than 39 ratios at 95 % there are no such ends: the interval is 0 to infinity.

    Args:
        fractions: (N,) predicted visible fractions.
        predicted: (N,) predicted sizes, positive.
        true: (N,) true sizes, positive, in the same unit.
        fraction_edges: (A + 1,) ascending.
        size_edges: (B + 1,) ascending, in the unit of the sizes.
        confidence: share of true sizes that the intervals shall hold.

    >>> predicted = np.full(39, 100.0)
    >>> fitted = fit_intervals(np.ones(39), predicted, predicted + np.arange(39), fraction_edges=[0, 1],
    ...                        size_edges=[0, 200])
    >>> fitted.of([0.9], [200.0])
    array([[200., 276.]])
    """
    fraction_edges, size_edges = (np.asarray(edges, np.float64) for edges in (fraction_edges, size_edges))
    for name, edges in (("fraction_edges", fraction_edges), ("size_edges", size_edges)):
        if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise ValueError(f"{name} must be at least two ascending numbers, got {edges}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if not ((predicted > 0) & (true > 0)).all():
        raise ValueError("predicted and true sizes must be positive; remove empty masks first")
    ratios, shape = true / predicted, (len(fraction_edges) - 1, len(size_edges) - 1)
    low, high, counts = np.zeros(shape), np.full(shape, np.inf), np.zeros(shape, np.int64)
    rows, columns = _bins(fraction_edges, fractions), _bins(size_edges, predicted)
    for place in np.ndindex(shape):
        chosen = np.sort(ratios[(rows == place[0]) & (columns == place[1])])
        counts[place] = len(chosen)
        low[place], high[place] = _ends(chosen, confidence)
    return SizeIntervals(fraction_edges, size_edges, low, high, counts, confidence)


def _ends(ascending: np.ndarray, confidence: float) -> tuple[float, float]:
    number = math.floor(round((len(ascending) + 1) * (1 - confidence) / 2, 9))  # 40 · 0.025 is 1, not 0.9999…
    if number < 1:
        return 0.0, math.inf
    return float(ascending[number - 1]), float(ascending[-number])


def _bins(edges: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(N,) number of each value's bin; a lower edge belongs to its bin."""
    return np.searchsorted(edges[1:-1], np.asarray(values, np.float64), side="right")
