"""What a training gained: a model before and after it, judged on images that it did not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semsize.measuring.outlines import Outlines
from semsize.measuring.tables import markdown_table
from semsize.metrology.comparison import ImageComparison, ImageFound, compare_image, image_truths
from semsize.metrology.intervals import PairedDifference, paired_difference
from semsize.metrology.matching import AVERAGE_PRECISIONS, outcomes, pooled_average_precision
from semsize.metrology.metrics import size_errors
from semsize.sem import read_grey
from semsize.structures import read_annotations


@dataclass(frozen=True, eq=False)
class Judged:
    """N images with what a model found in them."""

    images: tuple[ImageComparison, ...]
    outcomes: tuple[np.ndarray, ...]  # of each image (M, 10), of its M detections of any score

    def average_precision(self, name: str, chosen: Sequence[int] | None = None) -> float:
        """One of `AVERAGE_PRECISIONS`, of all or of the chosen images, pooled."""
        numbers = range(len(self.images)) if chosen is None else chosen
        columns = [self.outcomes[number][:, AVERAGE_PRECISIONS[name]] for number in numbers]
        particles = sum(len(self.images[number].truth.masks) for number in numbers)
        scores = [self.images[number].detections.scores for number in numbers]
        return float(pooled_average_precision(scores, columns, particles).mean())

    @property
    def d50_error_percent(self) -> float:
        """Error of the median diameter by number, all images together."""
        return size_errors(self.images, "all").d50_percent


@dataclass(frozen=True, eq=False)
class Gain:
    """A model before and after, on images that it did not see."""

    before: Judged
    after: Judged
    untouched: int = 0  # outlines of the truth that are as a model found them

    @property
    def outline_count(self) -> int:
        """The number of outlines of the truth."""
        return sum(len(image.truth.masks) for image in self.after.images)

    @property
    def counted_images(self) -> int:
        """Images with a particle: others have no average precision, and tell models apart by nothing."""
        return sum(len(image.truth.masks) > 0 for image in self.after.images)

    def average_precisions(self, name: str) -> tuple[float, float]:
        """The average precision before and after."""
        return self.before.average_precision(name), self.after.average_precision(name)

    def difference(self, name: str) -> PairedDifference:
        """The difference of the average precisions, paired over images, with its interval."""
        values, base = (
            lambda images, judged=judged: np.array([judged.average_precision(name, images)])
            for judged in (self.after, self.before)
        )
        return paired_difference(values, base, len(self.before.images), np.random.default_rng(0))

    def table(self) -> str:
        """The values as Markdown, and what the reader must know of the truth."""
        rows = [[name, *self.average_precisions(name), str(self.difference(name))] for name in ("AP50", "mAP")]
        rows.append(["error of D50, %", self.before.d50_error_percent, self.after.d50_error_percent, ""])
        table = markdown_table(["", "before", "after", "difference, 95 % interval over images"], rows)
        return f"{table}\n{self.caution}\n" if self.untouched else table

    @property
    def caution(self) -> str:
        """Whom a truth favours of which not every outline was drawn, changed or accepted by somebody."""
        found = f"{self.untouched} of {self.outline_count} outlines of the images kept back are as a model found them"
        return f"{found}: the comparison favours that model, as a rule the one before."


def judge(detector: Callable[[np.ndarray], Outlines], data: Path, split: str = "val") -> Judged:
    """What a model finds in the images of a split of a converted data set, beside their truth.

    Raises:
        AnnotationError: the annotations cannot be read.
        SEMReadError: an image cannot be read.
    """
    compared, results = [], []
    for truth in image_truths(read_annotations(data / "annotations" / f"{split}.json")):
        found = detector(read_grey(data / "images" / split / truth.file_name))
        compared.append(compare_image(truth, ImageFound(found.masks, found.scores)))
        results.append(outcomes(truth.masks, found.masks, found.scores, truth.ignored))
    return Judged(tuple(compared), tuple(results))
