"""What the frame does to sizes, and the weights undo: random crops of a rendered field, as docs/uncertainty.md has it.

python tools/benchmarks/border.py
python tools/benchmarks/border.py --particles 400 --crops 1000 --seed 1

Outlines are the whole ones, from the renderer's truth; the field continues on its other side, so that a crop may lie
anywhere and all particles have the same chance.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from semsize.measuring.tables import markdown_table
from semsize.metrology import border_weights, equivalent_circular_diameter
from semsize.metrology.size_distribution import PROBABILITIES, weighted_quantiles
from semsize.synthesis import RenderSettings, render_image

BATCHES = 10
COLUMNS = ("D10", "D50", "D90", "mean")


@dataclass(frozen=True, eq=False)
class Field:
    """Particles of a large field."""

    ecd_px: np.ndarray  # (N,)
    low: np.ndarray  # (N, 2) int64: first pixel, (row, column)
    extent: np.ndarray  # (N, 2) int64: pixels, (rows, columns)
    shape: np.ndarray  # (2,) rows, columns


@dataclass(frozen=True, eq=False)
class Crops:
    """What random crops hold that does not touch their border: (K,) each."""

    particles: np.ndarray  # number in the field
    weights: np.ndarray
    batches: np.ndarray  # of crops, 0 to BATCHES - 1


def rendered_field(particles: int, seed: int) -> Field:
    """Scattered particles, some 50 px apart on average, that its own border does not cut."""
    side = max(round(50 * particles**0.5), 400)
    truth = render_image(RenderSettings(seed, (side, side), "scattered", particles=particles), 0).truth
    full = truth.full[~truth.truncated]
    extent = np.array([crop.shape for crop in full.crops])
    return Field(equivalent_circular_diameter(full.areas), full.origins, extent, np.array([side, side]))


def crop_at_random(field: Field, side: int, crops: int, rng: np.random.Generator) -> Crops:
    """Square crops of one side anywhere on the field."""
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
    """(4,) errors of `COLUMNS` in %, against all particles of the field."""
    found = field.ecd_px[crops.particles]
    measured = [*weighted_quantiles(found, weights, PROBABILITIES), np.average(found, weights=weights)]
    true = [*weighted_quantiles(field.ecd_px, np.ones(len(field.ecd_px)), PROBABILITIES), field.ecd_px.mean()]
    return 100 * (np.array(measured) / true - 1)


def rows(field: Field, side: int, crops: Crops) -> list[list]:
    """Unweighted, then weighted: error and its standard error from batches of crops."""
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


def main() -> None:
    """Render, crop, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=1500, help="in the field (default: %(default)s)")
    parser.add_argument("--crops", type=int, default=4000, help="of each side (default: %(default)s)")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 192, 256, 512], help="px, default: 128 … 512")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    arguments = parser.parse_args()
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
