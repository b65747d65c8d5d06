"""Accuracy of a visibility model: states, being a particle, completed outlines, sizes and their intervals.

Legend: M outlines; K of them are scored as completions: the whole outline is known and the frame does not cut it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.structures.states import MASKED_FRACTION, VISIBILITY_CLASSES, visibility_class
from semsize.visibility.calibration import ReliabilityBin, expected_calibration_error, reliability_table
from semsize.visibility.completion import (
    VISIBLE_FRACTION_EDGES,
    CompletionScores,
    FractionErrors,
    completion_scores,
    errors_by_fraction,
    fraction_classes,
    hull_completion,
    summary,
)
from semsize.visibility.crops import whole_outlines
from semsize.visibility.model import CropAnswers
from semsize.visibility.nesting import FULL
from semsize.visibility.prediction import ECD, Calibration
from semsize.visibility.reported_sizes import ReportedSizes, stated_probabilities
from semsize.visibility.states import StateThresholds, mean_fraction
from semsize.visibility.truth import SIZES, OutlineTruth, sizes_px

COMPLETIONS = ("visible outline", "convex hull, where a part may hide", "network's outline")
"""Completions that are compared; the first two need no network."""

NUMBER = "network's number"
"""Name of the row for the ECD that a model states as a number, beside its outline."""


COMPLETION_COLUMNS = {
    "particles": "count",
    "IoU": "iou",
    "hidden part's IoU": "hidden_iou",
    "ECD error, %": "ecd_error_percent",
    "its sd, %": "ecd_error_std_percent",
    "true ECD in interval, %": "interval_holds_percent",
}
"""Column of a table of completions → key of its value."""


@dataclass(frozen=True, eq=False)
class JudgedOutlines:
    """A model's answers for M outlines beside their truth; K of the outlines are scored as completions."""

    is_particle: np.ndarray  # (M,) 1, 0, or NaN not known
    particle_probability: np.ndarray  # (M,)
    visibility_class: np.ndarray  # (M,) place in VISIBILITY_CLASSES; -1 not known
    class_probabilities: np.ndarray  # (M, 3)
    true_fraction: np.ndarray  # (M,) NaN not known
    predicted_fraction: np.ndarray  # (M,) mean of the predicted distribution
    scored: np.ndarray  # (M,) bool
    completions: tuple[CompletionScores, ...]  # of K outlines each, in the order of COMPLETIONS
    size_errors_percent: np.ndarray  # (K, 3) of `SIZES` of the whole particle, (stated - true) / true; NaN not known
    covered: np.ndarray  # (K, 3) 1 or 0, whether the stated interval holds the true size; NaN where there is none

    @classmethod
    def cat(cls, parts: Sequence[JudgedOutlines]) -> JudgedOutlines:
        """The outlines of several images, at least one."""
        joined = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
            if field.name != "completions"
        }
        completions = zip(*(part.completions for part in parts), strict=True)
        return cls(**joined, completions=tuple(CompletionScores.cat(list(of_kind)) for of_kind in completions))

    @property
    def masked(self) -> np.ndarray:
        """(K,) bool: truly partly hidden, with enough visible to be measured."""
        return np.array([visibility_class(v) == "masked" for v in self.completions[0].true_fraction.tolist()], bool)


def judge(
    outlines: CroppedMasks,
    answers: CropAnswers,
    truth: OutlineTruth,
    grey: np.ndarray,
    people: StateThresholds | None = None,
    calibration: Calibration | None = None,
) -> JudgedOutlines:
    """Compare a model's answers for the M outlines of an image with their truth.

    Args:
        outlines: M masks, none empty.
        answers: the model's, for the crops around them.
        truth: of the M outlines.
        grey: (H, W) grey levels, 0 to 255, of the frame without a data bar.
        people: thresholds by which people gave states, for outlines without a true visible fraction; None: the rule's.
        calibration: of the model's answers; None: they stay as they are.
    """
    classes, is_particle = stated_probabilities(answers, ~np.isnan(truth.visible_fraction), people, calibration)
    fraction = mean_fraction(answers.fractions)
    quantiles = sizes_px(outlines)[..., None] * answers.size_ratios
    if calibration:
        quantiles = calibration.sizes(fraction, quantiles)
    scored = truth.whole_is_known & ~truth.truncated
    whole = whole_outlines(outlines, answers.whole, grey)
    wholes = (outlines, hull_completion(outlines, grey), whole)
    true = truth.visible[scored], truth.whole[scored]
    low, middle, high = np.moveaxis(quantiles[scored], -1, 0)
    true_px = truth.sizes_px[scored]
    return JudgedOutlines(
        is_particle=truth.is_particle,
        particle_probability=is_particle,
        visibility_class=truth.visibility_class,
        class_probabilities=classes,
        true_fraction=truth.visible_fraction,
        predicted_fraction=fraction,
        scored=scored,
        completions=tuple(completion_scores(outlines[scored], completed[scored], *true) for completed in wholes),
        size_errors_percent=100 * (middle - true_px) / true_px,
        covered=np.where(np.isnan(low), np.nan, (low <= true_px) & (true_px <= high)),
    )


def confusion(judged: JudgedOutlines) -> np.ndarray:
    """(3, 3) int64: outlines of each true class (row) by their most probable one (column), of VISIBILITY_CLASSES."""
    known = judged.visibility_class >= 0
    counts = np.zeros((len(VISIBILITY_CLASSES),) * 2, np.int64)
    np.add.at(counts, (judged.visibility_class[known], judged.class_probabilities[known].argmax(axis=1)), 1)
    return counts


