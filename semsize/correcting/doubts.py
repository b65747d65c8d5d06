"""How doubtful an outline is: the page shows the most doubtful images first, and stops at their doubtful outlines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from semsize.correcting.operations import Corrections
from semsize.measuring.results_folder import ImageResult
from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import overlaps
from semsize.structures.states import STATES, VISIBILITY_CLASSES, class_of_state

DOUBTFUL = 0.4
"""Doubt from which on the page stops at an outline."""


def doubts_of(corrections: Corrections, result: ImageResult, least_score: float) -> dict[int, float]:
    """Id to doubt of each outline: the largest of `outline_doubts` and `prediction_doubts`; drawn ones have score 1."""
    numbers = sorted(corrections.outlines)
    scores = np.array([result.scores[number - 1] if number <= len(result.scores) else 1.0 for number in numbers])
    doubts = dict(zip(numbers, outline_doubts(corrections.masks(numbers), scores, least_score).tolist(), strict=True))
    if result.seen:
        has_state = np.array([state is not None for state in result.states], bool)
        predicted = prediction_doubts(result.seen, has_state).tolist()
        doubts |= {number: max(doubts[number], doubt) for number, doubt in enumerate(predicted, 1) if number in doubts}
    return doubts


def outline_doubts(masks: CroppedMasks, scores: np.ndarray, least_score: float) -> np.ndarray:
    """(N,) doubt, 0 to 1, of N outlines: how near a score is to the limit that decides, or how far it overlaps.

    The score's part is 1 at `least_score` and 0 at the scores 0 and 1. The overlap's part, of outlines that count, is
    the largest share of the smaller mask that two outlines have in common.

    Args:
        masks: N outlines.
        scores: (N,) 0 to 1; 1 of what a person drew.
        least_score: from which on an outline counts.

    >>> outline_doubts(CroppedMasks.from_label_image(np.array([[1, 2, 3]])), np.array([0.5, 0.9, 0.1]), 0.5)
    array([1. , 0.2, 0.2])
    """
    counts = scores >= least_score
    near = np.where(counts, (1 - scores) / max(1 - least_score, 1e-9), scores / max(least_score, 1e-9))
    doubts, counting = np.clip(near, 0, 1), np.flatnonzero(counts)
    chosen = masks[counting]
    met = overlaps(chosen, chosen)
    others = met.first != met.second
    smaller = np.minimum(chosen.areas[met.first], chosen.areas[met.second])
    np.maximum.at(doubts, counting[met.first[others]], (met.intersection_px / smaller)[others])
    return doubts


def prediction_doubts(seen: Mapping[str, np.ndarray], has_state: np.ndarray) -> np.ndarray:
    """(N,) doubt, 0 to 1, of what a visibility model says of N outlines; 0 where it says nothing.

    It is the largest of three: where no state is given, the probability that it is not the likeliest of fully imaged,
    masked and unusable; the probability that it is no particle; for what is masked by the likeliest, half the width of
    the 95 % interval of its size over that size.

    Args:
        seen: see `semsize.measuring.particle_table.SEEN_COLUMNS`; files of former versions have no intervals.
        has_state: (N,) bool: a person or a file gave its state.

    >>> seen = dict.fromkeys([f"p_{state}" for state in STATES], np.zeros(2)) | {"p_particle": np.array([1.0, 0.8])}
    >>> seen |= {"p_complete": np.array([0.75, 1.0]), "p_masked": np.array([0.25, 0.0])}
    >>> prediction_doubts(seen, np.array([False, False])).round(2)
    array([0.25, 0.2 ])
    """
    of_class = {name: np.zeros(len(has_state)) for name in VISIBILITY_CLASSES}
    for state in STATES:
        of_class[class_of_state(state)] = of_class[class_of_state(state)] + seen[f"p_{state}"]
    likeliest = np.max(list(of_class.values()), axis=0)
    unknown = np.full(len(has_state), np.nan)
    low, size, high = (seen.get(f"whole_ecd{end}_px", unknown) for end in ("_low", "", "_high"))
    doubts = (
        np.where(has_state, 0, 1 - likeliest),
        1 - seen["p_particle"],
        np.where(of_class["masked"] == likeliest, (high - low) / 2 / size, 0),
    )
    return np.clip(np.nan_to_num(doubts).max(axis=0), 0, 1)
