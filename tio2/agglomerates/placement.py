"""Where agglomerates go: the first anywhere, the next in one of the eight sub-frames around an inserted one (Fig. 5).

The frame is a set of disjoint rectangles. What is put into one of them divides the rest of it into eight sub-frames, so
that two things put in never overlap and none leaves the frame. The four at the corners are joined with one neighbour
each: sub-frames as narrow as an agglomerate would line up what is put into them in rows.
"""

from dataclasses import dataclass

import numpy as np

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels, half-open."""


@dataclass(frozen=True, eq=False)
class FreeSpace:
    """What is left of a frame."""

    subframes: np.ndarray  # (R, 4) int64, disjoint boxes

    @classmethod
    def of_frame(cls, shape: tuple[int, int]) -> "FreeSpace":
        """An empty frame of (H, W)."""
        return cls(np.array([[0, 0, *shape]], np.int64))

    def without(self, box: Box) -> "FreeSpace":
        """The space left when a box is occupied; parts of it that were not free, or lie off the frame, don't matter."""
        top, left, bottom, right = self.subframes.T
        met = (top < box[2]) & (bottom > box[0]) & (left < box[3]) & (right > box[1])
        pieces = [joined_subframes(tuple(frame.tolist()), box) for frame in self.subframes[met]]
        return FreeSpace(np.concatenate([self.subframes[~met], *pieces]))

    def draw_corner(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[int, int] | None:
        """First pixel (row, column) for a box of (h, w), every place inside a sub-frame as likely; None: none fits."""
        places = np.maximum(self.subframes[:, 2:] - self.subframes[:, :2] - shape + 1, 0)
        weights = places.prod(axis=1)
        if not weights.any():
            return None
        chosen = rng.choice(len(weights), p=weights / weights.sum())
        row, column = self.subframes[chosen, :2] + rng.integers(places[chosen])
        return int(row), int(column)


def eight_subframes(frame: Box, box: Box) -> np.ndarray:
    """Those of the eight parts of a frame around a box that are not empty, (R <= 8, 4) int64, row by row."""
    top, upper, lower, bottom = _cuts(frame[0], frame[2], box[0], box[2])
    left, inner, outer, right = _cuts(frame[1], frame[3], box[1], box[3])
    rows, columns = ((top, upper), (upper, lower), (lower, bottom)), ((left, inner), (inner, outer), (outer, right))
    parts = [(r[0], c[0], r[1], c[1]) for r in rows for c in columns if (r, c) != (rows[1], columns[1])]
    return _filled(parts)


def joined_subframes(frame: Box, box: Box) -> np.ndarray:
    """The eight sub-frames, each corner joined with the side that follows clockwise, or with that before it.

    Of the two ways that with the larger largest rectangle.

    Returns:
        (R <= 4, 4) int64, disjoint, none empty.
    """
    top, upper, lower, bottom = _cuts(frame[0], frame[2], box[0], box[2])
    left, inner, outer, right = _cuts(frame[1], frame[3], box[1], box[3])
    ways = [
        _filled(
            [
                (top, inner, upper, right),
                (upper, outer, bottom, right),
                (lower, left, bottom, outer),
                (top, left, lower, inner),
            ]
        ),
        _filled(
            [
                (top, left, upper, outer),
                (upper, left, bottom, inner),
                (lower, inner, bottom, right),
                (top, outer, lower, right),
            ]
        ),
    ]
    return max(ways, key=lambda parts: (parts[:, 2:] - parts[:, :2]).prod(axis=1).max(initial=0))


def _cuts(low: int, high: int, first: int, last: int) -> tuple[int, int, int, int]:
    """An interval's ends with those of another, cut to it, in between."""
    return low, min(max(first, low), high), min(max(last, low), high), high


def _filled(parts: list[Box]) -> np.ndarray:
    return np.array([part for part in parts if part[0] < part[2] and part[1] < part[3]], np.int64).reshape(-1, 4)
