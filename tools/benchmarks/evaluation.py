"""Time matching and measurands against full-frame NumPy and scikit-image's regionprops, in one run.

python tools/benchmarks/evaluation.py
python tools/benchmarks/evaluation.py --images 19 --particles 197 --size 2048 1536

The slow others are timed once on a few particles (--others) and scaled up; ours is a median over --repeats.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from semsize.measuring.tables import markdown_table
from semsize.metrology import match, measure
from semsize.metrology.measurands import centroids_px
from semsize.structures.masks import CroppedMasks

REGION = ("area", "equivalent_diameter_area", "feret_diameter_max", "perimeter_crofton", "solidity")
REGION += ("centroid", "moments_central")


def disks(shape: tuple[int, int], count: int, rng: np.random.Generator) -> tuple[CroppedMasks, CroppedMasks]:
    """True disks of 10 to 60 px radius at random places, and found disks moved by about 2 px."""
    centres, radii = rng.uniform(0, shape, (count, 2)), rng.uniform(10, 60, count)
    moved = centres + rng.normal(0, 2, (count, 2))
    return tuple(CroppedMasks.from_crops(map(_disk, where, radii), shape) for where in (centres, moved))


def _disk(centre: np.ndarray, radius: float) -> tuple[np.ndarray, tuple[int, int]]:
    top, left = np.floor(centre - radius).astype(int)
    rows, columns = np.mgrid[: int(2 * radius) + 2, : int(2 * radius) + 2]
    inside = (rows + top + 0.5 - centre[0]) ** 2 + (columns + left + 0.5 - centre[1]) ** 2 <= radius**2
    return inside.astype(np.uint8), (int(top), int(left))


def match_full_frames(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(N, M) intersections by NumPy on full frames, a boolean operation for each pair."""
    return np.array([[np.count_nonzero(a & b) for b in found] for a in truth])


def regionprops_each(masks: np.ndarray) -> list[tuple]:
    """The same measurands but Feret minimum by scikit-image, a call for each mask, as masks may overlap."""
    from skimage.measure import regionprops

    return [tuple(getattr(regionprops(mask)[0], name) for name in REGION) for mask in masks]


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median processor seconds of the work over the repeats."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    """Time both sides and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {"images": (19, ""), "particles": (197, "particles of each image"), "repeats": (5, "repeats of ours")}
    numbers["others"] = (20, "particles on which the others are timed")
    for name, (default, meaning) in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default: %(default)s)".strip())
    parser.add_argument(
        "--size", type=int, nargs=2, default=(2048, 1536), metavar=("W", "H"), help="default: 2048 1536"
    )
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    width, height = arguments.size
    scenes = [disks((height, width), arguments.particles, rng) for _ in range(arguments.images)]
    total = arguments.images * arguments.particles

    ours_matching = seconds(lambda: [match(truth, found) for truth, found in scenes], arguments.repeats)
    ours_measuring = seconds(lambda: [(measure(truth), centroids_px(truth)) for truth, _ in scenes], arguments.repeats)
    few = min(arguments.others, arguments.particles)
    truth, found = (masks[:few].to_full().astype(bool) for masks in scenes[0])
    pairs = seconds(lambda: match_full_frames(truth, found), 1) / few**2
    each = seconds(lambda: regionprops_each(truth.astype(np.uint8)), 1) / few
    crops = seconds(lambda: regionprops_each(list(scenes[0][0][:few].crops)), 1) / few
    rows = [
        [work, other, theirs, ours, theirs / ours]
        for work, other, theirs, ours in (
            ("matching", "full-frame NumPy", pairs * arguments.images * arguments.particles**2, ours_matching),
            ("measurands", "regionprops on full frames", each * total, ours_measuring),
            ("measurands", "regionprops on the crops", crops * total, ours_measuring),
        )
    ]
    print(f"{total} particles against {total} in {arguments.images} images of {width} × {height}\n")
    print(markdown_table(["work", "other", "other, s", "ours, s", "ratio"], rows, decimals=2))


if __name__ == "__main__":
    main()
