"""Name the cause of every missed particle and false positive of a tested run; draw the worst examples of each cause.

python tools/error_sheet.py work_dirs/light_nc --split val
python tools/error_sheet.py work_dirs/light_nc --split cv --examples 24
python tools/error_sheet.py work_dirs/light_nc --split rendered-test --data data/rendered

Writes into <run>/<split>/errors/: errors.md, errors.csv, missed.png (useful particles, largest first) and
false_positives.png (highest score first). --random draws examples at random, to check the rules that name the causes.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import required_imports


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a tested run")
    parser.add_argument("--split", default="val", help="tested split: a sub-folder of the run (default: %(default)s)")
    parser.add_argument("--data", metavar="ROOT", help="folder of the data set (default: the config's)")
    parser.add_argument("--min-score", type=float, help="lowest score that counts (default: 0.5, as in the paper)")
    parser.add_argument("--examples", type=int, default=12, help="examples of each cause (default: %(default)s)")
    parser.add_argument("--columns", type=int, default=4, help="examples in a row of the sheet (default: %(default)s)")
    parser.add_argument("--random", type=int, metavar="SEED", help="draw examples at random instead of the worst")
    return parser.parse_args()


def main() -> None:
    """Read truth and predictions, name the causes, write the tables and draw the sheets."""
    arguments = parse_arguments()
    with required_imports():
        from mmengine.config import Config

        from semsize.measuring.overlays import write_png
        from semsize.measuring.tables import write_csv
        from semsize.metrology.comparison import compare_split
        from semsize.metrology.error_causes import FALSE_CAUSES, MISS_CAUSES, image_errors
        from semsize.metrology.matching import OPERATING_SCORE
        from semsize.sem import SEMReadError, read_grey
        from semsize.structures import read_annotations, read_predictions
        from tio2.engine import launch
        from tio2.engine.testing import select_split, split_files
        from tio2.reporting import errors
        from tio2.reporting.tested_run import RunError
    folder = arguments.run / arguments.split
    min_score = OPERATING_SCORE if arguments.min_score is None else arguments.min_score
    with one_line_errors(*launch.ONE_LINE_ERRORS, RunError, SEMReadError):
        predictions = read_predictions(folder / "predictions.json")
        file = launch.run_config(arguments.run, arguments.split)
        if file is None:
            raise RunError(f"{arguments.run}: holds no config; give the folder of a run that tools/test.py has tested")
        config = Config.fromfile(file)
        split = arguments.split.rpartition("-")[2]
        select_split(config, "train" if split == "cv" else split, folder, data=arguments.data)
        folder_of_images, annotations = split_files(config)
        images = compare_split(read_annotations(annotations), predictions, min_score=min_score)
        greys = [read_grey(folder_of_images / image.truth.file_name) for image in images]
    pairs = zip(images, greys, strict=True)
    judged = [errors.JudgedImage(image, image_errors(image, grey), grey) for image, grey in pairs]
    head = f"{arguments.run.name}, {arguments.split}: errors by cause, score ≥ {min_score:g}"
    out = folder / "errors"
    out.mkdir(exist_ok=True)
    text = errors.errors_markdown(judged, head)
    (out / "errors.md").write_text(text, encoding="utf-8")
    write_csv(out / "errors.csv", errors.ERROR_COLUMNS, (row for image in judged for row in errors.error_rows(image)))
    for name, causes, examples in (
        ("missed", MISS_CAUSES, errors.miss_examples),
        ("false_positives", FALSE_CAUSES, errors.false_examples),
    ):
        chosen = examples(judged, list(causes), arguments.examples, arguments.random)
        write_png(out / f"{name}.png", errors.draw_sheet(chosen, arguments.columns, head))
    print(text)
    print(f"written: {out}/errors.md, errors.csv, missed.png, false_positives.png")


if __name__ == "__main__":
    main()
