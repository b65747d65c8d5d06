"""What a training gained: the model before and after, judged on images that it did not see."""

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
    """N images with a model's detections in them."""

    images: tuple[ImageComparison, ...]
    outcomes: tuple[np.ndarray, ...]  # (M, 10) for each image with M detections of any score

    def average_precision(self, name: str, chosen: Sequence[int] | None = None) -> float:
        """Return one of `AVERAGE_PRECISIONS`, pooled over all or over the chosen images."""
        numbers = range(len(self.images)) if chosen is None else chosen
        columns = [self.outcomes[number][:, AVERAGE_PRECISIONS[name]] for number in numbers]
        particles = sum(len(self.images[number].truth.masks) for number in numbers)
        scores = [self.images[number].detections.scores for number in numbers]
        return float(pooled_average_precision(scores, columns, particles).mean())

    @property
    def d50_error_percent(self) -> float:
        """Error of the median diameter by number, over all images together."""
        return size_errors(self.images, "all").d50_percent


@dataclass(frozen=True, eq=False)
class Gain:
    """A model before and after a training, on images that it did not see."""

    before: Judged
    after: Judged
    untouched: int = 0  # outlines of the truth that a model found and nobody touched

    @property
    def outline_count(self) -> int:
        """The number of outlines of the truth."""
        return sum(len(image.truth.masks) for image in self.after.images)

    @property
    def counted_images(self) -> int:
        """The number of images with particles; only they have an average precision that tells models apart."""
        return sum(len(image.truth.masks) > 0 for image in self.after.images)

    def average_precisions(self, name: str) -> tuple[float, float]:
        """Return the average precision before and after."""
        return self.before.average_precision(name), self.after.average_precision(name)

    def difference(self, name: str) -> PairedDifference:
        """Return the difference of the average precisions, paired over images, with its interval."""
        values, base = (
            lambda images, judged=judged: np.array([judged.average_precision(name, images)])
            for judged in (self.after, self.before)
        )
        return paired_difference(values, base, len(self.before.images), np.random.default_rng(0))

    def table(self) -> str:
        """Return the values as a Markdown table, followed by the caution if outlines are untouched."""
        rows = [[name, *self.average_precisions(name), str(self.difference(name))] for name in ("AP50", "mAP")]
        rows.append(["error of D50, %", self.before.d50_error_percent, self.after.d50_error_percent, ""])
        table = markdown_table(["", "before", "after", "difference, 95 % interval over images"], rows)
        return f"{table}\n{self.caution}\n" if self.untouched else table

    @property
    def caution(self) -> str:
        """Warning that a truth with outlines nobody drew, changed or accepted favours the model that found them."""
        found = f"{self.untouched} of {self.outline_count} outlines of the images kept back are as a model found them"
        return f"{found}: the comparison favours that model, usually the one before."


def compare_with_truth(detector: Callable[[np.ndarray], Outlines], data: Path, split: str = "val") -> Judged:
    """Run a detector on the images of a split of a converted data set, and compare with their truth.

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
