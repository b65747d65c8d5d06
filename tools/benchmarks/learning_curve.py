r"""Precision of a model and its error of D50 after learning from 0, 1, 2, 4 and 8 corrected images.

python tools/benchmarks/learning_curve.py spheres --minutes 20 --out work_dirs/learning/spheres
python tools/benchmarks/learning_curve.py data/emps --model nc --minutes 20 --judged 24 --out work_dirs/learning/emps
python tools/benchmarks/learning_curve.py data/emps --model nc --steps 150 --orders random doubt --seeds 5 \
    --out work_dirs/learning/orders

SET is a converted data set: images of `train` with their true outlines stand for corrected images, and those of `val`
are judged; `spheres` renders spheres of 120 px. Each seed draws a pool of images; the model learns from the first 1, 2,
… in each order, as in tools/learn.py. With two orders the areas under the curves of mAP over the logarithm of
1 + images are compared seed by seed. Started again, the program goes on where it stopped. `free` has learned from most
images of EMPS; `nc` has seen none.
"""

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from semsize.cli import one_line_errors
from semsize.correcting.doubts import Doubts
from semsize.correcting.operations import Corrections
from semsize.detecting.models import SHIPPED
from semsize.measuring.tables import markdown_table
from semsize.metrology.intervals import t_interval
from semsize.metrology.matching import OPERATING_SCORE
from semsize.sem import SEMReadError, read_grey
from semsize.structures import AnnotationError, read_annotations, write_annotations
from semsize.structures.files import in_json, read_json, write_json
from semsize.structures.parts import usable_cores
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset
from tio2.cli import required_imports
from tio2.reporting.gain import compare_with_truth

if TYPE_CHECKING:
    from semsize.measuring.outlines import Outlines
    from tio2.inference import Detector

SPHERES = DatasetPlan(
    RenderSettings(seed=120, shape=(704, 1024), preset="spheres", particles=60, pixel_size_nm=203 / 120),
    num=24,
    fractions=(2 / 3, 1 / 3, 0.0),
)
"""Heaps of spheres with a median of 203 nm."""


@dataclass(frozen=True)
class Point:
    """The result of one training."""

    order: str
    seed: int
    images: int  # number of images from which it learned
    minutes: float  # duration of the training, loading included
    ap50: float
    mean_ap: float
    d50_error_percent: float

    def is_of(self, order: str, seed: int, images: int) -> bool:
        """Whether it has this order, seed and number of images; without images the order does not matter."""
        return (self.seed, self.images) == (seed, images) and (not images or self.order == order)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("set", metavar="SET", help="spheres, or folder of a converted data set")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of curve.json and its data")
    add("--counts", type=int, nargs="+", default=[0, 1, 2, 4, 8], metavar="K", help="images (default: 0 1 2 4 8)")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--minutes", type=float, help="duration of each training (default: 20)")
    limit.add_argument("--steps", type=int, help="steps of each training, in place of minutes")
    add("--orders", nargs="+", choices=["random", "doubt"], default=["random"], help="default: random")
    add("--seeds", type=int, default=1, metavar="N", help="number of seeds, each with a pool (default: %(default)s)")
    add("--pool", type=int, default=32, metavar="N", help="images that each seed draws (default: %(default)s)")
    add("--judged", type=int, default=8, metavar="N", help="images of val to judge (default: %(default)s)")
    add("--model", choices=list(SHIPPED), default="free", help="model to start from (default: %(default)s)")
    options = parser.parse_args()
    if options.steps is None and options.minutes is None:
        options.minutes = 20.0
    return options


def part_of(data: Path, split: str, names: Sequence[str], folder: Path) -> None:
    """Copy some images of a split of a data set, with their annotations, into the same split of another set."""
    truth = read_annotations(data / "annotations" / f"{split}.json")
    images = [image for image in truth["images"] if image["file_name"] in names]
    ids = {image["id"] for image in images}
    annotations = [each for each in truth["annotations"] if each["image_id"] in ids]
    target = folder / "images" / split
    target.mkdir(parents=True)
    for image in images:
        shutil.copyfile(data / "images" / split / image["file_name"], target / image["file_name"])
    write_annotations(folder / "annotations" / f"{split}.json", truth | {"images": images, "annotations": annotations})


def names_of(data: Path, split: str) -> list[str]:
    """Names of the images of a split."""
    return [image["file_name"] for image in read_annotations(data / "annotations" / f"{split}.json")["images"]]


def pool_of(data: Path, seed: int, size: int, orders: Sequence[str], detector: "Detector") -> dict[str, list[str]]:
    """Each order to the names of a seed's images in that order; `random` is the order in which they were drawn."""
    drawn = np.random.default_rng(seed).permutation(names_of(data, "train"))[:size].tolist()
    pools = {"random": drawn}
    if "doubt" in orders:
        found = [detector(read_grey(data / "images" / "train" / name)) for name in drawn]
        # the sum of the doubts is about the number of outlines that a person would change
        doubts = [doubt_of(each) for each in found]
        pools["doubt"] = [drawn[number] for number in np.argsort(-np.array(doubts), kind="stable")]
    return {order: pools[order] for order in orders}


