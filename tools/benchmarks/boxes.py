"""How well a model draws the outline in a loose box, as on the correction page.

python tools/benchmarks/boxes.py checkpoints/light_free.semsize data/emps --split val --images 6

The box of each true outline is widened on all sides by a share of its side lengths, and each side is moved at random
(normal, 2 % of the length). Up to 12 particles of an image are drawn at random, each of 60 px of area or more.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semsize.cli import one_line_errors
from semsize.detecting.archive import ArchiveError, read_archive
from semsize.detecting.looking import outline_in_box
from semsize.detecting.onnx import OnnxEngine
from semsize.measuring.tables import markdown_table
from semsize.metrology.comparison import image_truths
from semsize.sem import SEMReadError, read_grey
from semsize.structures import AnnotationError, CroppedMasks, read_annotations
from semsize.structures.overlap import overlaps

WIDENED = (0.0, 0.05, 0.1)
MOVED = 0.02
LEAST_AREA_PX = 60
PARTICLES_PER_IMAGE = 12


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model archive, .semsize")
    parser.add_argument("data", type=Path, help="folder of a converted data set")
    parser.add_argument("--split", default="val", help="default: %(default)s")
    parser.add_argument("--images", type=int, default=6, metavar="N", help="use the first N (default: %(default)s)")
    return parser.parse_args()


def loose_box(box: np.ndarray, widened: float, rng: np.random.Generator) -> np.ndarray:
    """The box (x1, y1, x2, y2), widened on all sides by a share of its side lengths, each side moved at random."""
    sides = np.tile(box[2:] - box[:2], 2)
    return box + sides * (widened * np.array([-1, -1, 1, 1]) + rng.normal(0, MOVED, 4))


def ious(grey: np.ndarray, true: CroppedMasks, engine: OnnxEngine, rng: np.random.Generator) -> Iterator[list[float]]:
    """Yield for some particles the IoU of the drawn outline with the truth, a value for each of `WIDENED`."""
    chosen = rng.permutation(np.flatnonzero(true.areas >= LEAST_AREA_PX))[:PARTICLES_PER_IMAGE]
    for number in chosen:
        values = []
        for widened in WIDENED:
            box = loose_box(true.boxes[number].astype(float), widened, rng)
            drawn = CroppedMasks.from_crops([outline_in_box(grey, box, engine.draw)], true.image_shape)
            values.append(float(overlaps(drawn, true[[number]]).iou.sum()))
        yield values


def main() -> None:
    """Let the model draw the outlines, compare them with the truth and print the table."""
    options, rng = parse_arguments(), np.random.default_rng(0)
    with one_line_errors(AnnotationError, ArchiveError, SEMReadError, ImportError, OSError):
        engine = OnnxEngine(read_archive(options.model))
        truths = image_truths(read_annotations(options.data / "annotations" / f"{options.split}.json"))
        found = []
        for truth in truths[: options.images]:
            grey = read_grey(options.data / "images" / options.split / truth.file_name)
            found += ious(grey, truth.masks, engine, rng)
    table = [
        [f"{widened:.0%}", len(found), float(np.median(values)), float(np.mean(np.array(values) >= 0.75))]
        for widened, values in zip(WIDENED, zip(*found, strict=True), strict=True)
    ]
    print(markdown_table(["widened by", "particles", "median IoU", "IoU of 0.75 or more"], table))


if __name__ == "__main__":
    main()
