"""Probabilities of a particle's states from the distribution of its visible fraction, and thresholds fitted to people.

A distribution is a row of probabilities over `BINS` equal bins of the visible fraction from 0 to 1, uniform within each
bin. Two thresholds divide it into the classes *complete*, *masked* and *unusable*. Rendered truth has the thresholds of
`semsize.structures.states`; those of people are fitted to the states that they gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import overlaps
from semsize.structures.states import (
    FULLY_IMAGED_FRACTION,
    FULLY_IMAGED_STATES,
    MASKED_FRACTION,
    STATES,
    VISIBILITY_CLASSES,
    assign_states,
)

BINS = 50
THRESHOLD_STEP = 0.005  # of the grid on which thresholds are fitted

_MOST_ROUNDS = 100  # of improving the thresholds and the lapse rate in turn


@dataclass(frozen=True)
class StateThresholds:
    """Least visible fraction, inclusive, of the classes *complete* and *masked*."""

    complete: float = FULLY_IMAGED_FRACTION  # from here on a particle is fully imaged
    masked: float = MASKED_FRACTION  # from here on it is masked, below unusable

    def __post_init__(self):
        if not 0 <= self.masked <= self.complete <= 1:
            raise ValueError(f"thresholds must ascend in 0 to 1, got masked {self.masked}, complete {self.complete}")


@dataclass(frozen=True)
class FittedThresholds:
    """The thresholds under which the given classes are most likely."""

    thresholds: StateThresholds
    lapse_rate: float  # share of particles, 0 to 1, that got one of the three classes at random
    agreement: float  # share of particles whose most probable class is the given one
    particles: int


def class_probabilities(distributions: np.ndarray, thresholds: StateThresholds | None = None) -> np.ndarray:
    """Probability of each of `VISIBILITY_CLASSES`, (N, 3), from (N, K) probabilities over equal bins of the fraction.

    >>> class_probabilities([[0.1, 0.9]], StateThresholds(complete=0.75, masked=0.5))
    array([[0.45, 0.45, 0.1 ]])
    """
    thresholds = thresholds or StateThresholds()
    below_masked, below_complete = cumulative(distributions, (thresholds.masked, thresholds.complete)).T
    return np.column_stack([1 - below_complete, below_complete - below_masked, below_masked])


def cumulative(distributions: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Probability (N, F) that the visible fraction lies below each of F fractions, 0 to 1.

    >>> cumulative([[0.5, 0.5]], (0.25, 0.5, 1.0))
    array([[0.25, 0.5 , 1.  ]])
    """
    distributions = np.asarray(distributions, np.float64)
    if (distributions < 0).any() or not np.allclose(distributions.sum(axis=-1), 1, atol=1e-4):
        raise ValueError("distributions of the visible fraction must be probabilities that add up to 1 in each row")
    bins = distributions.shape[1]
    ends = np.hstack([np.zeros((len(distributions), 1)), np.cumsum(distributions, axis=1)])
    ends /= ends[:, -1:]
    edges = np.clip(np.round(np.asarray(fractions, np.float64) * bins, 9), 0, bins)  # 0.98 * 50 is 49, not 48.99…
    lower = np.minimum(edges.astype(np.int64), bins - 1)
    return ends[:, lower] + (edges - lower) * (ends[:, lower + 1] - ends[:, lower])


def fraction_bins(fractions: np.ndarray) -> np.ndarray:
    """(N,) int64 index of the bin, 0 to `BINS` - 1, of each visible fraction; -1 for NaN.

    >>> fraction_bins([0.0, 0.98, 1.0, np.nan])
    array([ 0, 49, 49, -1])
    """
    numbers = np.minimum(np.round(np.asarray(fractions, np.float64) * BINS, 9), BINS - 1)
    return np.where(np.isnan(numbers), -1, numbers).astype(np.int64)


def mean_fraction(distributions: np.ndarray) -> np.ndarray:
    """Expected visible fraction, (N,), of (N, K) distributions.

    >>> mean_fraction([[0.0, 1.0], [0.5, 0.5]])
    array([0.75, 0.5 ])
    """
    distributions = np.asarray(distributions, np.float64)
    bins = distributions.shape[1]
    return distributions @ ((np.arange(bins) + 0.5) / bins)


def hidden_shares(visible: CroppedMasks, whole: CroppedMasks) -> dict[tuple[int, int], float]:
    """Share of each particle that another one covers, as `assign_states` takes it.

    Args:
        visible: N visible outlines.
        whole: the whole outlines of the same N particles.

    Returns:
        (i, j) → share, above 0, of the whole outline of particle j that the visible outline of particle i covers.

    >>> visible = CroppedMasks.from_label_image(np.array([[1, 1, 2]]))
    >>> whole = CroppedMasks.from_full(np.array([[[1, 1, 0]], [[0, 1, 1]]]))
    >>> hidden_shares(visible, whole)
    {(0, 1): 0.5}
    """
    shared = overlaps(visible, whole)
    rows = zip(shared.first.tolist(), shared.second.tolist(), shared.intersection_px.tolist(), strict=True)
    areas = whole.areas.tolist()
    return {(i, j): pixels / areas[j] for i, j, pixels in rows if i != j}


