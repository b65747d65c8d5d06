"""Search the classical pipeline's parameters on the training images; find particles in a split with the best.

python tools/baselines/watershed.py --data data/bam-tio2-sem
python tools/baselines/watershed.py --data data/bam-tio2-sem --family clustering --sets 200

Leaves work_dirs/watershed (or work_dirs/clustering) as training and testing leave theirs; its search.json keeps the
search, which is not done again while it stands there.
"""

import argparse
import itertools
import random
from collections.abc import Iterable
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import quiet_imports

FAMILIES = {
    "watershed": [
        "otsu",
        "li",
        "triangle",
        "local -0.1",
        "local 0",
        "local 0.2",
        "local, narrow",
        "otsu and local, narrow",
    ],
    "clustering": [
        "kmeans, brightest",
        "kmeans, two brighter",
        "gmm, brightest",
        "gmm, two brighter",
        "kmeans, two brighter, and local",
        "gmm, two brighter, and local",
    ],
}
CHOICES = {  # what the search draws from, besides the family's thresholds
    "blur_px": (0.0, 1.0, 1.5, 2.5, 4.0),
    "opening_px": (0, 1, 2, 4),
    "smoothing_px": (0.0, 1.0, 2.0),
    "h_px": (0.25, 0.5, 1.0, 2.0),
    "min_area_px": (12, 40, 100, 200),
}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with annotations/ and images/")
    parser.add_argument("--family", choices=list(FAMILIES), default="watershed", help="default: %(default)s")
    parser.add_argument("--sets", type=int, default=216, help="parameter sets drawn (default: %(default)s)")
    parser.add_argument("--finalists", type=int, default=12, help="sets tried on whole images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    parser.add_argument("--split", default="val", help="where the best set is applied (default: %(default)s)")
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/<family>")
    return parser.parse_args()


def main() -> None:
    """Search on train, apply to the split, write."""
    arguments = parse_arguments()
    with quiet_imports():
        from tqdm import tqdm

        from semsize.structures import AnnotationError
        from tio2.baselines import Parameters, read_search, run_search
        from tio2.evaluation.baseline_run import write_baseline

    folder = arguments.work_dir or Path("work_dirs") / arguments.family
    combinations = list(itertools.product(*CHOICES.values(), FAMILIES[arguments.family]))
    drawn = random.Random(arguments.seed).sample(combinations, min(arguments.sets, len(combinations)))
    sets = [Parameters(**dict(zip((*CHOICES, "threshold"), values, strict=True))) for values in drawn]

    def bar(items: Iterable) -> tqdm:
        return tqdm(items, desc="searching", unit="set", disable=None)

    with one_line_errors(AnnotationError, OSError):
        if not (folder / "search.json").is_file():
            run_search(arguments.data, sets, arguments.finalists, folder / "search.json", bar)
        found = read_search(folder / "search.json")
        print(f"best of {found.sets} sets: F1 {found.best.f1:.3f} on train, {found.best.parameters}")
        write_baseline(folder, arguments.family, arguments.data, arguments.split, found)
    print(f"written: {folder}/{arguments.split}")


if __name__ == "__main__":
    main()