def selection_table(judged: JudgedOutlines) -> list[list]:
    """Return a row per threshold on P(fully imaged) · P(particle): outlines above it, precision and recall."""
    known = (judged.visibility_class >= 0) | (judged.is_particle == 0)
    is_full = judged.visibility_class[known] == FULL
    chances = (judged.class_probabilities[:, FULL] * judged.particle_probability)[known]
    rows = []
    for threshold in np.linspace(0.1, 0.9, 9).tolist():
        right, chosen = int((is_full & (chances >= threshold)).sum()), int((chances >= threshold).sum())
        rows.append([threshold, chosen, *(right / of if of else float("nan") for of in (chosen, int(is_full.sum())))])
    return rows


def state_reliability(judged: JudgedOutlines) -> list[ReliabilityBin]:
    """Share of right classes by the probability of the most probable class."""
    known = judged.visibility_class >= 0
    probabilities = judged.class_probabilities[known]
    right = probabilities.argmax(axis=1) == judged.visibility_class[known]
    return reliability_table(np.minimum(probabilities.max(axis=1, initial=0), 1), right)


def particle_reliability(judged: JudgedOutlines) -> list[ReliabilityBin]:
    """Share of outlines that are particles by the stated probability."""
    known = ~np.isnan(judged.is_particle)
    return reliability_table(judged.particle_probability[known], judged.is_particle[known] == 1)


def visibility_metrics(judged: JudgedOutlines, sizes: Sequence[ReportedSizes] = ()) -> dict[str, float]:
    """Metrics of a test by name: shares 0 to 1, errors in %; NaN where no truth is known.

    Completions are scored on masked particles, of which 0.4 to 0.98 is visible.
    """
    counts, masked = confusion(judged), judged.masked
    known = ~np.isnan(judged.is_particle)
    metrics = {
        "outlines": len(judged.is_particle),
        "states": int(counts.sum()),
        "states_right": float(np.trace(counts) / counts.sum()) if counts.sum() else float("nan"),
        "states_ece": expected_calibration_error(state_reliability(judged)),
        "no_particle": int((judged.is_particle[known] == 0).sum()),
        "particle_ece": expected_calibration_error(particle_reliability(judged)),
        "masked": int(masked.sum()),
    }
    for name, row in _completion_rows(judged, masked):
        key = name.split(",")[0].replace("'s", "").replace(" ", "_")
        metrics |= {f"masked_{key}_{column}": value for column, value in row.items() if column != "count"}
    for of_kind in sizes:
        for name, (ratio, *_) in of_kind.ratios().items():
            metrics[f"{of_kind.kind}_{name}_error_percent"] = 100 * (ratio - 1)
        for step in of_kind.steps():
            metrics[f"{of_kind.kind}_{step.name}_D50_percent"] = 100 * float(np.expm1(step.of("D50").effect))
    return metrics


def masked_rows(judged: JudgedOutlines) -> list[list]:
    """Rows of a completion's name and its values of `COMPLETION_COLUMNS` over the masked particles."""
    return [[name, *_cells(row)] for name, row in _completion_rows(judged, judged.masked)]


def completion_table(judged: JudgedOutlines) -> list[list]:
    """Rows of a completion's name, a class of predicted visible fraction, and the values of `COMPLETION_COLUMNS`.

    All rows of a class are about the same particles, whose predicted fraction lies in it. Empty classes are left out.
    """
    predicted = judged.predicted_fraction[judged.scored]
    place = fraction_classes(predicted)
    rows = []
    for number, (low, high) in enumerate(zip(VISIBLE_FRACTION_EDGES, (*VISIBLE_FRACTION_EDGES[1:], 1.0), strict=True)):
        chosen = place == number
        if chosen.any():
            rows += [[name, f"{low:g} to {high:g}", *_cells(row)] for name, row in _completion_rows(judged, chosen)]
    return rows


def errors_by_true_fraction(judged: JudgedOutlines) -> dict[str, tuple[FractionErrors, ...]]:
    """Each of `SIZES` → errors of the stated whole size by true visible fraction.

    Outlines with a predicted visible fraction below 0.4 get no whole size and do not count.
    """
    fractions, errors = judged.true_fraction[judged.scored], judged.size_errors_percent
    has_size = judged.predicted_fraction[judged.scored] >= MASKED_FRACTION
    return {
        name: errors_by_fraction(fractions[known], errors[known, number], judged.covered[known, number])
        for number, name in enumerate(SIZES)
        for known in [has_size & ~np.isnan(errors[:, number])]
    }


def _cells(row: Mapping[str, float]) -> list[float]:
    return [row.get(key, float("nan")) for key in COMPLETION_COLUMNS.values()]


def _completion_rows(judged: JudgedOutlines, chosen: np.ndarray) -> list[tuple[str, dict[str, float]]]:
    """Name and scores of each completion, and of `NUMBER`, over the chosen ones (K,) of the scored outlines."""
    rows = [(name, vars(summary(scores[chosen]))) for name, scores in zip(COMPLETIONS, judged.completions, strict=True)]
    errors = judged.size_errors_percent[chosen, ECD]
    known = ~np.isnan(errors)
    errors, count = errors[known], int(known.sum())
    covered = judged.covered[chosen, ECD][known]
    covered = covered[~np.isnan(covered)]
    of_number = {
        "count": count,
        "ecd_error_percent": float(errors.mean()) if count else float("nan"),
        "ecd_error_std_percent": float(errors.std(ddof=1)) if count > 1 else float("nan"),
        "interval_holds_percent": 100 * float(covered.mean()) if len(covered) else float("nan"),
    }
    return [*rows, (NUMBER, of_number)]
