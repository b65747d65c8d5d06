r"""How well a model finds particles of 10 to 300 px at several pixel sizes, and how large it draws them.

for nm in 29.376 14.688 7.344 3.672 1.836; do
  python tools/render_dataset.py --num 8 --preset agglomerated --pixel-size $nm --seed 77 --fractions 0 0 1 \
      --out data/magnified/$nm
  python tools/test.py configs/tio2/light_free.py checkpoints/light_free.pth --data data/magnified/$nm --split test \
      --work-dir work_dirs/magnified/$nm
done
python tools/benchmarks/magnifications.py data/magnified/*/annotations/test.json --tests work_dirs/magnified/*/*-test

The first table has a row for each pixel size. Particles of other sizes do not count, nor do detections there. *merged*
counts detections that hold two particles, *swallowed* particles in the mask of another, *divided* particles that
several detections share, *parts* detections inside one particle (semsize/metrology/error_causes.py), each as a share of
the particles. The second table has a row for each range of true sizes: the bias is the mean of found over true ECD of
matched particles that are not truncated, with its standard error.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semsize.cli import one_line_errors
from semsize.measuring.tables import markdown_table
from semsize.metrology.comparison import ImageComparison, compare_split
from semsize.metrology.error_causes import image_errors
from semsize.metrology.matching import NOT_COUNTED, RIGHT, outcomes, pooled_average_precision
from semsize.metrology.measurands import equivalent_circular_diameter
from semsize.sem import SEMReadError, read_grey
from semsize.sem.image_sets import default_image_folder
from semsize.structures import AnnotationError, CroppedMasks, PredictionError, read_annotations, read_predictions

SIZES_PX = (10, 300)
BINS_PX = (10, 14, 20, 28, 40, 57, 80, 113, 160, 226, 300)  # half octaves
CAUSES = {
    "merged, %": ("merged",),
    "swallowed, %": ("swallowed",),
    "divided, %": ("split",),
    "parts, %": ("part of a found one", "part of a missed one"),
}
"""Column of the first table to the `MISS_CAUSES` and `FALSE_CAUSES` that it counts."""

BY_MAGNIFICATION = ("nm / px", "particles", "median px", "AP50", "mAP", "found, %", "false", *CAUSES)
BY_SIZE = ("true ECD, px", "matched", "bias, %", "standard error, %", "spread, %")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truths", type=Path, nargs="+", help="annotation file of each pixel size")
    parser.add_argument("--tests", type=Path, nargs="+", required=True, help="test folder of each truth, in order")
    arguments = parser.parse_args()
    if len(arguments.truths) != len(arguments.tests):
        parser.error(f"{len(arguments.truths)} annotation files and {len(arguments.tests)} tests: give one for each")
    return arguments


def of_sizes(sizes: np.ndarray) -> np.ndarray:
    """(N,) bool: whether a size counts."""
    return (sizes >= SIZES_PX[0]) & (sizes < SIZES_PX[1])


def precision(images: Sequence[ImageComparison]) -> np.ndarray:
    """(10,) average precision of particles of `SIZES_PX`; a detection of another size counts only if it is right."""
    scores, results, particles = [], [], 0
    for image in images:
        judged = of_sizes(image.true_measurands.ecd_px)
        others = np.flatnonzero(~judged)
        ignored = CroppedMasks.cat([image.truth.ignored, image.truth.masks[others]])
        masks = image.detections.masks
        result = outcomes(image.truth.masks[np.flatnonzero(judged)], masks, image.detections.scores, ignored)
        result[~of_sizes(equivalent_circular_diameter(masks.areas))[:, None] & (result != RIGHT)] = NOT_COUNTED
        scores.append(image.detections.scores)
        results.append(result)
        particles += int(judged.sum())
    return pooled_average_precision(scores, results, particles)


def magnification_row(images: Sequence[ImageComparison], folder: Path) -> list[str]:
    """A row of the first table."""
    sizes = [image.true_measurands.ecd_px for image in images]
    judged = np.concatenate([of_sizes(each) for each in sizes])
    found = np.concatenate([np.isin(np.arange(len(i.truth.masks)), i.matching.truth) for i in images])
    false = sum(of_sizes(i.found_measurands.ecd_px[i.matching.false_positives]).sum() for i in images)
    counts = Counter()
    for image in images:
        errors = image_errors(image, read_grey(folder / image.truth.file_name))
        counts.update(errors.false_causes)
        counts.update(cause for cause in errors.miss_causes if cause != "merged")  # the merged detection counts already
    values = precision(images)
    number = int(judged.sum())
    nm = images[0].truth.pixel_size.value_nm if images[0].truth.pixel_size else float("nan")
    median = np.median(np.concatenate(sizes)[judged]) if number else float("nan")
    shares = [f"{100 * sum(counts[cause] for cause in of) / max(1, number):.1f}" for of in CAUSES.values()]
    found_share = f"{100 * found[judged].mean():.1f}" if number else "–"
    precisions = [f"{values[0]:.3f}", f"{values.mean():.3f}"]
    return [f"{nm:.4g}", str(number), f"{median:.0f}", *precisions, found_share, str(false), *shares]


def size_rows(images: Sequence[ImageComparison]) -> list[list[str]]:
    """Rows of the second table."""
    true = np.concatenate([i.true_measurands.ecd_px[i.matching.truth] for i in images])
    found = np.concatenate([i.found_measurands.ecd_px[i.matching.found] for i in images])
    whole = ~np.concatenate([i.truth.truncated[i.matching.truth] for i in images])
    rows = []
    for low, high in itertools.pairwise(BINS_PX):
        chosen = (true >= low) & (true < high) & whole
        residuals = 100 * (found[chosen] / true[chosen] - 1)
        if len(residuals) < 2:
            rows.append([f"{low} to {high}", str(len(residuals)), "–", "–", "–"])
            continue
        spread = residuals.std(ddof=1)
        values = f"{residuals.mean():+.1f}", f"{spread / np.sqrt(len(residuals)):.1f}", f"{spread:.1f}"
        rows.append([f"{low} to {high}", str(len(residuals)), *values])
    return rows


def main() -> None:
    """Read truths and tests, compare them and print both tables."""
    arguments = parse_arguments()
    with one_line_errors(AnnotationError, PredictionError, SEMReadError, OSError, ValueError):
        rows, all_images = [], []
        for truth_file, test in zip(arguments.truths, arguments.tests, strict=True):
            images = compare_split(read_annotations(truth_file), read_predictions(test / "predictions.json"))
            folder = default_image_folder(truth_file)
            rows.append(magnification_row(images, folder))
            all_images += images
        print(markdown_table(BY_MAGNIFICATION, rows))
        print()
        print(markdown_table(BY_SIZE, size_rows(all_images)))


if __name__ == "__main__":
    main()
