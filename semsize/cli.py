"""The command `semsize`, and what all programs share: errors for people are one line."""

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

USAGE = """semsize: particle sizes from SEM images, with their uncertainty

semsize measure scans/*.tif --out results         measure images: table, size distribution, overlays, report
semsize correct results                           correct outlines in the browser, to measure them again
semsize learn results --out models/mine           a better model from corrected images (pip install 'tio2[train]')
semsize convert coco instances.json --out data    annotations of another tool to this project's; also label_images,
                                                  labelme, via, imagej_rois
semsize export train.json --format via --out via  this project's annotations to a tool's: via, labelme, imagej,
                                                  label_images
semsize render --num 10 --out data/rendered       scenes with exact truth
semsize schema record                             the JSON Schema of a file that is written

semsize measure --help (and so on) lists the options."""

PROGRAMS = {  # words of the command line to module and function
    "measure": "semsize.programs.measure:main",
    "correct": "semsize.programs.correct:main",
    "render": "semsize.programs.render:main",
    "schema": "semsize.programs.schema:main",
    "export": "semsize.programs.convert:export",
    "convert coco": "semsize.programs.convert:coco",
    "convert label_images": "semsize.programs.convert:label_images",
    "convert labelme": "semsize.programs.convert:labelme",
    "convert via": "semsize.programs.convert:via",
    "convert imagej_rois": "semsize.programs.convert:imagej_rois",
}

PAIRS = {"nargs": 2, "type": Path, "action": "append", "required": True, "metavar": ("ANNOTATIONS", "PREDICTIONS")}
"""How an argument is read that names truth and what a test found in the same images; it may be given several times."""

GROUP = "semsize.programs"
"""Entry points of programs of other packages, by the word of the command line: functions without arguments."""

ELSEWHERE = {"learn": "install the package anew: pip install 'tio2[train]', or make setup"}
"""Programs that others bring, and where they come from."""


def main() -> None:
    """Run the program that the first words of the command line name; quiet where the reader of a pipe has left."""
    try:
        _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing it at the end is quiet too
        sys.exit(1)


def _run(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return
    for count in (1, 2):
        name = " ".join(words[:count])
        if name in PROGRAMS:
            module, _, function = PROGRAMS[name].partition(":")
            sys.argv = [f"semsize {name}", *words[count:]]  # argparse and the record of a measurement name the program
            getattr(importlib.import_module(module), function)()
            return
    for point in entry_points(group=GROUP, name=words[0]):
        sys.argv = [f"semsize {words[0]}", *words[1:]]
        point.load()()
        return
    if words[0] in ELSEWHERE:
        sys.exit(f"error: semsize {words[0]} is not registered; {ELSEWHERE[words[0]]}")
    formats = ", ".join(name.removeprefix("convert ") for name in PROGRAMS if name.startswith("convert "))
    if words[0] == "convert":
        sys.exit(f"error: semsize convert takes one of {formats}; semsize --help shows examples")
    sys.exit(f"error: semsize has no program {words[0]!r}; semsize --help lists them")


@contextlib.contextmanager
def one_line_errors(*kinds: type[Exception]) -> Iterator[None]:
    r"""End the program with one line and exit code 1 on errors meant for people; others keep their traceback.

    An error with an `exit_code` of its own is a stop that was asked for: a signal's is 128 + its number. Letters that
    the console cannot show, such as one of eight bits on Windows, are printed as \x….
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except kinds as error:
        if not hasattr(error, "exit_code"):
            sys.exit(f"error: {error}")
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
