"""The command `semsize`, and the one-line errors of all programs."""

import argparse
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
semsize correct results                           correct outlines in the browser, then measure again
semsize learn results --out models/mine           train a better model on corrected images (pip install 'tio2[train]')
semsize convert coco instances.json --out data    convert another tool's annotations to this project's; also
                                                  label_images, labelme, via, imagej_rois
semsize export train.json --format via --out via  write this project's annotations for a tool: via, labelme,
                                                  imagej, label_images
semsize render --num 10 --out data/rendered       render scenes with exact truth
semsize schema record                             print the JSON Schema of a file that semsize writes

semsize measure --help (and so on) lists the options."""

PROGRAMS = {  # words of the command line: module and function
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
"""Settings of a repeatable argument that takes the annotations and the predictions of the same images."""

GROUP = "semsize.programs"
"""Entry-point group of other packages' programs: word of the command line to a function without arguments."""

ELSEWHERE = {"learn": "install the package anew: pip install 'tio2[train]', or make setup"}
"""Programs of other packages, and how to install them."""


def score(text: str) -> float:
    """Read a score, 0 to 1, from an argument."""
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"a score lies in 0 to 1, not {text}")
    return float(text)


def main() -> None:
    """Run the program that the command line names; end without a message if the reader of a pipe has closed it."""
    try:
        _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at the end
        sys.exit(1)


def _run(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return
    for count in (1, 2):
        name = " ".join(words[:count])
        if name in PROGRAMS:
            module, _, function = PROGRAMS[name].partition(":")
            sys.argv = [f"semsize {name}", *words[count:]]  # argparse and records of measurements show this name
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
    r"""End the program with one line and exit code 1 on errors of these kinds; other errors keep their traceback.

    An error with an attribute `exit_code` is a requested stop and ends with that code; for a signal it is 128 + the
    signal's number. Characters that the console's encoding lacks are printed as \x….
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
