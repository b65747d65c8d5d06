"""Program that serves the correction page."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from semsize.cli import one_line_errors

PROGRAM = """Correct outlines in the browser: delete, add, split, merge, push, states, undo; changes are saved at once.

python tools/correct.py results
python tools/correct.py scans --from-labels masks --out results

RESULTS is the --out folder of a measurement. Corrections are saved in RESULTS/corrections; the measurement itself does
not change. Ctrl-C ends the program and writes RESULTS/corrections.json. To measure the corrected outlines:

python tools/measure.py scans --out corrected --from-corrections results
"""
"""Description in --help."""

INSTALL = "pip install 'tio2[correct]'"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("results", nargs="+", metavar="RESULTS", help="folder of a measurement; with --from-…: image files, folders")
    images = (
        "folder that holds the images; may be repeated (default: current folder and parent of RESULTS; with --from-…: "
        "the folders of the given images)"
    )
    add("--images", type=Path, action="append", metavar="DIR", help=images)
    add("--person", metavar="NAME", help="name of the person who corrects, for the log")
    add = parser.add_argument_group("outlines made elsewhere: they are measured first").add_argument
    add("--out", type=Path, metavar="RESULTS", help="folder for the results of that measurement")
    add("--from-coco", type=Path, metavar="FILE", help="COCO JSON, or a predictions.json")
    add("--from-labels", type=Path, metavar="DIR", help="label images with the names and subfolders of the images")
    add("--from-rois", type=Path, metavar="DIR", help="ImageJ ROI sets with the names and subfolders of the images")
    add = parser.add_argument_group("the page").add_argument
    model = "model that draws the outline in a box: a shipped one (nc or free), or a .semsize file (default: nc)"
    add("--model", metavar="NAME", help=model)
    add("--port", type=int, default=8642, metavar="N", help="port; 0: any free port (default: %(default)s)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to serve at (default: %(default)s)")
    add("--allow-remote", action="store_true", help="allow a --host that other machines reach (see docs/correct.md)")
    add("--no-browser", action="store_true", help="only print the address of the page")
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
        with suppress(KeyboardInterrupt):  # the server shuts down cleanly; no exception if Ctrl-C is ignored
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
    """The kind and path of outlines made elsewhere; None if none are given."""
    given = [(kind, path) for kind in ("coco", "labels", "rois") if (path := getattr(options, f"from_{kind}"))]
    return given[0] if given else None


def _folder(options: argparse.Namespace) -> Path:
    """The results folder that the options name.

    Raises:
        CorrectionError: they name none, or several.
    """
    from semsize.correcting import CorrectionError

    if _reader(options) is None:
        if len(options.results) > 1 or options.out is not None:
            raise CorrectionError("give one folder of results; give images only with --from-… and --out")
        return Path(options.results[0])
    if options.out is None:
        raise CorrectionError("outlines made elsewhere are measured first; give --out RESULTS")
    return options.out


def _measure_first(options: argparse.Namespace, kind: str, path: Path) -> None:
    """Measure images with outlines made elsewhere, into the results folder."""
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
