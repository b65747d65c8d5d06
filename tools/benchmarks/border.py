"""Error of sizes from the frame's border, without and with weights, in random crops of a rendered field.

python tools/benchmarks/border.py
python tools/benchmarks/border.py --particles 400 --crops 1000 --seed 1
python tools/benchmarks/border.py --gaps data/bam-tio2-sem/annotations/val.json predictions.json

docs/uncertainty.md quotes the result. Outlines are the whole ones of the renderer's truth. The field wraps around, so
that a crop may lie anywhere and all particles have the same chance. With --gaps no field is rendered: annotated
outlines, and those found with a score of 0.5 or more, are counted by their distance in pixels from the nearest edge of
the frame; the last rows tell found outlines apart by whether the annotated outline that they match reaches the edge.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from semsize.cli import one_line_errors
from semsize.measuring.tables import markdown_table
from semsize.metrology import border_weights, compare_split, equivalent_circular_diameter
from semsize.metrology.border import edge_gaps_px
from semsize.metrology.size_distribution import PROBABILITIES, weighted_quantiles
from semsize.structures import AnnotationError, PredictionError, read_annotations, read_predictions
from semsize.synthesis import RenderSettings, render_image

BATCHES = 10
COLUMNS = ("D10", "D50", "D90", "mean")
GAPS_PX = range(6)


@dataclass(frozen=True, eq=False)
class Field:
    """Particles of a large field."""

    ecd_px: np.ndarray  # (N,)
    low: np.ndarray  # (N, 2) int64: first (row, column) of each particle
    extent: np.ndarray  # (N, 2) int64: height and width of each particle, pixels
    shape: np.ndarray  # (2,) rows, columns


@dataclass(frozen=True, eq=False)
class Crops:
    """Particles in random crops that do not touch the crop's border: (K,) each."""

    particles: np.ndarray  # number in the field
    weights: np.ndarray
    batches: np.ndarray  # batch of the particle's crop, 0 to BATCHES - 1


def rendered_field(particles: int, seed: int) -> Field:
    """Render scattered particles, about 50 px apart on average; those that the field's border cuts are left out."""
    side = max(round(50 * particles**0.5), 400)
    truth = render_image(RenderSettings(seed, (side, side), "scattered", particles=particles), 0).truth
    full = truth.full[~truth.truncated]
    extent = np.array([crop.shape for crop in full.crops])
    return Field(equivalent_circular_diameter(full.areas), full.origins, extent, np.array([side, side]))


def crop_at_random(field: Field, side: int, crops: int, rng: np.random.Generator) -> Crops:
    """Cut square crops of one side length anywhere on the field."""
    found, weights, batches = [], [], []
    for number in range(crops):
        low = (field.low - rng.integers(0, field.shape)) % field.shape  # (N, 2)
        inside = np.flatnonzero((low + field.extent <= side).all(axis=1))
        boxes = np.hstack([low[:, ::-1], (low + field.extent)[:, ::-1]])[inside]
        of_crop = border_weights(boxes, (side, side))
        whole = ~np.isnan(of_crop)
        found.append(inside[whole])
        weights.append(of_crop[whole])
        batches.append(np.full(len(found[-1]), number * BATCHES // crops))
    return Crops(*map(np.concatenate, (found, weights, batches)))


def errors(field: Field, crops: Crops, weights: np.ndarray) -> np.ndarray:
    """(4,) errors of `COLUMNS` in %, relative to all particles of the field."""
    found = field.ecd_px[crops.particles]
    measured = [*weighted_quantiles(found, weights, PROBABILITIES), np.average(found, weights=weights)]
    true = [*weighted_quantiles(field.ecd_px, np.ones(len(field.ecd_px)), PROBABILITIES), field.ecd_px.mean()]
    return 100 * (np.array(measured) / true - 1)


def rows(field: Field, side: int, crops: Crops) -> list[list]:
    """An unweighted and a weighted row: errors with their standard errors from batches of crops."""
    result = []
    for name, weights in (("unweighted", np.ones_like(crops.weights)), ("weighted", crops.weights)):
        parts = [crops.batches == batch for batch in range(BATCHES)]
        spread = np.std(
            [
                errors(field, Crops(*(getattr(crops, key)[part] for key in vars(crops))), weights[part])
                for part in parts
            ],
            axis=0,
            ddof=1,
        )
        texts = [
            f"{error:+.2f} ± {std:.2f}"
            for error, std in zip(errors(field, crops, weights), spread / np.sqrt(BATCHES), strict=True)
        ]
        result.append([side, name, *texts, float(crops.weights.max())])
    return result


def gap_rows(annotations: Path, predictions: Path) -> list[list]:
    """Numbers of outlines, in all and by their distance from the edge: annotated, found, and found by matched outline.

    A found outline is told apart by whether the annotated outline that it matches is at 0 px.
    """
    every = {"annotated": [], "found": [], "found, matching one at 0 px": [], "found, matching another": []}
    for image in compare_split(read_annotations(annotations), read_predictions(predictions)):
        frame, pairs = image.truth.masks.image_shape, image.matching
        true, found = (edge_gaps_px(side.masks.boxes, frame) for side in (image.truth, image.found))
        at_edge = true[pairs.truth] == 0
        parts = true, found, found[pairs.found][at_edge], found[pairs.found][~at_edge]
        for gaps, part in zip(every.values(), parts, strict=True):
            gaps.extend(part.tolist())
    return [[name, len(gaps), *map(gaps.count, GAPS_PX)] for name, gaps in every.items()]


def main() -> None:
    """Render, crop and print the errors; or count gaps and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=1500, help="particles of the field (default: %(default)s)")
    parser.add_argument("--crops", type=int, default=4000, help="crops of each side length (default: %(default)s)")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 192, 256, 512], help="px (default: 128 … 512)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--gaps", nargs=2, type=Path, metavar=("ANNOTATIONS", "PREDICTIONS"), help="only count gaps at the edge"
    )
    arguments = parser.parse_args()
    if arguments.gaps:
        with one_line_errors(AnnotationError, PredictionError, OSError, ValueError):
            header = ["outlines", "all", *(f"{gap} px" for gap in GAPS_PX)]
            print(markdown_table(header, gap_rows(*arguments.gaps)))
        return
    field = rendered_field(arguments.particles, arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    table = []
    for side in tqdm(arguments.sides, unit="side", disable=None):
        table += rows(field, side, crop_at_random(field, side, arguments.crops, rng))
    high = np.quantile(field.ecd_px, 0.99)
    print(f"{len(field.ecd_px)} particles, D50 {np.median(field.ecd_px):.1f} px, 99 % below {high:.0f} px\n")
    header = ["crop, px", "statistic", *(f"{name}, %" for name in COLUMNS), "largest weight"]
    print(markdown_table(header, table, decimals=2))


if __name__ == "__main__":
    main()
