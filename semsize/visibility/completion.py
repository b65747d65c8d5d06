"""Completion by the convex hull, and scores of any completion against known whole outlines.

The convex hull of the visible outline, cut to where a hidden part may lie, is the baseline that a network has to beat.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields

import cv2
import numpy as np

from semsize.metrology.measurands import equivalent_circular_diameter
from semsize.structures.masks import CroppedMasks, Placed, shared_pixels
from semsize.visibility.surroundings import Surroundings, placed_in, with_hidden

VISIBLE_FRACTION_EDGES = (0.0, 0.4, 0.6, 0.8, 0.9, 0.98)
"""Lower ends of the classes of visible fraction by which completions are scored; the last class is fully imaged."""

_ON_EDGE_PX = 1e-6  # a pixel centre this near to a hull's edge counts as on it


@dataclass(frozen=True, eq=False)
class CompletionScores:
    """Scores of the completions of N particles against their truth, (N,) float64 each."""

    true_fraction: np.ndarray  # visible area / area of the true whole outline
    predicted_fraction: np.ndarray  # visible area / area of the completed outline
    iou: np.ndarray  # of the whole outlines, 0 to 1
    hidden_iou: np.ndarray  # of their hidden parts; NaN where neither has one
    ecd_error_percent: np.ndarray  # equivalent circular diameter of the whole outline, (completed - true) / true

    def __len__(self) -> int:
        return len(self.iou)

    def __getitem__(self, index: slice | np.ndarray) -> CompletionScores:
        """The particles at a slice or an array of integers or booleans."""
        return CompletionScores(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def cat(cls, scores: list[CompletionScores]) -> CompletionScores:
        """Join the scores of several images, at least one."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in scores]) for field in fields(cls)))


@dataclass(frozen=True)
class CompletionSummary:
    """Mean scores of the particles of one class; NaN without particles, the standard deviation also with only one."""

    count: int  # particles
    iou: float  # mean
    hidden_iou: float  # mean where either outline has a hidden part
    ecd_error_percent: float  # mean
    ecd_error_std_percent: float  # standard deviation between particles


@dataclass(frozen=True)
class FractionErrors:
    """Errors of a completed size in a class of visible fraction, (predicted - true) / true in %."""

    low: float  # lower end of the class
    high: float  # upper end
    particles: int
    error_percent: float  # mean
    error_std_percent: float  # standard deviation between particles
    covered_percent: float | None  # share of the intervals that hold the true size; None: no particle has one


def fraction_classes(fractions: np.ndarray) -> np.ndarray:
    """(N,) the class of `VISIBLE_FRACTION_EDGES` of each visible fraction; -1 for NaN, a fraction that is not known."""
    place = np.searchsorted(VISIBLE_FRACTION_EDGES[1:], fractions, side="right")
    return np.where(np.isnan(fractions), -1, place)  # NaN sorts behind all numbers


def errors_by_fraction(
    fractions: np.ndarray, errors_percent: np.ndarray, covered: np.ndarray
) -> tuple[FractionErrors, ...]:
    """Errors of N completed sizes in each class of `VISIBLE_FRACTION_EDGES` that has two particles or more.

    Args:
        fractions: (N,) visible fractions, 0 to 1, predicted or true; NaN: not known, left out.
        errors_percent: (N,) (predicted - true) / true.
        covered: (N,) 1 or 0, whether an interval holds the true size; NaN where there is no interval.

    >>> errors_by_fraction(np.array([0.5, 0.5, 0.5]), np.array([-3.0, 0.0, 3.0]), np.array([1.0, 0.0, np.nan]))[0]
    FractionErrors(low=0.4, high=0.6, particles=3, error_percent=0.0, error_std_percent=3.0, covered_percent=50.0)
    >>> errors_by_fraction(np.array([np.nan, np.nan]), np.array([-3.0, 3.0]), np.ones(2))
    ()
    """
    place, rows = fraction_classes(fractions), []
    for number, (low, high) in enumerate(itertools.pairwise((*VISIBLE_FRACTION_EDGES, 1.0))):
        errors, held = errors_percent[place == number], covered[place == number]
        held = held[~np.isnan(held)]
        if len(errors) > 1:
            share = 100 * float(held.mean()) if len(held) else None
            values = float(errors.mean()), float(errors.std(ddof=1)), share
            rows.append(FractionErrors(low, high, len(errors), *values))
    return tuple(rows)


def hull_completion(masks: CroppedMasks, grey: np.ndarray) -> CroppedMasks:
    """Complete each visible outline to its convex hull, cut to where a hidden part may lie.

    Args:
        masks: N visible outlines; an empty one stays empty.
        grey: (H, W) grey levels, 0 to 255, of the frame without a data bar.

    >>> corner = CroppedMasks.from_label_image(np.array([[1, 2, 2], [1, 2, 2], [1, 1, 1]]))
    >>> hull_completion(corner, np.zeros((3, 3))).to_full()[0]
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]], dtype=uint8)
    """
    around, placed = Surroundings.of(masks, grey), []
    for visible in masks:
        crop, corner = visible
        if not crop.size:
            placed.append(visible)
            continue
        hidden = convex_hull(crop) & around.may_hide(*visible, crop.shape, corner)
        placed.append(with_hidden(visible, hidden, corner))
    return CroppedMasks.from_crops(placed, masks.image_shape)


