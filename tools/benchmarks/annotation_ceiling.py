"""Score a detector that finds every particle's true outline against annotations with people's errors.

python tools/benchmarks/annotation_ceiling.py data/bam-tio2-sem/annotations/train.json data/bam-tio2-sem/images/train \
    --exact data/rendered/annotations/test.json data/rendered/images/test
python tools/benchmarks/annotation_ceiling.py data/bam-tio2-sem/annotations/val.json --dilate

People's errors are measured: edges vary more in their distance from annotated outlines than from the exact outlines of
rendered images. The detector then finds each particle as it is, and the annotator draws it with such errors
(docs/notebook/errors.md). --dilate compares the annotations with themselves, one pixel larger on every side.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from annotators import AnnotatorErrors, annotated, exact, scene_of, windows_of
from outline_offsets import OffsetSpread, edge_offsets, offset_spread, valley_offsets
from semsize.cli import one_line_errors
from semsize.measuring.tables import markdown_table
from semsize.metrology import metrics
from semsize.metrology.comparison import ImageFound, ImageTruth, compare_image, image_truths
from semsize.metrology.hulls import MARGIN_PX
from semsize.metrology.matching import outcomes, pooled_average_precision
from semsize.metrology.metrics import diameter_differences, diameter_spread
from semsize.sem import SEMReadError, read_grey
from semsize.structures import AnnotationError, read_annotations
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import FULLY_IMAGED_STATES

LEAST_AREA_PX = 200
LEAST_POINTS = {"substrate": 20, "another particle": 8}
SHARES = {"low": (0.003, 0.015), "middle": (0.005, 0.025), "high": (0.01, 0.04)}
"""Shares of particles that nobody annotated, and of those annotated as one with a neighbour or as two (half each).
Estimated by eye from a model's errors: docs/notebook/errors.md."""
INNER = {"low": 1.0, "middle": 1.25, "high": 2.0}
"""Factor on the outline's error beside another particle: no change; where a valley is visible; where none is."""

HEADER = (
    "annotations with",
    "AP50",
    "mAP",
    "AP75",
    "AP90",
    "AP50, any order",
    "mAP",
    "AP75",
    "AP90",
    "useful found, %",
    "false",
    "Dice",
    "ECD, %",
    "± %",
    "± px",
    "middle ± px",
    "image IoU",
    "IoU over found",
    "IoU over truths",
)
"""For the first four average precisions scores rise with the particle's size, which is all that a detector can know
about its outline's error; for the other four scores are random. The middle ± is the standard deviation of a normal
distribution with the same median absolute deviation, so tails do not count."""


def main() -> None:
    """Measure the outlines' errors, draw annotations with them and print the scores."""
    arguments = parse_arguments()
    with one_line_errors(AnnotationError, SEMReadError, OSError):
        truths = image_truths(read_annotations(arguments.annotations))
        if arguments.dilate:
            rows = [["one pixel more", *row_of(truths, [dilated(truth) for truth in truths], np.random.default_rng(0))]]
            print(markdown_table(HEADER, rows))
            return
        people = spreads(truths, arguments.images)
        exact_ones = spreads(image_truths(read_annotations(arguments.exact[0])), arguments.exact[1])
    print(markdown_table(*offsets_table(people, exact_ones)))
    within, between = excess(people["substrate"], exact_ones["substrate"])
    scenes = [scene_of(truth) for truth in truths]
    rows = []
    for name, errors in cases(within, between).items():
        of_seeds = [judged(scenes, errors, np.random.default_rng(seed)) for seed in range(arguments.repeats)]
        rows.append([name, *np.mean(of_seeds, axis=0).tolist()])
    print(f"Means of {arguments.repeats} annotations of {len(truths)} images.\n")
    print(markdown_table(HEADER, rows))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, help="annotation file made by people")
    parser.add_argument("images", type=Path, nargs="?", help="folder of its images")
    parser.add_argument("--exact", type=Path, nargs=2, metavar=("FILE", "IMAGES"), help="rendered annotations")
    parser.add_argument("--dilate", action="store_true", help="only judge the annotations one pixel larger")
    parser.add_argument("--repeats", type=int, default=2, help="annotations drawn in each case (default: %(default)s)")
    arguments = parser.parse_args()
    if not arguments.dilate and (arguments.images is None or arguments.exact is None):
        parser.error("give the images' folder and --exact, or --dilate")
    return arguments


def spreads(truths: Sequence[ImageTruth], images: Path) -> dict[str, OffsetSpread]:
    """Offsets of edges from the outlines of fully imaged particles, towards the substrate and another particle."""
    offsets = {"substrate": [], "another particle": []}
    for truth in truths:
        grey = read_grey(images / truth.file_name)
        for number, (place, mask, others) in enumerate(windows_of(truth.masks)):
            apart_from_frame = mask[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX].sum() == mask.sum()
            if truth.states[number] in FULLY_IMAGED_STATES and mask.sum() >= LEAST_AREA_PX and apart_from_frame:
                offsets["substrate"].append(edge_offsets(mask, others, grey[place]))
                offsets["another particle"].append(valley_offsets(mask, others, grey[place]))
    return {side: offset_spread(of_side, LEAST_POINTS[side]) for side, of_side in offsets.items()}


