"""How right a visibility model's answers are: states, being a particle, completed outlines, sizes and their intervals.

Legend: M outlines; K of them scored as completions, those of particles whose whole outline is known and not cut by the
frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.structures.states import MASKED_FRACTION, VISIBILITY_CLASSES, visibility_class
from semsize.visibility.calibration import ReliabilityBin, expected_calibration_error, reliability_table
from semsize.visibility.completion import (
    FRACTION_EDGES,
    CompletionScores,
    FractionErrors,
    completion_scores,
    errors_by_fraction,
    hull_completion,
    summary,
)
from semsize.visibility.crops import whole_outlines
from semsize.visibility.model import CropAnswers
from semsize.visibility.nesting import FULL
from semsize.visibility.reported_sizes import ReportedSizes, stated_probabilities
from semsize.visibility.seeing import Calibration
from semsize.visibility.states import Thresholds, mean_fraction
from semsize.visibility.truth import SIZES, OutlineTruth, sizes_px

COMPLETIONS = ("visible outline", "convex hull, where a part may hide", "network's outline")
"""Completions that are compared; the first two need no network."""

NUMBER = "network's number"
"""The ECD that a model states beside its outline."""


COMPLETION_COLUMNS = {
    "particles": "count",
    "IoU": "iou",
    "hidden part's IoU": "hidden_iou",
    "ECD error, %": "ecd_error_percent",
    "its sd, %": "ecd_error_std_percent",
    "true ECD in interval, %": "interval_holds_percent",
}
"""Column of a table of completions to the key of its value."""


@dataclass(frozen=True, eq=False)
class JudgedOutlines:
    """Answers on M outlines beside their truth, K of them scored as completions."""

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
        """(K,) bool: partly hidden, and enough of it seen to be measured, by the truth."""
        return np.array([visibility_class(v) == "masked" for v in self.completions[0].true_fraction.tolist()], bool)


def judge(
    outlines: CroppedMasks,
    answers: CropAnswers,
    truth: OutlineTruth,
    grey: np.ndarray,
    people: Thresholds | None = None,
    calibration: Calibration | None = None,
) -> JudgedOutlines:
    """Judge the answers on the M outlines of an image.

    Args:
        outlines: M masks, none empty.
        answers: of a model, on the crops around them.
        truth: of the M outlines.
        grey: (H, W) grey levels, 0 to 255, of the frame without a data bar.
        people: thresholds by which people gave states, where the truth is theirs; rendered truth has its rule's.
        calibration: of the model's answers; None: they are taken as they are.
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
    """Outlines chosen by P(fully imaged) · P(particle): threshold, number, precision, recall of fully imaged ones."""
    known = (judged.visibility_class >= 0) | (judged.is_particle == 0)
    is_full = judged.visibility_class[known] == FULL
    chances = (judged.class_probabilities[:, FULL] * judged.particle_probability)[known]
    rows = []
    for threshold in np.linspace(0.1, 0.9, 9).tolist():
        right, chosen = int((is_full & (chances >= threshold)).sum()), int((chances >= threshold).sum())
        rows.append([threshold, chosen, *(right / of if of else float("nan") for of in (chosen, int(is_full.sum())))])
    return rows


def state_reliability(judged: JudgedOutlines) -> list[ReliabilityBin]:
    """How often the most probable class was right, by its probability."""
    known = judged.visibility_class >= 0
    probabilities = judged.class_probabilities[known]
    right = probabilities.argmax(axis=1) == judged.visibility_class[known]
    return reliability_table(np.minimum(probabilities.max(axis=1, initial=0), 1), right)


def particle_reliability(judged: JudgedOutlines) -> list[ReliabilityBin]:
    """How often an outline was a particle, by the stated probability."""
    known = ~np.isnan(judged.is_particle)
    return reliability_table(judged.particle_probability[known], judged.is_particle[known] == 1)


def visibility_metrics(judged: JudgedOutlines, sizes: Sequence[ReportedSizes] = ()) -> dict[str, float]:
    """The figures of a test: shares 0 to 1, errors in %; NaN where nothing of the kind is known.

    Completions are of the masked particles, 0.4 to 0.98 of them visible.
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
    """Rows of completion and the values of `COMPLETION_COLUMNS`, over the masked particles."""
    return [[name, *_cells(row)] for name, row in _completion_rows(judged, judged.masked)]


def completion_table(judged: JudgedOutlines) -> list[list]:
    """Rows of completion, class of predicted fraction, then the values of `COMPLETION_COLUMNS`; classes with particles.

    All rows of a class are of the same particles: those of which the model predicts such a fraction.
    """
    predicted = judged.predicted_fraction[judged.scored]
    place = np.searchsorted(FRACTION_EDGES[1:], predicted, side="right")
    rows = []
    for number, (low, high) in enumerate(zip(FRACTION_EDGES, (*FRACTION_EDGES[1:], 1.0), strict=True)):
        chosen = place == number
        if chosen.any():
            rows += [[name, f"{low:g} to {high:g}", *_cells(row)] for name, row in _completion_rows(judged, chosen)]
    return rows


def errors_by_true_fraction(judged: JudgedOutlines) -> dict[str, tuple[FractionErrors, ...]]:
    """Each of `SIZES` to the errors of the stated whole sizes by true visible fraction.

    Outlines of which the model predicts that less than 0.4 is visible get no whole size, and do not count.
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
    """Each completion, and the model's number, over chosen ones (K,) of the scored outlines; keys that it has."""
    rows = [(name, vars(summary(scores[chosen]))) for name, scores in zip(COMPLETIONS, judged.completions, strict=True)]
    errors = judged.size_errors_percent[chosen, 0]
    known = ~np.isnan(errors)
    errors, count = errors[known], int(known.sum())
    covered = judged.covered[chosen, 0][known]
    covered = covered[~np.isnan(covered)]
    of_number = {
        "count": count,
        "ecd_error_percent": float(errors.mean()) if count else float("nan"),
        "ecd_error_std_percent": float(errors.std(ddof=1)) if count > 1 else float("nan"),
        "interval_holds_percent": 100 * float(covered.mean()) if len(covered) else float("nan"),
    }
    return [*rows, (NUMBER, of_number)]
