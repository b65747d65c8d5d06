"""Learning from corrected images as a program (entry point `learn` of `semsize.programs`)."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from semsize.cli import one_line_errors
from semsize.measuring.detectors import INSTALL
from tio2.cli import quiet_imports

if TYPE_CHECKING:
    from tio2.learning import Gain

PROGRAM = """Teach a shipped model from corrected images; some of them are kept back to judge what it learned.

python tools/learn.py results --out models/alumina
python tools/learn.py day1 day2 --out models/alumina --minutes 60
python tools/measure.py scans --out again --model models/alumina/alumina.semsize

RESULTS are folders of measurements, as semsize correct left them. Of four images one is kept back. Weights, config,
archive, card and the images as a data set go into the folder MODEL, all of it or nothing. The model is not validated
until tools/validate.py has made its bias record: no bias is corrected.
"""
"""What --help says first."""

ENOUGH_IMAGES = 6
"""Kept back images from which on an interval decides; below it the person does."""


class LearningError(ValueError):
    """A model that cannot be learned, or is not wanted; the message is one line."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("results", nargs="+", type=Path, metavar="RESULTS", help="folders of measurements with corrections")
    add("--out", type=Path, required=True, metavar="MODEL", help="folder of the model; its name is the model's")
    add("--minutes", type=float, default=20.0, metavar="M", help="that the training takes (default: %(default)g)")
    add("--steps", type=int, metavar="N", help="of the training, in place of minutes; the same weights again")
    add("--model", default="free", metavar="NAME", help="the shipped model to start from (default: %(default)s)")
    lies = "folder below which the image files lie; may be given again (default: this folder, and those of RESULTS)"
    add("--images", type=Path, action="append", metavar="DIR", help=lies)
    add("--scenes", type=Path, metavar="DIR", help="rendered scenes to mix in (default: 24 are rendered)")
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of what is kept back, and of the training (default: %(default)s)",
    )
    add("--yes", action="store_true", help="write the model whatever the comparison says, without asking")
    options = parser.parse_args(arguments)
    if not options.minutes > 0 or (options.steps is not None and options.steps < 1):
        parser.error("--minutes and --steps are above 0")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Read the command line (default: the process's own), learn, judge, ask, write."""
    options = parse_arguments(arguments)
    try:
        with quiet_imports():
            import onnx  # noqa: F401 - the archive is made with it

            import tio2.learning  # noqa: F401 - --help is quick without
    except ModuleNotFoundError as cause:
        if (cause.name or "").partition(".")[0] in ("tio2", "semsize"):
            raise
        sys.exit(f"error: learning needs {cause.name}, which is not installed; {INSTALL['torch']}")
    from semsize.correcting import CorrectionError
    from semsize.exchange import ExchangeError
    from semsize.exchange.writing import FolderExistsError
    from semsize.measuring.inputs import MeasuringError
    from semsize.sem import SEMReadError
    from tio2.engine.launch import PEOPLE_ERRORS

    kinds = (CorrectionError, ExchangeError, FolderExistsError, LearningError, MeasuringError, SEMReadError, OSError)
    with one_line_errors(*kinds, *PEOPLE_ERRORS):
        try:
            _run(options)
        except KeyboardInterrupt:
            sys.exit("interrupted: nothing was written")


def _run(options: argparse.Namespace) -> None:
    from mmengine.config import Config

    from semsize.correcting.training_set import corrected_images, write_training_set
    from semsize.exchange.writing import new_folder
    from semsize.measuring.detectors import shipped_model
    from tio2 import learning
    from tio2.inference import Detector

    start, name = shipped_model(options.model), options.out.resolve().name
    roots = options.images or [Path.cwd(), *(folder.absolute().parent for folder in options.results)]
    corrected = corrected_images(options.results, roots)
    for note in corrected.notes:
        print(note)
    with (
        tempfile.TemporaryDirectory() as made,
        new_folder(options.out, lambda folder: (folder / learning.RECORD).is_file()) as folder,
    ):
        split = write_training_set(folder / "data", corrected, options.seed)
        print(f"learning from {len(split['train'])} images, {len(split['val'])} kept back", flush=True)
        with quiet_imports():
            scenes = options.scenes or learning.rendered_scenes(Path(made) / "scenes")
        limit = {"minutes": options.minutes} if options.steps is None else {"steps": options.steps}
        checkpoint = learning.train(folder / "data", scenes, Path(made) / "run", start, seed=options.seed, **limit)
        gain = None
        if split["val"]:
            config = Config.fromfile(start.config)
            before, after = (
                learning.judge(Detector(config, weights), folder / "data") for weights in (start.checkpoint, checkpoint)
            )
            gain = learning.Gain.of(before, after)
            print(gain.table())
        if not options.yes:
            _ask(gain)
        learned = learning.Learned(
            start, options.model, tuple(split["train"]), tuple(split["val"]), Path(made) / "run", gain
        )
        with quiet_imports():
            learning.publish(learned, folder, name)
    print(f"written: {options.out}/{name}.semsize, .pth, .py, .md, data; not validated")


def _ask(gain: Gain | None) -> None:
    """Ask whether the model is wanted, where the comparison does not decide it.

    Raises:
        LearningError: it is not, or nobody is there to be asked.
    """
    if gain is None:
        doubt = "No image was kept back, so that nothing is known of the new model."
    elif gain.images < ENOUGH_IMAGES:
        doubt = f"Only {gain.images} kept back: too few to tell models apart."
    elif gain.mean_ap_difference.high < 0:
        doubt = "The new model is worse."
    else:
        return
    if not sys.stdin.isatty():
        raise LearningError(f"{doubt} Nothing was written; correct more images, or give --yes")
    if input(f"{doubt} Write it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise LearningError("the model was not wanted; nothing was written")
