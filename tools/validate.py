r"""Make a model's validation record: what budget and warnings of a measurement need to know of it.

python tools/validate.py --pair data/bam-tio2-sem/annotations/val.json work_dirs/light_nc/val/predictions.json \
    --images data/bam-tio2-sem/images/val --checkpoint checkpoints/light_nc.pth

One --pair for each set of images, real or rendered; --images in the same order, for the contrast. Leave out what the
model was trained or its thresholds chosen on. Writes <checkpoint>.validation.json.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tio2.cli import one_line_errors

if TYPE_CHECKING:
    from tio2.metrology.model_validation import ComparedSet


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pair",
        nargs=2,
        type=Path,
        action="append",
        required=True,
        metavar=("ANNOTATIONS", "PREDICTIONS"),
        help="truth, and what tools/test.py found in the same images; may be given several times",
    )
    parser.add_argument(
        "--images", type=Path, action="append", default=[], help="folder of a pair's images; without: no contrast"
    )
    parser.add_argument("--checkpoint", type=Path, help="the model; the record is written beside it")
    parser.add_argument("--out", type=Path, help="the record (default: <checkpoint>.validation.json)")
    parser.add_argument("--min-score", type=float, help="particles from this score on (default: the paper's 0.5)")
    arguments = parser.parse_args()
    if arguments.images and len(arguments.images) != len(arguments.pair):
        parser.error("give --images once for each --pair, or not at all")
    if not (arguments.checkpoint or arguments.out):
        parser.error("give --checkpoint, or --out for a method without one")
    return arguments


def main() -> None:
    """Read, compare, write, print."""
    arguments = parse_arguments()
    from tio2.metrology.comparison import OPERATING_SCORE
    from tio2.metrology.matching import MIN_DICE
    from tio2.metrology.model_validation import validate_model
    from tio2.reporting.validation_file import validation_path, validation_tables, write_validation
    from tio2.sem import SEMReadError
    from tio2.structures import AnnotationError, PredictionError

    out = arguments.out or validation_path(arguments.checkpoint)
    score = OPERATING_SCORE if arguments.min_score is None else arguments.min_score
    folders = arguments.images or [None] * len(arguments.pair)
    with one_line_errors(AnnotationError, PredictionError, SEMReadError, ValueError, OSError):
        sets = [_compared(*pair, folder, score) for pair, folder in zip(arguments.pair, folders, strict=True)]
        name = arguments.checkpoint.name if arguments.checkpoint else None
        validation = validate_model(sets, name, min_score=score, min_dice=MIN_DICE)
        write_validation(out, validation)
    print(validation_tables(validation))
    print(f"written: {out}")


def _compared(annotations: Path, predictions: Path, folder: Path | None, min_score: float) -> "ComparedSet":
    """One pair of files, its images matched and their contrast measured."""
    from tio2.metrology import compare_split
    from tio2.metrology.model_validation import ComparedSet
    from tio2.sem import read_grey
    from tio2.sem.contrast import particle_contrast
    from tio2.structures import read_annotations, read_predictions

    truth = read_annotations(annotations)
    images = compare_split(truth, read_predictions(predictions), min_score=min_score)
    rendered = any(particle.get("visible_fraction") is not None for particle in truth["annotations"])
    contrast = [
        float("nan") if folder is None else particle_contrast(read_grey(folder / i.truth.file_name), i.found.masks)
        for i in images
    ]
    return ComparedSet(annotations.name, predictions.name, "rendered" if rendered else "annotated", images, contrast)


if __name__ == "__main__":
    main()