def state_probabilities(
    visible: CroppedMasks, classes: np.ndarray, hides: Mapping[tuple[int, int], float]
) -> np.ndarray:
    """Probability of each of `STATES`, (N, 5); the neighbours decide which state a fully imaged particle has.

    Args:
        visible: N visible outlines of one image.
        classes: (N, 3) `class_probabilities`.
        hides: `hidden_shares`.

    >>> visible = CroppedMasks.from_label_image(np.array([[1, 0, 0, 0, 2, 3]]))
    >>> state_probabilities(visible, np.array([[0.9, 0.1, 0.0]] * 3), hides={})[:, :4]
    array([[0.9, 0. , 0. , 0.1],
           [0. , 0.9, 0. , 0.1],
           [0. , 0.9, 0. , 0.1]])
    """
    if_complete = assign_states(visible, ["complete"] * len(visible), hides)
    probabilities = np.zeros((len(visible), len(STATES)))
    probabilities[np.arange(len(visible)), [STATES.index(state) for state in if_complete]] = classes[:, 0]
    probabilities[:, len(FULLY_IMAGED_STATES) :] = classes[:, 1:]
    return probabilities


def fit_thresholds(distributions: np.ndarray, classes: Sequence[str]) -> FittedThresholds:
    """Fit thresholds and lapse rate by maximum likelihood to the classes that people gave to N particles.

    The probability of a class is that of its range of fractions, mixed at the lapse rate with one third. The likelihood
    is a proper score: it finds the thresholds that people applied also from broad distributions. Maximising the
    agreement is simpler but moves thresholds to where distributions are narrow. Without a lapse rate, one particle of
    an impossible class would decide the result. The fit starts from the thresholds of best expected agreement and
    improves each of the three numbers in turn until none changes.

    Args:
        distributions: (N, K) of the visible fraction.
        classes: N of `VISIBILITY_CLASSES`, each occurring.

    Raises:
        ValueError: the lengths differ, or a class is unknown or does not occur.

    >>> fitted = fit_thresholds(np.eye(10), ["unusable"] * 3 + ["masked"] * 5 + ["complete"] * 2)
    >>> fitted.thresholds, fitted.agreement
    (StateThresholds(complete=0.8, masked=0.3), 1.0)
    """
    missing = set(VISIBILITY_CLASSES) ^ set(classes)
    if missing or len(classes) != len(distributions):
        raise ValueError(
            f"{len(distributions)} particles need as many classes, each of {VISIBILITY_CLASSES} at least once; "
            f"got {len(classes)}, unknown or missing: {sorted(missing)}"
        )
    grid = np.linspace(0, 1, round(1 / THRESHOLD_STEP) + 1)
    given = {name: np.array([name == other for other in classes]) for name in VISIBILITY_CLASSES}
    below = cumulative(distributions, grid)
    sums = {name: below[chosen].sum(axis=0) for name, chosen in given.items()}
    complete = _middle_of_best(sums["masked"] - sums["complete"])
    masked = min(_middle_of_best(sums["unusable"] - sums["masked"]), complete)
    lapse = 0.0
    for _ in range(_MOST_ROUNDS):
        before = (complete, masked, lapse)
        of_given = _given_probabilities(below, given, [complete], [masked])[:, 0]
        lapse = _fitted_lapse(of_given)
        over = np.arange(masked, len(grid))
        complete = masked + _middle_of_best(_log_likelihood(_given_probabilities(below, given, over, [masked]), lapse))
        under = np.arange(complete + 1)
        masked = _middle_of_best(_log_likelihood(_given_probabilities(below, given, [complete], under), lapse))
        if (complete, masked) == before[:2] and abs(lapse - before[2]) < 1e-6:
            break
    thresholds = StateThresholds(round(float(grid[complete]), 6), round(float(grid[masked]), 6))
    likeliest = class_probabilities(distributions, thresholds).argmax(axis=1)
    right = [VISIBILITY_CLASSES[found] == name for found, name in zip(likeliest.tolist(), classes, strict=True)]
    return FittedThresholds(thresholds, lapse, float(np.mean(right)), len(classes))


def _given_probabilities(
    below: np.ndarray, given: Mapping[str, np.ndarray], complete: Sequence[int], masked: Sequence[int]
) -> np.ndarray:
    """(N, T) probability of each particle's given class, where one of the two thresholds takes T values of the grid."""
    below_complete, below_masked = below[:, complete], below[:, masked]
    shape = (len(below), max(len(complete), len(masked)))
    by_class = {"complete": 1 - below_complete, "masked": below_complete - below_masked, "unusable": below_masked}
    result = np.empty(shape)
    for name, chosen in given.items():
        result[chosen] = np.broadcast_to(by_class[name], shape)[chosen]
    return result


def _log_likelihood(of_given: np.ndarray, lapse: float) -> np.ndarray:
    mixed = (1 - lapse) * of_given + lapse / len(VISIBILITY_CLASSES)
    return np.log(np.maximum(mixed, np.finfo(float).tiny)).sum(axis=0)


def _fitted_lapse(of_given: np.ndarray) -> float:
    """Lapse rate of greatest likelihood; the likelihood is concave in it."""
    return float(minimize_scalar(lambda rate: -_log_likelihood(of_given, rate), bounds=(0, 1), method="bounded").x)


def _middle_of_best(scores: np.ndarray) -> int:
    """The middle position of those with the largest score: all thresholds between two fractions score the same."""
    best = np.flatnonzero(scores >= scores.max() - 1e-9 * max(abs(scores.max()), 1))
    return int(best[len(best) // 2])
