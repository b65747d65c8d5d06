"""Where agglomerates go: the first anywhere, the next in one of the eight sub-frames around an inserted one (Fig. 5).

The frame is a set of disjoint rectangles. What is put into one of them divides the rest of it into eight sub-frames, so
that two things put in never overlap and none leaves the frame.
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
        pieces = [eight_subframes(tuple(frame.tolist()), box) for frame in self.subframes[met]]
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
    """Those of the eight parts of a frame around a box that are not empty, (R <= 8, 4) int64."""
    rows, columns = (
        (frame[i], *(min(max(edge, frame[i]), frame[i + 2]) for edge in (box[i], box[i + 2])), frame[i + 2])
        for i in (0, 1)
    )
    parts = [
        (rows[i], columns[j], rows[i + 1], columns[j + 1])
        for i in range(3)
        for j in range(3)
        if (i, j) != (1, 1) and rows[i] < rows[i + 1] and columns[j] < columns[j + 1]
    ]
    return np.array(parts, np.int64).reshape(-1, 4)
