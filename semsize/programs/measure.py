"""The measuring program."""

import argparse
import os
import sys
from pathlib import Path

from semsize.cli import one_line_errors

PROGRAM = """Measure the particles in SEM images: table, size distribution with its uncertainty, overlays, report.

python tools/measure.py scans/*.tif --out results
python tools/measure.py scans --out results --pixel-size 7.344nm --calibration-uncertainty 0.8% --xlsx --rois
python tools/measure.py scans --out corrected --from-rois results/rois

Open results/report.html. Started again with the same --out it goes on where it stopped. Exit code 0: all images
measured; 3: some could not be, and are named, or not one drawn outline was left; 1: nothing was measured, with the
reason in one line.
"""
"""What --help says first."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGES", help="files, folders, patterns; TIFF, PNG, JPEG, BMP")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    group = parser.add_argument_group("scale and frame")
    add = group.add_argument
    add("--pixel-size", metavar="7.344nm", help="of all images (default: what each file states)")
    add("--calibration-factor", type=float, default=1.0, metavar="F", help="true length / stated (default: 1)")
    add("--calibration-uncertainty", metavar="0.8%", help="standard uncertainty (k = 1) of the pixel size")
    add("--crop-rows", type=int, metavar="N", help="rows of data bar at the bottom; 0: none (default: found)")
    add("--crop-top", type=int, metavar="N", help="rows of data bar at the top; 0: none (default: found)")
    add("--intensity-range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="black and white of 16-bit images")
    group = parser.add_argument_group("detection (default: the model that ships with the repository)")
    add = group.add_argument
    add("--model", metavar="NAME", help="a shipped model (tio2/shipped.py)")
    add("--config", type=Path, metavar="FILE", help="of a model of your own")
    add("--checkpoint", type=Path, metavar="FILE", help="its weights")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--tile", type=int, metavar="PX", help="look at large images in tiles of this size")
    add(
        "--overlap", type=int, metavar="PX", help="what tiles share, more than the largest particle (default: a fourth)"
    )
    add("--batch-size", type=int, default=1, metavar="N", help="images or tiles looked at together (default: 1)")
    add("--jobs", type=int, default=1, metavar="N", help="processes on this machine (default: 1)")
    add("--launcher", choices=["none", "pytorch", "slurm"], default="none", help="who started several processes")
    add("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    group = parser.add_argument_group("outlines made elsewhere, measured by the same code")
    add = group.add_argument
    add("--from-coco", type=Path, metavar="FILE", help="COCO JSON, or a predictions.json")
    add("--crowds-as-particles", action="store_true", help="measure what a COCO file marks as crowds (iscrowd) too")
    add("--from-labels", type=Path, metavar="DIR", help="label images of the images' names and folders")
    add("--suffix", default="", metavar="END", help="of label images' names, such as _mask (default: the usual ones)")
    add(
        "--binary",
        action="store_true",
        help="label images are masks: their connected pieces are particles",
    )
    add(
        "--from-rois", type=Path, metavar="DIR", help="ImageJ ROI sets of the images' names and folders; groups: states"
    )
    add("--states", type=Path, metavar="FILE", help="CSV with the columns image, id, state")
    group = parser.add_argument_group("what counts")
    add = group.add_argument
    add("--score", type=float, default=0.5, help="detections below it are left out (default: %(default)s)")
    add("--min-size", type=float, default=5.0, metavar="PX", help="resolution limit, ECD (default: %(default)s px)")
    add("--reference-uncertainty", type=float, metavar="PX", help="of a diameter by the outlines of the truth (docs)")
    add("--target", default="5%", metavar="5%", help="uncertainty of D50 to plan the number of particles for")
    group = parser.add_argument_group("also written")
    add = group.add_argument
    add("--xlsx", action="store_true", help="particles.xlsx")
    add("--rois", action="store_true", help="rois/<image>.zip, ImageJ ROI sets to correct and measure again")
    add("--colour", choices=["auto", "size", "state"], default="auto", help="of overlays (default: states if known)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line (default: the process's own), measure, write, say."""
    options = parse_arguments(arguments)
    os.environ.setdefault("LOCAL_RANK", str(options.local_rank))
    from semsize.exchange import ExchangeError  # not above: --help is quick
    from semsize.measuring.command import run
    from semsize.measuring.errors import MeasuringError

    with one_line_errors(MeasuringError, ExchangeError, OSError):
        try:
            code = run(options)
        except KeyboardInterrupt:
            sys.exit(f"interrupted: the same command goes on from the images in {options.out}/parts")
    sys.exit(code)
