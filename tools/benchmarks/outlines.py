"""Distance of annotated outlines from the particles' edges, for the line "reference" of the uncertainty budget.

python tools/benchmarks/outlines.py data/bam-tio2-sem/annotations/train.json data/bam-tio2-sem/images/train

Prints the share of the outlines that faces another particle across a one-pixel gap, and the position of the grey
level's fall relative to the outlines of fully imaged particles, in px (positive is outside).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from semsize.cli import one_line_errors
from semsize.measuring.tables import markdown_table
from semsize.metrology.comparison import ImageTruth, image_truths
from semsize.sem import SEMReadError, read_grey
from semsize.structures import AnnotationError, read_annotations
from semsize.structures.states import FULLY_IMAGED_STATES

MARGIN_PX = 8
CLEAR_PX = 6
LAYERS = np.arange(-6, 7)
LEVELS = (0.84, 0.5, 0.16)
LEAST_STEP = 30
LEAST_AREA_PX = 200


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """A particle with its surroundings up to `MARGIN_PX`."""

    mask: np.ndarray  # (h, w) bool
    others: np.ndarray  # (h, w) bool: other particles
    grey: np.ndarray  # (h, w)
    state: str | None

    def gap_counts(self) -> tuple[int, int]:
        """Number of pixels next to the outline that also border another particle, and of all pixels next to it."""
        beside = ndimage.binary_dilation(self.mask) & ~self.mask
        return int((beside & ~self.others & ndimage.binary_dilation(self.others)).sum()), int(beside.sum())

    def edge(self) -> np.ndarray | None:
        """(3,) distances from the outline at which the grey level has fallen to `LEVELS` of the step; None if unclear.

        Levels are medians over layers of equal distance; the step goes from the brightest inner layer to the outer 3.
        """
        distance = np.where(
            self.mask,
            0.5 - ndimage.distance_transform_edt(self.mask),
            ndimage.distance_transform_edt(~self.mask) - 0.5,
        )
        clear = ndimage.distance_transform_edt(~self.others) > CLEAR_PX if self.others.any() else True
        layers = [(np.floor(distance) == layer) & clear for layer in LAYERS]
        if min(int(layer.sum()) for layer in layers) < 8:
            return None
        where = np.array([distance[layer].mean() for layer in layers])
        level = np.array([np.median(self.grey[layer]) for layer in layers])
        outside = level[-3:].mean()
        brightest = int(level[LAYERS < 1].argmax())
        if level[brightest] - outside < LEAST_STEP:
            return None
        fallen = (level - outside) / (level[brightest] - outside)
        return np.array([_crossing(where[brightest:], fallen[brightest:], at) for at in LEVELS])


def neighbourhoods(truth: ImageTruth, grey: np.ndarray) -> Iterator[Neighbourhood]:
    """Yield the neighbourhoods of all particles that are not near the frame's border."""
    masks, shape = truth.masks, truth.masks.image_shape
    numbers = np.zeros(shape, np.int64)
    for number, (crop, (row, column)) in enumerate(masks, start=1):
        numbers[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0] = number
    for number, (crop, (row, column)) in enumerate(masks, start=1):
        top, left = row - MARGIN_PX, column - MARGIN_PX
        bottom, right = row + crop.shape[0] + MARGIN_PX, column + crop.shape[1] + MARGIN_PX
        if min(top, left) >= 0 and bottom <= shape[0] and right <= shape[1]:
            window = slice(top, bottom), slice(left, right)
            others = (numbers[window] > 0) & (numbers[window] != number)
            yield Neighbourhood(np.pad(crop, MARGIN_PX) > 0, others, grey[window], truth.states[number - 1])


def main() -> None:
    """Measure all particles and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, help="annotation file")
    parser.add_argument("images", type=Path, help="folder of its images")
    arguments = parser.parse_args()
    gaps, edges = [], []
    with one_line_errors(AnnotationError, SEMReadError, OSError):
        for truth in image_truths(read_annotations(arguments.annotations)):
            for neighbourhood in neighbourhoods(truth, read_grey(arguments.images / truth.file_name)):
                gaps.append(neighbourhood.gap_counts())
                if neighbourhood.state in FULLY_IMAGED_STATES and neighbourhood.mask.sum() > LEAST_AREA_PX:
                    edges.append(neighbourhood.edge())
    falls = np.array([edge for edge in edges if edge is not None])
    across, beside = np.sum(gaps, axis=0)
    width = np.median(falls[:, 2] - falls[:, 0])
    gap_std, edge_std = across / beside / np.sqrt(3), width / np.sqrt(3)
    rows = [
        ["outline across a one-pixel gap, share", float(across / beside)],
        *([f"{level:.0%} of the step at, median", float(np.median(falls[:, n]))] for n, level in enumerate(LEVELS)),
        ["width from 84 to 16 %, median", float(width)],
        ["standard uncertainty of a diameter: gaps", float(gap_std)],
        ["standard uncertainty of a diameter: diffuse edge", float(edge_std)],
        ["both", float(np.hypot(gap_std, edge_std))],
    ]
    print(f"{len(gaps)} particles, {len(falls)} edges\n")
    print(markdown_table(["", "px"], rows, decimals=2))


def _crossing(where: np.ndarray, fallen: np.ndarray, level: float) -> float:
    """Distance at which a falling profile first reaches a level, interpolated linearly between layers."""
    after = int((fallen <= level).argmax())
    part = (fallen[after - 1] - level) / (fallen[after - 1] - fallen[after])
    return float(where[after - 1] + part * (where[after] - where[after - 1]))


if __name__ == "__main__":
    main()
