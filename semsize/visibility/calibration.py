"""Calibration of probabilities: temperature scaling, reliability table, expected calibration error.

Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar

RELIABILITY_BINS = 10
_CONFIDENCE = 0.95
_TEMPERATURES = (0.01, 100.0)  # range of the search


@dataclass(frozen=True)
class ReliabilityBin:
    """Statements of about the same probability, and how often they were right."""

    low: float  # lower end of the bin of probabilities, included
    high: float  # upper end, included in the last bin only
    count: int  # statements
    stated: float  # mean probability; NaN without statements, like the three fields below
    observed: float  # share that was right
    observed_low: float  # lower end of the 95 % interval of that share (Clopper and Pearson)
    observed_high: float  # upper end


def fit_temperature(probabilities: np.ndarray, labels: Sequence[int]) -> float:
    """Return the temperature, 0.01 to 100, under which the labels are most likely.

    One temperature keeps the order of each particle's classes, lets rows add up to 1, and is well determined by few
    images. A monotone curve for each class (isotonic regression) may change that order and needs many images.

    Args:
        probabilities: (N, K), each row adds up to 1; K is 2 for a yes or no.
        labels: (N,) index of the true class, 0 to K - 1.

    >>> stated = np.tile([0.99, 0.01], (10, 1))  # right in 9 of 10
    >>> temperature = fit_temperature(stated, [0] * 9 + [1])
    >>> with_temperature(stated[:1], temperature).round(3)
    array([[0.9, 0.1]])
    """
    logs, labels = _logs(probabilities), np.asarray(labels, np.int64)
    if len(labels) != len(logs) or not len(labels):
        raise ValueError(f"{len(logs)} rows of probabilities need as many labels and at least one, got {len(labels)}")

    def loss(log_temperature: float) -> float:
        return -float(_log_softmax(logs / np.exp(log_temperature))[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(N, K) probabilities raised to the power 1 / temperature, each row adding up to 1 again.

    >>> with_temperature(np.array([[0.8, 0.2]]), 2.0).round(3)
    array([[0.667, 0.333]])
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    return np.exp(_log_softmax(_logs(probabilities) / temperature))


def reliability_table(
    probabilities: np.ndarray, is_right: np.ndarray, bins: int = RELIABILITY_BINS
) -> list[ReliabilityBin]:
    """Compare stated probabilities with the share of right statements, in equal bins from 0 to 1.

    Args:
        probabilities: (N,) stated probabilities, 0 to 1, for example of each particle's most probable state.
        is_right: (N,) bool, whether the statement was right.
        bins: number of bins.

    >>> [last] = reliability_table([0.6, 0.8], [True, False], bins=1)
    >>> last.count, last.stated, last.observed
    (2, 0.7, 0.5)
    """
    probabilities, is_right = np.asarray(probabilities, np.float64), np.asarray(is_right, bool)
    if probabilities.shape != is_right.shape or probabilities.ndim != 1:
        raise ValueError(f"probabilities and outcomes must be (N,) each, not {probabilities.shape}, {is_right.shape}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie in 0 to 1")
    place = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    table = []
    for number in range(bins):
        chosen = place == number
        count, right = int(chosen.sum()), int(is_right[chosen].sum())
        stated = float(probabilities[chosen].mean()) if count else float("nan")
        observed = right / count if count else float("nan")
        interval = _binomial_interval(right, count)
        table.append(ReliabilityBin(number / bins, (number + 1) / bins, count, stated, observed, *interval))
    return table


def expected_calibration_error(table: Sequence[ReliabilityBin]) -> float:
    """Mean over all statements of |stated - observed| of their bin, 0 to 1; NaN without statements.

    >>> expected_calibration_error(reliability_table([0.75] * 4, [True, True, True, False]))
    0.0
    """
    filled = [row for row in table if row.count]
    if not filled:
        return float("nan")
    gaps = [abs(row.stated - row.observed) for row in filled]
    return float(np.average(gaps, weights=[row.count for row in filled]))


def _binomial_interval(right: int, count: int) -> tuple[float, float]:
    if not count:
        return float("nan"), float("nan")
    interval = stats.binomtest(right, count).proportion_ci(_CONFIDENCE, method="exact")
    return float(interval.low), float(interval.high)


def _logs(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))


def _log_softmax(logs: np.ndarray) -> np.ndarray:
    logs = logs - logs.max(axis=1, keepdims=True)
    return logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