def doubt_of(found: "Outlines") -> float:
    """Sum of the doubts of an image's outlines, from their scores and overlaps."""
    corrections = Corrections.from_masks(found.masks, (None,) * len(found.masks))
    doubts = Doubts(corrections, SimpleNamespace(scores=found.scores, seen={}), OPERATING_SCORE)
    return sum(doubts.of(corrections.outlines).values())


def area(points: Sequence[Point]) -> float:
    """Mean mAP over the logarithm of 1 + images, by the trapezium rule.

    >>> flat = [Point("random", 0, images, 1.0, 0.0, 0.5, 0.0) for images in (0, 1, 8)]
    >>> area(flat)
    0.5
    """
    ordered = sorted(points, key=lambda point: point.images)
    x = np.log1p([point.images for point in ordered])
    return float(np.trapezoid([point.mean_ap for point in ordered], x) / (x[-1] - x[0]))


def measured(options: argparse.Namespace, data: Path, known: list[Point]) -> Iterator[Point]:
    """Train and judge the points that `known` lacks, one after the other."""
    with required_imports():
        from mmengine.config import Config

        from tio2.engine.timed_training import rendered_scenes, train
        from tio2.inference import Detector
    start, judged = SHIPPED[options.model], options.out / "judged"
    config = Config.fromfile(start.config)
    if not judged.is_dir():
        names = np.random.default_rng(0).permutation(names_of(data, "val"))[: options.judged].tolist()
        part_of(data, "val", names, judged)
    scenes = rendered_scenes(options.out / "scenes")
    detector = Detector(config, start.checkpoint)
    for seed in range(options.seeds):
        pools = pool_of(data, seed, options.pool, options.orders, detector)
        for order, names in pools.items():
            for count in options.counts:
                if any(point.is_of(order, seed, count) for point in known):
                    continue
                untrained = next((point for point in known if not point.images), None)
                if not count and untrained is not None:  # equal for all seeds
                    known.append(replace(untrained, order=order, seed=seed))
                    yield known[-1]
                    continue
                began = time.monotonic()
                limit = {"minutes": options.minutes, "steps": options.steps, "seed": seed}
                with tempfile.TemporaryDirectory() as made:
                    weights = start.checkpoint
                    if count:
                        part_of(data, "train", names[:count], Path(made) / "data")
                        weights = train(Path(made) / "data", scenes, Path(made) / "run", start, **limit)
                    minutes = (time.monotonic() - began) / 60
                    found = compare_with_truth(Detector(config, weights), judged)
                precisions = map(found.average_precision, ("AP50", "mAP"))
                point = Point(order, seed, count, minutes if count else 0.0, *precisions, found.d50_error_percent)
                known.append(point)
                yield point


def curve_table(points: Sequence[Point], orders: Sequence[str], counts: Sequence[int]) -> str:
    """A row for each order and number of images, averaged over seeds."""
    rows = []
    for order in orders:
        for count in counts:
            of_row = [point for point in points if point.images == count and (not count or point.order == order)]
            names = ("minutes", "ap50", "mean_ap", "d50_error_percent")
            if of_row:
                values = [float(np.mean([getattr(point, name) for point in of_row])) for name in names]
                rows.append([order, count, len(of_row), *values])
    return markdown_table(["order", "images", "seeds", "minutes", "AP50", "mAP", "error of D50, %"], rows)


def order_difference(points: Sequence[Point], seeds: int, counts: Sequence[int]) -> str:
    """Area under the curve of the order by doubt less that of the random order, with its interval over seeds."""
    areas = [
        [
            area([point for count in counts for point in points if point.is_of(order, seed, count)])
            for seed in range(seeds)
        ]
        for order in ("doubt", "random")
    ]
    return str(t_interval(np.subtract(*areas)))


def main() -> None:
    """Train and judge all points, write curve.json and print the curve."""
    options = parse_arguments()
    if not options.counts or min(options.counts) < 0 or max(options.counts) > options.pool:
        raise SystemExit("error: --counts are 0 or more and at most --pool")
    if min(options.seeds, options.judged) < 1:
        raise SystemExit("error: --seeds and --judged are 1 or more")
    with required_imports():
        from tio2.engine import launch
    with one_line_errors(AnnotationError, SEMReadError, OSError, *launch.ONE_LINE_ERRORS):
        data = Path(options.set)
        if options.set == "spheres":
            data = options.out / "spheres"
            render_dataset(SPHERES, data, usable_cores())
        settings = {name: getattr(options, name) for name in ("set", "minutes", "steps", "pool", "judged", "model")}
        file = options.out / "curve.json"
        before = read_json(file, OSError) if file.is_file() else {"settings": settings, "points": []}
        if before["settings"] != settings:
            raise SystemExit(f"error: {file} holds a curve of {json.dumps(before['settings'])}; name another --out")
        points = [
            Point(**{name: math.nan if value is None else value for name, value in each.items()})
            for each in before["points"]
        ]
        for point in measured(options, data, points):
            print(json.dumps(asdict(point)), flush=True)
            write_json(file, in_json({"settings": settings, "points": points}), indent=1)
    print(curve_table(points, options.orders, options.counts))
    if set(options.orders) == {"random", "doubt"} and options.seeds > 1:
        print(f"area under the curve, doubt less random: {order_difference(points, options.seeds, options.counts)}")
    if any(math.isnan(point.mean_ap) for point in points):
        print("WARNING: the judged images hold no particle")


if __name__ == "__main__":
    main()