def completion_scores(
    visible: CroppedMasks, completed: CroppedMasks, true_visible: CroppedMasks, true_whole: CroppedMasks
) -> CompletionScores:
    """Score the completed outlines of N particles against their truth; no outline may be empty.

    Args:
        visible: the visible outlines that were completed, found or true ones.
        completed: the whole outlines made from `visible`.
        true_visible: the true visible outlines.
        true_whole: the true whole outlines within the frame.

    >>> visible = CroppedMasks.from_full(np.array([[[1, 1, 0, 0]]]))
    >>> whole = CroppedMasks.from_full(np.array([[[1, 1, 1, 1]]]))
    >>> scores = completion_scores(visible, visible, visible, whole)
    >>> scores.iou, scores.hidden_iou, scores.true_fraction, scores.ecd_error_percent.round(1)
    (array([0.5]), array([0.]), array([0.5]), array([-29.3]))
    """
    sets = (visible, completed, true_visible, true_whole)
    if len({len(masks) for masks in sets}) > 1 or not all(masks.areas.all() for masks in sets):
        raise ValueError(f"give as many whole as visible outlines, none empty; got {[len(masks) for masks in sets]}")
    hidden_iou, iou = np.full((2, len(visible)), np.nan)
    for number, (seen, whole, true_seen, true) in enumerate(zip(*sets, strict=True)):
        iou[number] = _iou(whole, true)
        hidden_iou[number] = _iou(_without(whole, seen), _without(true, true_seen))
    ecd, true_ecd = (equivalent_circular_diameter(masks.areas) for masks in (completed, true_whole))
    return CompletionScores(
        true_fraction=true_visible.areas / true_whole.areas,
        predicted_fraction=visible.areas / completed.areas,
        iou=iou,
        hidden_iou=hidden_iou,
        ecd_error_percent=100 * (ecd - true_ecd) / true_ecd,
    )


def summary(scores: CompletionScores) -> CompletionSummary:
    """Means of the particles' scores, and the standard deviation of their ECD errors."""
    errors, hidden = scores.ecd_error_percent, scores.hidden_iou[~np.isnan(scores.hidden_iou)]
    return CompletionSummary(
        count=len(scores),
        iou=_mean(scores.iou),
        hidden_iou=_mean(hidden),
        ecd_error_percent=_mean(errors),
        ecd_error_std_percent=float(errors.std(ddof=1)) if len(errors) > 1 else float("nan"),
    )


def by_fraction(scores: CompletionScores, fractions: np.ndarray) -> list[CompletionSummary]:
    """A summary for each class of `VISIBLE_FRACTION_EDGES`, of true or predicted fractions (N,); NaN are left out."""
    place = fraction_classes(fractions)
    return [summary(scores[place == number]) for number in range(len(VISIBLE_FRACTION_EDGES))]


def convex_hull(crop: np.ndarray) -> np.ndarray:
    """(h, w) bool: pixels whose centres lie in or on the convex hull of a mask's pixel centres.

    `cv2.fillConvexPoly` would also fill pixels that the hull's edges only touch: a rim that makes particles too large.
    """
    points = cv2.convexHull(cv2.findNonZero(crop))[:, 0].astype(np.float64)  # (V, 2) x, y
    (x0, y0), (x1, y1) = points.T[..., None], np.roll(points, -1, axis=0).T[..., None]  # (V, 1) ends of the edges
    rows, columns = np.arange(crop.shape[0]), np.arange(crop.shape[1])
    crosses = (np.minimum(y0, y1) <= rows) & (rows <= np.maximum(y0, y1))  # (V, h)
    x = x0 + (x1 - x0) * (rows - y0) / np.where(y1 == y0, 1, y1 - y0)  # of a horizontal edge, its first end
    left = np.where(crosses, x, np.inf).min(axis=0) - _ON_EDGE_PX
    right = np.where(crosses, x, -np.inf).max(axis=0) + _ON_EDGE_PX
    return (left[:, None] <= columns) & (columns <= right[:, None])


def _iou(first: Placed, second: Placed) -> float:
    """Intersection over union of two masks; NaN if both are empty."""
    shared = shared_pixels(first, second)
    united = int(np.count_nonzero(first[0])) + int(np.count_nonzero(second[0])) - shared
    return shared / united if united else float("nan")


def _without(whole: Placed, visible: Placed) -> Placed:
    crop, corner = whole
    return (crop > 0) & ~placed_in(*visible, crop.shape, corner), corner


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
