"""Learning from corrected images as a program (entry point `learn` of `semsize.programs`): train, judge, ask, publish.

The network's packages are imported when the program runs, so that --help is quick and a missing package is named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from semsize.cli import one_line_errors
from semsize.detecting.archive import ENDING, write_archive
from semsize.detecting.models import ShippedModel
from semsize.measuring.engines import shipped_model
from semsize.measuring.record import versions
from semsize.sem import SEMReadError
from semsize.structures.files import file_sha256, in_json, read_json, write_json
from tio2.cli import quiet_imports, required_imports
from tio2.reporting.gain import Gain, compare_with_truth

PROGRAM = """Teach a shipped model from corrected images; some of them are kept back to judge what it learned.

python tools/learn.py results --out models/alumina
python tools/learn.py day1 day2 --out models/alumina --minutes 60
python tools/measure.py scans --out again --model models/alumina/alumina.semsize

RESULTS are folders of measurements, as semsize correct left them. One image in four is kept back. Weights, config,
archive, card and the images as a data set go into the folder MODEL, all of it or nothing. The model is not validated,
and no bias is corrected, until tools/validate.py has made its bias record.
"""
"""First part of --help."""

ENOUGH_IMAGES = 6
"""Number of kept-back images with particles from which an interval decides; with fewer the user decides."""

RECORD = "learning.json"  # the file in a model's folder that records what it learned from


class LearningError(ValueError):
    """The model cannot be learned, or is not wanted; the message is one line."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("results", nargs="+", type=Path, metavar="RESULTS", help="folders of measurements with corrections")
    add("--out", type=Path, required=True, metavar="MODEL", help="folder of the model; its name is the model's")
    add("--minutes", type=float, default=20.0, metavar="M", help="duration of the training (default: %(default)g)")
    add("--steps", type=int, metavar="N", help="number of steps in place of minutes; gives the same weights again")
    add("--model", default="free", metavar="NAME", help="the shipped model to start from (default: %(default)s)")
    lies = "folder below which the image files lie; may be given again (default: this folder, and those of RESULTS)"
    add("--images", type=Path, action="append", metavar="DIR", help=lies)
    add("--scenes", type=Path, metavar="DIR", help="rendered scenes to mix in (default: 24 are rendered)")
    seeds = "random seed of the choice of kept-back images and of the training (default: %(default)s)"
    add("--seed", type=int, default=0, metavar="N", help=seeds)
    add("--yes", action="store_true", help="write the model without asking, whatever the comparison shows")
    options = parser.parse_args(arguments)
    if not options.minutes > 0 or (options.steps is not None and options.steps < 1):
        parser.error("--minutes and --steps must be above 0")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Read the command line (default: the process's own), learn, compare_with_truth, ask, write."""
    options = parse_arguments(arguments)
    with required_imports():
        import onnx  # noqa: F401 - the archive is made with it

        import tio2.exporting  # noqa: F401 - --help is quick without
    from semsize.correcting import CorrectionError
    from semsize.exchange import ExchangeError
    from semsize.exchange.writing import FolderExistsError
    from semsize.measuring.inputs import MeasuringError
    from tio2.engine.launch import ONE_LINE_ERRORS

    kinds = (CorrectionError, ExchangeError, FolderExistsError, LearningError, MeasuringError, SEMReadError, OSError)
    with one_line_errors(*kinds, *ONE_LINE_ERRORS):
        try:
            _run(options)
        except KeyboardInterrupt:
            sys.exit("interrupted: nothing was written")


def _run(options: argparse.Namespace) -> None:
    from mmengine.config import Config

    from semsize.correcting.training_set import corrected_images, write_training_set
    from semsize.exchange.writing import new_folder
    from tio2.engine.timed_training import rendered_scenes, train
    from tio2.inference import Detector

    start, name = shipped_model(options.model), options.out.resolve().name
    roots = options.images or [Path.cwd(), *(folder.absolute().parent for folder in options.results)]
    with (
        tempfile.TemporaryDirectory() as made,
        new_folder(options.out, lambda folder: (folder / RECORD).is_file()) as folder,
    ):
        pictures = Path(made) / "pictures"
        pictures.mkdir()
        corrected = corrected_images(options.results, roots, pictures)
        for note in corrected.notes:
            print(note)
        split = write_training_set(folder / "data", corrected, options.seed)
        print(f"learning from {len(split['train'])} images, {len(split['val'])} kept back", flush=True)
        with quiet_imports():
            scenes = options.scenes or rendered_scenes(Path(made) / "scenes")
        limit = {"minutes": options.minutes} if options.steps is None else {"steps": options.steps}
        checkpoint = train(folder / "data", scenes, Path(made) / "run", start, seed=options.seed, **limit)
        gain = None
        if split["val"]:
            config = Config.fromfile(start.config)
            both = (
                compare_with_truth(Detector(config, weights), folder / "data")
                for weights in (start.checkpoint, checkpoint)
            )
            gain = Gain(*both, untouched=sum(corrected.untouched[image] for image in split["val"]))
            print(gain.table())
        if not options.yes:
            _ask(gain)
        learned = Learned(name, start, options.model, tuple(split["train"]), tuple(split["val"]), checkpoint, gain)
        with quiet_imports():
            publish(learned, folder)
    print(f"written: {options.out}/{name}{ENDING}, .pth, .py, .md, data; not validated")


def _ask(gain: Gain | None) -> None:
    """Ask whether to write the model if it is worse than before, or if the comparison cannot decide.

    Raises:
        LearningError: the answer is no, or there is no terminal to ask on.
    """
    if gain is None:
        doubt = "No image was kept back, so nothing is known about the new model."
    elif gain.counted_images < ENOUGH_IMAGES:
        doubt = f"Too few kept-back images with particles ({gain.counted_images}) to tell models apart."
    elif gain.difference("mAP").high < 0:
        doubt = "The new model is worse."
    elif 2 * gain.untouched > gain.outline_count:
        doubt = "The comparison does not decide."
    else:
        return
    if gain is not None and gain.untouched:
        doubt = f"{doubt} {gain.caution}"
    if not sys.stdin.isatty():
        raise LearningError(f"{doubt} Nothing was written; correct more images, or give --yes")
    if input(f"{doubt} Write it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise LearningError("the model was not wanted; nothing was written")


@dataclass(frozen=True)
class Learned:
    """The training data of a model, for its card and its record."""

    name: str  # of the new model
    start: ShippedModel
    start_name: str
    trained: tuple[str, ...]  # names of the images
    kept_back: tuple[str, ...]
    checkpoint: Path  # in the folder of the training run
    gain: Gain | None  # None if no image was kept back


def publish(learned: Learned, folder: Path) -> None:
    """Write weights, config, archive, card and record of a model into a folder.

    Raises:
        ArchiveError, CheckpointError, ConfigError: the weights cannot be published.
    """
    from mmengine.config import Config

    from tio2.engine.checkpoints import publish_checkpoint
    from tio2.engine.hooks import PACKAGES
    from tio2.exporting import archive_of

    weights, config, archive, card = (folder / f"{learned.name}{ending}" for ending in (".pth", ".py", ENDING, ".md"))
    licence = f"weights of your own, from {learned.start_name} ({learned.start.licence})"
    publish_checkpoint(learned.checkpoint, weights)
    Config.fromfile(learned.start.config).dump(config)
    write_archive(archive, archive_of(Config.fromfile(config), weights, licence))
    run, sha256 = read_json(learned.checkpoint.parent / "run.json", ValueError), file_sha256(weights)
    card.write_text(_card(learned, licence, run, sha256), encoding="utf-8")
    record = {
        "start": {"name": learned.start_name, "sha256": file_sha256(learned.start.checkpoint)},
        "sha256": sha256,
        "trained": learned.trained,
        "kept_back": learned.kept_back,
        "steps": run["steps"],
        "seconds": run["seconds"],
        "gain": learned.gain
        and {
            "ap50": learned.gain.average_precisions("AP50"),
            "map": learned.gain.average_precisions("mAP"),
            "untouched": learned.gain.untouched,
            "outlines": learned.gain.outline_count,
        },
        "versions": versions(*PACKAGES),
    }
    write_json(folder / RECORD, in_json(record), indent=2)


def _card(learned: Learned, licence: str, run: dict, sha256: str) -> str:
    name = learned.name
    judged = (
        f"On {len(learned.kept_back)} corrected images that it did not see:\n\n{learned.gain.table()}"
        if learned.gain
        else "No image was kept back, so nothing is known about its quality.\n"
    )
    return f"""# {name}: learned from corrected images

**Not validated**: until a bias record is made from images that the model did not see, a measurement says so first and
corrects no bias.

| | |
|---|---|
| licence | {licence} |
| SHA-256 | {sha256} |
| start | the shipped model `{learned.start_name}` |
| training | {run["steps"]} steps of {run["batch_size"]} windows in {run["seconds"] / 60:.1f} minutes, {run["device"]} |
| images | {len(learned.trained)} corrected, and rendered scenes |

{judged}
    semsize measure scans --out results --model {name}{ENDING}
{_validation(learned)}"""


def _validation(learned: Learned) -> str:
    """Return the commands that make a bias record from the images kept back, or the reason why there are none."""
    name = learned.name
    if learned.gain is None or learned.gain.untouched:
        kept_back = "not every outline of the images kept back was drawn, changed or accepted by somebody"
        return f"""
No bias record can be made here: {kept_back if learned.gain else "no image was kept back"}.
Correct more on the page and learn again, or take other images.
"""
    return f"""\
    python tools/test.py {name}.py {name}.pth --data data --split val
    python tools/validate.py --pair data/annotations/val.json work_dirs/{name}/data-val/predictions.json \\
        --checkpoint {name}.pth
"""
