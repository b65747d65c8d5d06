"""Search parameters of a classical pipeline on the training images; find a split's particles with the best set.

python tools/baselines/watershed.py --data data/bam-tio2-sem
python tools/baselines/watershed.py --data data/bam-tio2-sem --family clustering --sets 200

Writes the files of a training and a test into work_dirs/watershed (or work_dirs/clustering). search.json keeps the
result of the search; while it exists, the search is not repeated.
"""

import argparse
import itertools
import random
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import required_imports

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
CHOICES = {  # values that the search draws, besides the family's thresholds
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
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (default: %(default)s)")
    parser.add_argument("--split", default="val", help="split to apply the best set to (default: %(default)s)")
    parser.add_argument("--work-dir", type=Path, help="folder to write to (default: work_dirs/<family>)")
    return parser.parse_args()


def write_results(folder: Path, family: str, data: Path, split: str, found) -> None:
    """Find the particles of a split with the best set of a search; write the files of a training and a test.

    All particles count, from score 0 on: the score is the contrast across the outline and serves only to rank them.
    """
    from semsize.metrology import compare_split, particle_metrics
    from semsize.sem import read_grey
    from semsize.structures import prediction_entry, read_annotations, write_predictions
    from semsize.structures.files import file_sha256, write_json
    from tio2.baselines import contrast_scores, segment
    from tio2.evaluation import coco_metrics
    from tio2.reporting.report import write_report

    annotations = data / "annotations" / f"{split}.json"
    truth = read_annotations(annotations)
    images = data / "images" / split
    predictions, seconds = [], []
    for image in truth["images"]:
        began = time.perf_counter()
        grey = read_grey(images / image["file_name"])
        masks = segment(grey, found.parameters)
        rows = zip(masks.boxes, contrast_scores(grey, masks), masks.to_rles(), strict=True)
        predictions += [prediction_entry(image["id"], image["file_name"], *row) for row in rows]
        seconds.append(time.perf_counter() - began)
    write_predictions(folder / split / "predictions.json", predictions)
    compared = compare_split(truth, predictions, min_score=0.0)
    metrics = {f"coco/{name}": value for name, value in coco_metrics(truth, predictions).items()}
    metrics |= {f"particles/{name}": value for name, value in particle_metrics(compared).items()}
    record = {
        "config": family,
        "annotations_sha256": file_sha256(annotations),
        "split": split,
        "images": len(truth["images"]),
        "operating_point": {"score": 0.0},
        "seconds_per_image": {"median": sorted(seconds)[len(seconds) // 2], "mean": sum(seconds) / len(seconds)},
        "metrics": metrics,
    }
    best = asdict(found.parameters)
    write_json(folder / "run.json", {"config": family, "seconds": found.seconds, "sets": found.sets, "best": best})
    write_report(folder / split, compared, record, images, min_score=0.0)


def main() -> None:
    """Search on the training images, or read a former search; apply the best set to the split."""
    arguments = parse_arguments()
    with required_imports():
        from tqdm import tqdm

        from semsize.structures import AnnotationError
        from tio2.baselines import Parameters, SearchError, read_search, run_search

    folder = arguments.work_dir or Path("work_dirs") / arguments.family
    combinations = list(itertools.product(*CHOICES.values(), FAMILIES[arguments.family]))
    drawn = random.Random(arguments.seed).sample(combinations, min(arguments.sets, len(combinations)))
    sets = [Parameters(**dict(zip((*CHOICES, "threshold"), values, strict=True))) for values in drawn]

    def bar(items: Iterable) -> tqdm:
        return tqdm(items, desc="searching", unit="set", disable=None)

    with one_line_errors(AnnotationError, SearchError, OSError):
        if not (folder / "search.json").is_file():
            run_search(arguments.data, sets, arguments.finalists, folder / "search.json", bar)
        found = read_search(folder / "search.json")
        print(f"best of {found.sets} sets: F1 {found.f1:.3f} on train, {found.parameters}")
        write_results(folder, arguments.family, arguments.data, arguments.split, found)
    print(f"written: {folder}/{arguments.split}")


if __name__ == "__main__":
    main()
