"""How doubtful each outline is, and the rows that tell the page about outlines.

The page lists the images with the most doubtful outlines first, and stops at doubtful outlines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from semsize.correcting.operations import Corrections
from semsize.correcting.results import scores_now
from semsize.measuring.particle_table import likeliest_state
from semsize.measuring.results_folder import ImageResult
from semsize.structures.overlap import meeting_boxes, overlaps
from semsize.structures.states import STATES, VISIBILITY_CLASSES, class_of_state

DOUBTFUL = 0.4
"""Doubt from which on the page stops at an outline."""

OVERLAPPING = 0.5
"""Overlap, as a share of the smaller outline, above which both are doubtful until accepted, whoever drew them."""


class Doubts:
    """Doubts of the outlines of one image, 0 to 1, while they are corrected.

    The doubt of an outline that nobody touched is the largest of `score_doubts`, `prediction_doubts` and its overlap,
    as a share of the smaller mask, with another outline that counts. The doubt of a touched outline is this overlap if
    it is above `OVERLAPPING`, until somebody gives the outline a state or says that it is a particle.
    """

    def __init__(self, corrections: Corrections, result: ImageResult, least_score: float):
        """Find the doubts of all outlines.

        Args:
            corrections: the outlines; call `renew` after each change of them.
            result: what was detected.
            least_score: score from which on an outline counts.
        """
        self._corrections, self._scores, self._least = corrections, result.scores, least_score
        self._alone = score_doubts(result.scores, least_score)
        if result.seen:
            has_state = np.array([state is not None for state in result.states], bool)
            self._alone = np.maximum(self._alone, prediction_doubts(result.seen, has_state))
        self._boxes: dict[int, np.ndarray] = {}  # of outlines that count
        self._shares: dict[int, dict[int, float]] = {}  # overlap of each pair, as a share of the smaller one
        self.renew(corrections.outlines)

    def renew(self, numbers: Iterable[int]) -> set[int]:
        """Update outlines that were added, changed or deleted; return the ids of others that they met or meet."""
        changed, others = set(numbers), set()
        for number in changed:
            self._boxes.pop(number, None)
            for other in self._shares.pop(number, {}):
                self._shares.get(other, {}).pop(number, None)
                others.add(other)
        scores = scores_now(self._corrections, self._scores)
        new = sorted(number for number in changed if scores.get(number, -1.0) >= self._least)
        if new:
            masks = self._corrections.masks(new)
            self._boxes |= zip(new, masks.boxes, strict=True)
            numbers = np.array(list(self._boxes))
            met = np.unique(numbers[meeting_boxes(masks.boxes, np.array(list(self._boxes.values())))[1]]).tolist()
            candidates = masks if met == new else self._corrections.masks(met)
            found = overlaps(masks, candidates)
            shares = found.intersection_px / np.minimum(masks.areas[found.first], candidates.areas[found.second])
            for first, second, share in zip(found.first, found.second, shares.tolist(), strict=True):
                if (number := new[first]) != (other := met[second]):
                    self._shares.setdefault(number, {})[other] = self._shares.setdefault(other, {})[number] = share
                    others.add(other)
        return others - changed

    def of(self, numbers: Iterable[int]) -> dict[int, float]:
        """The doubts of some outlines, by id."""
        touched, accepted = self._corrections.touched(), self._corrections.accepted()
        doubts = {}
        for number in numbers:
            share = max(self._shares.get(number, {}).values(), default=0.0)
            if number not in touched:
                doubts[number] = max(float(self._alone[number - 1]), share)
            else:
                doubts[number] = share if share > OVERLAPPING and number not in accepted else 0.0
        return doubts

    def note_on(self, numbers: Iterable[int]) -> str | None:
        """A message on added outlines, if one overlaps another by more than `OVERLAPPING`."""
        shares = [(share, other) for number in numbers for other, share in self._shares.get(number, {}).items()]
        share, other = max(shares, default=(0.0, 0))
        return f"overlaps outline {other} by {100 * share:.0f} %: delete one of them" if share > OVERLAPPING else None


def score_doubts(scores: np.ndarray, least_score: float) -> np.ndarray:
    """(N,) doubts by N scores: 1 at `least_score`, falling to 0 at the scores 0 and 1.

    >>> score_doubts(np.array([0.5, 0.9, 0.1]), 0.5)
    array([1. , 0.2, 0.2])
    """
    above, below = (1 - scores) / max(1 - least_score, 1e-9), scores / max(least_score, 1e-9)
    return np.clip(np.where(scores >= least_score, above, below), 0, 1)


def prediction_doubts(seen: Mapping[str, np.ndarray], has_state: np.ndarray) -> np.ndarray:
    """(N,) doubts, 0 to 1, by what a visibility model says of N outlines; 0 where it says nothing.

    A doubt is the largest of three: the probability that the likeliest class (fully imaged, masked, unusable) is wrong,
    if no state was given; the probability that the outline is no particle; if *masked* is the likeliest class, half the
    width of the 95 % interval of the size, divided by the size.

    Args:
        seen: see `semsize.measuring.particle_table.VISIBILITY_COLUMNS`; files of former versions have no intervals.
        has_state: (N,) bool, whether a person or a file gave the state.

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


def outline_rows(
    corrections: Corrections, result: ImageResult, doubts: Doubts, counted: Collection[int], numbers: Iterable[int]
) -> list[dict[str, Any]]:
    """Rows for the page about some outlines, ids ascending.

    Args:
        corrections: all outlines of the image.
        result: what was detected.
        doubts: of the outlines.
        counted: ids of outlines that count.
        numbers: ids of outlines that get a row.
    """
    touched, scores, counted = corrections.touched(), scores_now(corrections, result.scores), set(counted)
    judged = {number for each in corrections.effective() if each.kind != "particle" for number in each.after}
    rows = []
    for number, doubt in doubts.of(sorted(numbers)).items():
        outline = corrections.outlines[number]
        rows.append(
            {
                "id": number,
                "counts": outline.counts,
                "state": outline.state,
                "predicted": None if number in judged or outline.state else _predicted(result, number),
                "particle": outline.is_particle,
                "score": round(scores[number], 3) if number in scores else None,
                "corrected": number in touched,
                "counted": number in counted,
                "doubt": round(doubt, 3),
            }
        )
    return rows


def _predicted(result: ImageResult, number: int) -> dict[str, Any] | None:
    """The likeliest state of a detected outline and its probability, by the measurement's visibility model."""
    if not result.seen or number > len(result.scores):
        return None
    seen = {name: float(values[number - 1]) for name, values in result.seen.items()}
    state = likeliest_state(seen)
    return None if state is None else {"state": state, "probability": round(seen[f"p_{state}"], 2)}
