"""The correction page as a program."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from semsize.cli import one_line_errors

PROGRAM = """Correct outlines in the browser: delete, add, split, merge, push, states, undo; changes are kept at once.

python tools/correct.py results
python tools/correct.py scans --from-labels masks --out results

RESULTS is the --out folder of a measurement. Corrections stand in RESULTS/corrections, beside the measurement, which
stays as it is. Ctrl-C ends the program and writes RESULTS/corrections.json. To measure what was corrected:

python tools/measure.py scans --out corrected --from-corrections results
"""
"""What --help says first."""

INSTALL = "pip install 'tio2[correct]'"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("results", nargs="+", metavar="RESULTS", help="folder of a measurement; with --from-…: image files, folders")
    images = "folder below which the image files lie; may be given again (default: this folder, and that of RESULTS)"
    add("--images", type=Path, action="append", metavar="DIR", help=images)
    add("--person", metavar="NAME", help="who corrects, for the log")
    add = parser.add_argument_group("outlines made elsewhere: they are measured first").add_argument
    add("--out", type=Path, metavar="RESULTS", help="folder of their results")
    add("--from-coco", type=Path, metavar="FILE", help="COCO JSON, or a predictions.json")
    add("--from-labels", type=Path, metavar="DIR", help="label images of the images' names and folders")
    add("--from-rois", type=Path, metavar="DIR", help="ImageJ ROI sets of the images' names and folders")
    add = parser.add_argument_group("the page").add_argument
    model = "what draws the outline in a box: a shipped model (nc or free), or a .semsize file (default: nc)"
    add("--model", metavar="NAME", help=model)
    add("--port", type=int, default=8642, metavar="N", help="0 takes any free one (default: %(default)s)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to serve at (default: %(default)s)")
    add("--allow-remote", action="store_true", help="serve at another address than this machine's own: see the docs")
    add("--no-browser", action="store_true", help="print the page's address only")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line (default: the process's own), and serve the page until Ctrl-C."""
    options = parse_arguments(arguments)
    try:
        from semsize.correcting.server import serve  # not above: --help is quick
    except ModuleNotFoundError as cause:
        package = (cause.name or "").partition(".")[0]
        if package not in ("starlette", "uvicorn"):
            raise
        sys.exit(f"error: the correction page needs {package}, which is not installed; {INSTALL}")
    from semsize.correcting import CorrectionError
    from semsize.exchange import ExchangeError
    from semsize.measuring.inputs import MeasuringError

    with one_line_errors(CorrectionError, MeasuringError, ExchangeError, OSError):
        with suppress(KeyboardInterrupt):  # the server ends in good order, and raises none where Ctrl-C is ignored
            _run(options, serve)
        print(f"ended; corrections are kept in {_folder(options)}/corrections", file=sys.stderr)


def _run(options: argparse.Namespace, serve: Callable[..., None]) -> None:
    from semsize.correcting.edits import BoxFiller
    from semsize.correcting.results import CorrectedResults
    from semsize.correcting.server import NOT_PROTECTED, bound_socket
    from semsize.correcting.session import Session

    filler = BoxFiller.of_model(options.model)  # before anything is measured
    folder, roots = _folder(options), options.images or [Path.cwd(), _folder(options).absolute().parent]
    if (reader := _reader(options)) is not None:
        roots = options.images or [
            Path(given) if Path(given).is_dir() else Path(given).parent for given in options.results
        ]
        _measure_first(options, *reader)
    session = Session(CorrectedResults(folder, roots), options.person, filler)
    listener = bound_socket(options.host, options.port, allow_remote=options.allow_remote)
    if options.allow_remote:
        print(NOT_PROTECTED, file=sys.stderr)

    def started(address: str) -> None:
        print(f"correct outlines at {address}\nCtrl-C ends", flush=True)
        if not options.no_browser:
            webbrowser.open(address)

    serve(session, listener, started)


def _reader(options: argparse.Namespace) -> tuple[str, Path] | None:
    """Which kind of outlines made elsewhere is given, and where it is."""
    given = [(kind, path) for kind in ("coco", "labels", "rois") if (path := getattr(options, f"from_{kind}"))]
    return given[0] if given else None


def _folder(options: argparse.Namespace) -> Path:
    """The folder of results.

    Raises:
        CorrectionError: the options do not say which.
    """
    from semsize.correcting import CorrectionError

    if _reader(options) is None:
        if len(options.results) > 1 or options.out is not None:
            raise CorrectionError("give one folder of results; images are given with --from-… and --out")
        return Path(options.results[0])
    if options.out is None:
        raise CorrectionError("outlines made elsewhere are measured first; give --out RESULTS")
    return options.out


def _measure_first(options: argparse.Namespace, kind: str, path: Path) -> None:
    """Measure images with outlines made elsewhere into the folder of results."""
    from semsize.measuring import MeasurementSettings
    from semsize.measuring.inputs import find_images, without_label_images
    from semsize.measuring.measurement import measure
    from semsize.measuring.outline_files import READERS

    files = find_images(options.results, options.out)
    if kind == "labels":
        files = without_label_images(files, path, "")
    measured = measure(files, options.out, READERS[kind](path, files), MeasurementSettings())
    for image, error in measured.skipped.items():
        print(f"LEFT OUT: {image}: {error}")
