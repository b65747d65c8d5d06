"""Gain in precision from several scales, computed from tests of one model at one scale each.

for s in 0.375 0.75 1.5; do
  python tools/test.py configs/tio2/light_free.py checkpoints/light_free.pth --data data/emps \
      --work-dir work_dirs/x$s --cfg-options model.test_cfg.scales=[$s] model.test_cfg.flips=None
done
python tools/benchmarks/scales.py data/emps/annotations/val.json 0.375=work_dirs/x0.375/emps-val \
    0.75=work_dirs/x0.75/emps-val 1.5=work_dirs/x1.5/emps-val --beside mirror=work_dirs/mirror/emps-val

Scales are joined by non-maximum suppression of masks, the reference, and by size (`semsize/detecting/joining.py`).
Seconds are means over the tests' images, added up. The second table shows whether a score means the same at each
scale: the share of detections with a score in a range that are particles (mask IoU 0.5, each particle once).
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semsize.cli import one_line_errors
from semsize.detecting.joining import Joined, join_scales
from semsize.measuring.tables import markdown_table
from semsize.metrology.comparison import found_by_image, image_truths
from semsize.metrology.matching import NOT_COUNTED, RIGHT, outcomes
from semsize.structures import (
    AnnotationError,
    CroppedMasks,
    PredictionError,
    by_image,
    read_annotations,
    read_predictions,
)
from semsize.structures.files import read_json
from semsize.structures.overlap import overlaps
from tio2.cli import required_imports

with required_imports():
    from tio2.evaluation import average_precision

COLUMNS = ("looked at", "joined by", "AP50", "mAP", "AP75", "AP90", "s / image")
SCORES = (0.05, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Ends of the ranges of scores in the second table."""


@dataclass(frozen=True)
class ScaleTest:
    """A test at one scale: its predictions by image, in the file's order."""

    scale: float
    by_image: Mapping[int, list[dict]]
    seconds: float


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path, help="annotation file of the images that were tested")
    parser.add_argument("tests", nargs="+", metavar="SCALE=FOLDER", help="folder of a test at this scale")
    parser.add_argument("--beside", action="append", default=[], metavar="NAME=FOLDER", help="a test to show unjoined")
    return parser.parse_args()


def read_test(folder: Path, scale: float) -> ScaleTest:
    """Read predictions and seconds from a test's folder."""
    predictions = by_image(read_predictions(folder / "predictions.json"))
    seconds = read_json(folder / "metrics.json", PredictionError)["seconds_per_image"]["mean"]
    return ScaleTest(scale, predictions, seconds)


def suppress(masks: CroppedMasks, scores: np.ndarray, scale_index: np.ndarray, scales: Sequence[float]) -> Joined:
    """Non-maximum suppression of masks at IoU 0.5, the reference; it ignores the scales."""
    del scale_index, scales
    pairs = overlaps(masks, masks)
    partners = defaultdict(list)
    for first, second, iou in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.iou.tolist(), strict=True):
        if iou >= 0.5 and first != second:
            partners[first].append(second)
    kept = np.zeros(len(masks), bool)
    for number in np.argsort(-scores, kind="stable").tolist():
        kept[number] = not kept[partners[number]].any()
    index = np.flatnonzero(kept)
    return Joined(index, scores[index])


def joined_predictions(tests: Sequence[ScaleTest], join: Callable[..., Joined]) -> list[dict]:
    """Predictions of all images, joined over scales."""
    scales, joined = [test.scale for test in tests], []
    for image_id in sorted(set().union(*(test.by_image for test in tests))):
        found = [(index, each) for index, test in enumerate(tests) for each in test.by_image.get(image_id, [])]
        masks = CroppedMasks.from_rles([each["segmentation"] for _, each in found])
        scores = np.array([each["score"] for _, each in found])
        particles = join(masks, scores, np.array([index for index, _ in found]), scales)
        for number, score in zip(particles.index.tolist(), particles.scores.tolist(), strict=True):
            joined.append(found[number][1] | {"score": score})
    return joined


def precision_by_score(truth: Mapping, predictions: Sequence[dict]) -> list[tuple[int, float]]:
    """Detections in each range of `SCORES`, and the share of them that are particles; NaN without any.

    By descending score a detection takes the free true particle with the largest mask IoU, 0.5 at least. Detections in
    a region to ignore do not count.
    """
    truths = image_truths(truth)
    scores, results = [], []
    for image, found in zip(truths, found_by_image(predictions, truths), strict=True):
        scores.append(found.scores)
        results.append(outcomes(image.masks, found.masks, found.scores, image.ignored)[:, 0])
    score, result = np.concatenate(scores), np.concatenate(results)
    place = np.searchsorted(SCORES[:-1], score, side="right") - 1
    in_range = [result[(place == number) & (result != NOT_COUNTED)] for number in range(len(SCORES) - 1)]
    return [(len(of), float((of == RIGHT).mean()) if len(of) else float("nan")) for of in in_range]


def looks(
    tests: Sequence[ScaleTest], beside: Sequence[tuple[str, ScaleTest]]
) -> Iterator[tuple[str, str, list[dict], float]]:
    """Yield name, way of joining, predictions and seconds of each test and of each run of neighbouring scales."""

    def alone(test: ScaleTest) -> list[dict]:
        return [each for found in test.by_image.values() for each in found]

    for name, test in beside:
        yield name, "–", alone(test), test.seconds
    for first in range(len(tests)):
        for stop in range(first + 1, len(tests) + 1):
            chosen = tests[first:stop]
            name, seconds = ", ".join(f"×{test.scale:g}" for test in chosen), sum(test.seconds for test in chosen)
            if len(chosen) == 1:
                yield name, "–", alone(chosen[0]), seconds
            else:
                yield name, "suppression", joined_predictions(chosen, suppress), seconds
                yield name, "size", joined_predictions(chosen, join_scales), seconds


def main() -> None:
    """Read the tests, join their scales, evaluate and print both tables."""
    arguments = parse_arguments()
    with one_line_errors(AnnotationError, PredictionError):
        truth = read_annotations(arguments.truth)
        named = [entry.rpartition("=") for entry in arguments.tests]
        tests = sorted((read_test(Path(folder), float(scale)) for scale, _, folder in named), key=lambda t: t.scale)
        named = [entry.rpartition("=") for entry in arguments.beside]
        beside = [(name, read_test(Path(folder), 1.0)) for name, _, folder in named]
        rows, score_rows = [], []
        for name, joining, predictions, seconds in looks(tests, beside):
            precision = average_precision(truth, predictions, "segm").uncapped
            values = [precision[column] for column in ("AP50", "mAP", "AP75", "AP90")]
            rows.append([name, joining, *values, f"{seconds:.2f}"])
            shares = precision_by_score(truth, predictions)
            score_rows.append(
                [name, joining, *(f"{share:.2f} of {count}" if count else "–" for count, share in shares)]
            )
    ranges = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(SCORES)]
    print(markdown_table(COLUMNS, rows))
    print(markdown_table([*COLUMNS[:2], *ranges], score_rows))


if __name__ == "__main__":
    main()
