"""MMDetection's command-line arguments and quiet imports, which the programs in tools/ share."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

NOISE = ("Could not import OneDL", "creating index", "index created")
"""Parts of lines to leave out: MMDetection's about a data set service that nobody here uses, and pycocotools'."""

OWN = ("semsize", "tio2")
"""Packages of this project: if a module of one is missing, the package is broken and the traceback is shown."""

MMDETECTION = ("torch", "torchvision", "mmengine", "mmcv", "mmdet")
"""Packages that error messages call PyTorch and MMDetection."""


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --work-dir, --cfg-options and --launcher, as in MMDetection's programs."""
    add_config_arguments(parser)
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="who starts the processes"
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --work-dir and --cfg-options, for programs that run one process."""
    parser.add_argument("--work-dir", help="folder of the run (default: work_dirs/<config>)")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        metavar="KEY=VALUE",
        help="values that replace the config's, e.g. train_cfg.max_epochs=2",
    )
    parser.set_defaults(launcher="none")


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Send what is printed during imports to stderr, without `NOISE`, so that stdout holds a program's own output."""
    stream = _Filtered(sys.stderr)
    with contextlib.redirect_stdout(stream):
        yield
    stream.end_line()


@contextlib.contextmanager
def required_imports() -> Iterator[None]:
    """Import quietly what a program needs; if a package is missing, end the program with one line and exit code 1."""
    try:
        with quiet_imports():
            yield
    except ModuleNotFoundError as cause:
        from semsize.measuring.engines import INSTALL

        package = (cause.name or "").partition(".")[0]
        if package in OWN:
            raise
        needed = "PyTorch and MMDetection" if package in MMDETECTION else package
        sys.exit(f"error: {Path(sys.argv[0]).name} needs {needed}: {INSTALL['torch']}")


class _Filtered:
    """Passes text on to another stream line by line, without the lines that contain `NOISE`."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if not any(noise in line for noise in NOISE):
                self._stream.write(f"{line}\n")
        return len(text)

    def end_line(self) -> None:
        """Write the last line if it has no line break."""
        self._stream.write(self._line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