def excess(people: OffsetSpread, exact_ones: OffsetSpread) -> tuple[float, float]:
    """Standard deviations within and between outlines, px, by which annotations exceed exact outlines."""
    within = people.within_covariance[0] - exact_ones.within_covariance[0]
    between = people.between_std_px**2 - exact_ones.between_std_px**2
    return float(np.sqrt(max(within, 0))), float(np.sqrt(max(between, 0)))


def cases(within_px: float, between_px: float) -> dict[str, AnnotatorErrors]:
    """Each kind of error alone, then all of them."""
    outlines = dict(within_px=within_px, between_px=between_px)
    missed, disputed = SHARES["middle"]
    together = {
        f"all but gaps, {name}": AnnotatorErrors(
            missed=missed_share, joined=share / 2, divided=share / 2, inner=INNER[name], **outlines
        )
        for name, (missed_share, share) in SHARES.items()
    }
    return {
        "no errors": AnnotatorErrors(),
        "one-pixel gaps": AnnotatorErrors(gaps=True),
        "outlines": AnnotatorErrors(**outlines),
        "missed ones": AnnotatorErrors(missed=missed),
        "disputed ones": AnnotatorErrors(joined=disputed / 2, divided=disputed / 2),
        **together,
        "all, middle": replace(together["all but gaps, middle"], gaps=True),
    }


def judged(scenes: Sequence, errors: AnnotatorErrors, rng: np.random.Generator) -> list[float]:
    """Row of `row_of` for the true outlines against annotations with these errors."""
    truths = [annotated(scene, errors, rng) for scene in scenes]
    return row_of(truths, [exact(scene, gaps_filled=errors.gaps) for scene in scenes], rng)


def row_of(truths: Sequence[ImageTruth], founds: Sequence[CroppedMasks], rng: np.random.Generator) -> list[float]:
    """The row of `HEADER` after its first cell."""
    by_size = [masks.areas / (masks.areas + 1) for masks in founds]  # from 0.5 to 1, rising with size
    at_random = [rng.random(len(masks)) for masks in founds]
    images = [compare_image(t, ImageFound(*f)) for t, *f in zip(truths, founds, by_size, strict=True)]
    precisions = []
    for scores in (by_size, at_random):
        of_images = [outcomes(t.masks, f, s, t.ignored) for t, f, s in zip(truths, founds, scores, strict=True)]
        precisions.append(pooled_average_precision(scores, of_images, sum(len(t.masks) for t in truths)))
    size = metrics.residuals(images, "useful", "ecd_px")
    pairs = [diameter_differences(image)[image.matched_members("useful")] for image in images]
    apart = diameter_spread(np.concatenate(pairs))
    quality = metrics.instance_quality(images)
    return [
        *(float(value) for p in precisions for value in (p[0], p.mean(), p[5], p[8])),
        metrics.found_counts(images, "useful").percentage,
        metrics.detection_counts(images).false_positives,
        metrics.dice_spread(images, "useful").mean,
        size.mean,
        size.std,
        apart.std_px,
        apart.middle_std_px,
        quality.foreground_iou,
        quality.iou_over_predictions,
        quality.iou_over_truths,
    ]


def offsets_table(people: dict[str, OffsetSpread], exact_ones: dict[str, OffsetSpread]) -> tuple[list, list]:
    """Header and rows: spreads, the excess of annotations, and the distance over which its correlation falls to 1/e."""
    header = ["edges towards", "outlines", "mean, px", "within, px", "between, px", "correlated over, px"]
    rows = []
    for side, of_side in people.items():
        for name, spread in (("annotated", of_side), ("exact", exact_ones[side])):
            within = float(np.sqrt(spread.within_covariance[0]))
            rows.append([f"{side}, {name}", spread.outlines, spread.mean_px, within, spread.between_std_px, None])
        covariance = of_side.within_covariance - exact_ones[side].within_covariance
        length = int((covariance < covariance[0] / np.e).argmax())
        rows.append([f"{side}, beyond", None, None, *excess(of_side, exact_ones[side]), length])
    return header, rows


def dilated(truth: ImageTruth) -> CroppedMasks:
    """The true masks, grown by the pixels that share a side with them, within the frame."""
    grown = ((ndimage.binary_dilation(np.pad(crop, 1)), (row - 1, column - 1)) for crop, (row, column) in truth.masks)
    return CroppedMasks.from_crops(grown, truth.masks.image_shape)


if __name__ == "__main__":
    main()
