"""Program that measures images."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semsize.cli import one_line_errors

if TYPE_CHECKING:
    from semsize.measuring.inputs import ImageFile, MeasurementSettings, RunOptions, VisibilityRequest
    from semsize.measuring.outlines import OutlineSource
    from semsize.metrology import BiasRecord

PROGRAM = """Measure the particles in SEM images: table, size distribution with its uncertainty, overlays, report.

python tools/measure.py scans/*.tif --out results
python tools/measure.py scans --out results --pixel-size 7.344nm --calibration-uncertainty 0.8% --xlsx --rois
python tools/measure.py scans --out corrected --from-rois results/rois

Open results/report.html. Started again with the same --out, it continues where it stopped. Exit code 0: all images
were measured; 3: some images could not be measured (they are named), or no drawn outline was left to measure; 1:
nothing was measured, with the reason in one line.
"""
"""Description in --help."""

SOME_LEFT_OUT = 3
"""Exit code if some images were left out, or no drawn outline was left to measure; 1 is for errors, 2 for a wrong
command line."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line; words after the files of `--visibility` are images."""
    parser = argparse.ArgumentParser(description=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("images", nargs="*", metavar="IMAGES", help="files, folders, patterns; TIFF, PNG, JPEG, BMP")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    add = parser.add_argument_group("scale and frame").add_argument
    add("--pixel-size", metavar="7.344nm", help="pixel size of all images (default: as each file states it)")
    add("--calibration-factor", type=float, metavar="F", help="true length / stated length (default: 1)")
    add("--calibration-uncertainty", metavar="0.8%", help="standard uncertainty (k = 1) of the pixel size")
    add("--crop-rows", type=int, metavar="N", help="rows of data bar at the bottom; 0: none (default: found)")
    add("--crop-top", type=int, metavar="N", help="rows of data bar at the top; 0: none (default: found)")
    add("--intensity-range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="black and white of 16-bit images")
    add = parser.add_argument_group("detection (default: the model that ships with the repository)").add_argument
    add("--model", metavar="NAME", help="a shipped model (nc or free), or a model's .semsize file")
    add("--config", type=Path, metavar="FILE", help="config of your own model, for torch")
    add("--checkpoint", type=Path, metavar="FILE", help="weights of your own model, for torch")
    engines = "onnx, torch, or auto, the fastest that is installed and validated (default: auto)"
    add("--engine", metavar="NAME", help=engines)
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    scales = "enlargements to look at, such as 0.75,1.5, or auto: chosen for each image (default: the model's own)"
    add("--scales", metavar="X,X", help=scales)
    add("--diameter", metavar="40nm", help="diameter of most particles, nm or px: fewer scales, less time")
    add("--tile", type=int, metavar="PX", help="side of tiles for all images (default: tiles for large images only)")
    shared = "overlap of tiles, more than the largest particle (default: a fourth of --tile)"
    add("--overlap", type=int, metavar="PX", help=shared)
    add("--batch-size", type=int, default=1, metavar="N", help="tiles given to the engine at once (default: 1)")
    add("--jobs", type=int, default=1, metavar="N", help="processes on this machine (default: 1)")
    add("--launcher", choices=["none", "pytorch", "slurm"], default="none", help="launcher of several processes")
    add("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    add = parser.add_argument_group("outlines made elsewhere, measured by the same code").add_argument
    add("--from-coco", type=Path, metavar="FILE", help="COCO JSON, or a predictions.json")
    add("--crowds-as-particles", action="store_true", help="also measure outlines that a COCO file marks as iscrowd")
    add("--from-labels", type=Path, metavar="DIR", help="label images with the names and subfolders of the images")
    add("--suffix", default="", metavar="END", help="end of label images' names, such as _mask (default: usual ends)")
    add("--binary", action="store_true", help="label images are masks: their connected pieces are particles")
    sets = "ImageJ ROI sets with the names and subfolders of the images; ROI groups are states"
    add("--from-rois", type=Path, metavar="DIR", help=sets)
    left = "results folder corrected with semsize correct; its settings hold, except those given here"
    add("--from-corrections", type=Path, metavar="RESULTS", help=left)
    states = (
        "CSV with the columns image, id, state; or predicted, given, none (default: predicted behind a shipped model)"
    )
    add("--states", action="append", default=[], metavar="FILE", help=states)
    of_model = "model that predicts states: a visibility model's .semsize file, or config and weights of your own"
    add("--visibility", type=Path, nargs="+", metavar="FILE", help=of_model)
    add = parser.add_argument_group("what counts").add_argument
    add("--score", type=float, help="detections below it are left out (default: 0.5)")
    add("--min-size", type=float, metavar="PX", help="resolution limit, ECD (default: 5 px)")
    add("--reference-uncertainty", type=float, metavar="PX", help="standard uncertainty of true diameters (see docs)")
    add("--reference-d50", metavar="'203 nm ± 5 nm'", help="certified D50 with its U (95 %%): the report gives E_n")
    add("--target", metavar="5%", help="target U of D50, for the number of particles needed (default: 5%%)")
    add = parser.add_argument_group("also written").add_argument
    add("--xlsx", action="store_true", help="particles.xlsx")
    add("--rois", action="store_true", help="rois/<image>.zip, ImageJ ROI sets to correct and measure again")
    add("--colour", choices=["auto", "size", "state"], default="auto", help="in overlays (default: states if known)")
    options = parser.parse_args(arguments)
    words = options.visibility or []
    of_model = 1 if words and words[0].suffix == ".semsize" else 2
    options.visibility, options.images = words[:of_model] or None, [*options.images, *map(str, words[of_model:])]
    if not options.images:
        parser.error("no image is named: give files, folders or patterns")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Read the command line (default: the process's own), measure, write, print."""
    options = parse_arguments(arguments)
    os.environ.setdefault("LOCAL_RANK", str(options.local_rank))
    from semsize.correcting import CorrectionError  # not above: --help is quick
    from semsize.exchange import ExchangeError
    from semsize.measuring.inputs import MeasuringError

    with one_line_errors(MeasuringError, ExchangeError, CorrectionError, OSError):
        try:
            code = _run(options)
        except KeyboardInterrupt:
            sys.exit(f"interrupted: the same command goes on from the images in {options.out}/parts")
    sys.exit(code)


def _run(arguments: argparse.Namespace) -> int:
    """Measure with the options of the command line; return the exit code."""
    from semsize.measuring.finding import ranks_of
    from semsize.measuring.inputs import find_images, without_label_images
    from semsize.measuring.measurement import measure
    from semsize.measuring.predicted_states import with_requested_states
    from semsize.measuring.report import lines_of

    settings, options, tile = _settings(arguments)
    ranks, given = ranks_of(arguments.launcher), find_images(arguments.images, arguments.out)
    files = given
    if arguments.from_labels is not None:
        files = without_label_images(given, arguments.from_labels, arguments.suffix)
    source, bias_records = _source(arguments, files, tile, settings)
    if taken := len(given) - len(files):
        note = f"{taken} of {len(given)} files given are label images, not pictures to measure"
        source = dataclasses.replace(source, notes=(*source.notes, note))
    source = with_requested_states(source, settings, _visibility(arguments))
    done = measure(files, arguments.out, source, settings, bias_records=bias_records, options=options, ranks=ranks)
    if done is None:
        return 0
    print("\n".join(lines_of(done)))
    return SOME_LEFT_OUT if done.skipped or done.has_no_outline else 0


def _settings(arguments: argparse.Namespace) -> tuple[MeasurementSettings, RunOptions, tuple[int, int] | None]:
    """Settings, run options, and side and overlap of tiles, px (None: only large images are tiled)."""
    from semsize.correcting.source import settings_before
    from semsize.measuring.inputs import MeasurementSettings, OptionError, ReferenceValue, RunOptions, parse_percent
    from semsize.structures.pixel_size import PixelSize
    from semsize.structures.tiling import check_tiles

    size, std, reference = arguments.pixel_size, arguments.calibration_uncertainty, arguments.reference_uncertainty
    of_d50, target = arguments.reference_d50, arguments.target
    corrected = arguments.from_corrections
    before = MeasurementSettings() if corrected is None else settings_before(corrected)
    try:
        declared = None if size is None else PixelSize.parse(size, source="--pixel-size")
    except ValueError as cause:
        raise OptionError(f"--pixel-size: {cause}") from None
    given = {
        "score": arguments.score,
        "min_size_px": arguments.min_size,
        "crop_rows": arguments.crop_rows,
        "crop_top": arguments.crop_top,
        "intensity_range": None if arguments.intensity_range is None else tuple(arguments.intensity_range),
        "pixel_size": declared,
        "calibration_factor": arguments.calibration_factor,
        "calibration_std": None if std is None else parse_percent(std),
        "reference_std_px": reference,
        "reference_d50": None if of_d50 is None else ReferenceValue.parse(of_d50),
        "target_percent": None if target is None else 100 * parse_percent(target),
    }
    given = {name: value for name, value in given.items() if value is not None}
    settings = dataclasses.replace(before, **given, **_states(arguments))
    if arguments.jobs < 1 or arguments.batch_size < 1:
        raise OptionError("--jobs and --batch-size are 1 or more")
    program, *words = sys.argv  # `semsize measure`, or the path of a program for Python
    command = (*(["python", program] if program.endswith(".py") else [program]), *map(shlex.quote, words))
    options = RunOptions(arguments.jobs, arguments.xlsx, arguments.rois, arguments.colour, command)
    if arguments.tile is None:
        if arguments.overlap is not None:
            raise OptionError("--overlap needs --tile; give --tile SIZE too")
        return settings, options, None
    overlap = arguments.tile // 4 if arguments.overlap is None else arguments.overlap
    try:
        check_tiles(arguments.tile, overlap)
    except ValueError as cause:
        raise OptionError(f"--tile, --overlap: {cause}") from None
    return settings, options, (arguments.tile, overlap)


def _source(
    arguments: argparse.Namespace,
    files: Sequence[ImageFile],
    tile: tuple[int, int] | None,
    settings: MeasurementSettings,
) -> tuple[OutlineSource, Sequence[BiasRecord]]:
    """The source of outlines, and the bias records of its model, from which the measurement takes one that holds."""
    from semsize.measuring.engines import find_detector
    from semsize.measuring.finding import device_of
    from semsize.measuring.inputs import DetectorRequest, OptionError, parse_scales
    from semsize.measuring.outline_files import READERS

    def outlines_from_corrections(folder: Path, _: Sequence[ImageFile]) -> OutlineSource:
        from semsize.correcting.source import CorrectedOutlines

        return CorrectedOutlines(folder)

    readers = READERS | {"corrections": outlines_from_corrections}
    paths = {f"--from-{kind}": getattr(arguments, f"from_{kind}") for kind in readers}
    given = [name for name, path in paths.items() if path is not None]
    of_detector = ("model", "config", "checkpoint", "engine", "scales", "diameter", "tile")
    own = [name for name in of_detector if getattr(arguments, name) is not None]
    if "engine" in own and settings.states == "predicted":  # it computes the visibility model too
        own.remove("engine")
    if arguments.crowds_as_particles and given != ["--from-coco"]:
        raise OptionError("--crowds-as-particles needs a COCO file; give --from-coco FILE too")
    if len(given) > 1 or (given and own):
        raise OptionError(f"{given[0]}: give one source of outlines; leave out --{(given[1:] + own)[0].lstrip('-')}")
    of_labels = {"suffix": arguments.suffix, "binary": arguments.binary}
    if any(of_labels.values()) and given != ["--from-labels"]:
        raise OptionError("--suffix and --binary need label images; give --from-labels DIR too")
    if given:
        options = of_labels if given == ["--from-labels"] else {}
        if arguments.crowds_as_particles:
            options = {"crowds_as_particles": True}
        return readers[given[0].removeprefix("--from-")](paths[given[0]], files, **options), ()
    if (arguments.config is None) != (arguments.checkpoint is None):
        raise OptionError("--config and --checkpoint belong together; give both, or --model")
    if arguments.config is not None and arguments.model is not None:
        raise OptionError("give --model, or --config and --checkpoint, not both")
    device = device_of(arguments.device)
    return find_detector(
        DetectorRequest(
            model=arguments.model,
            config=arguments.config,
            checkpoint=arguments.checkpoint,
            engine=arguments.engine or "auto",
            device=device,
            scales=parse_scales(arguments.scales, arguments.diameter),
            diameter=arguments.diameter,
            tile=tile,
            batch_size=arguments.batch_size,
        ),
        settings.score,
    )


def _visibility(arguments: argparse.Namespace) -> VisibilityRequest:
    """The visibility model to use if states are predicted."""
    from semsize.measuring.finding import device_of
    from semsize.measuring.inputs import VisibilityRequest

    device = device_of(arguments.device)
    return VisibilityRequest.of(arguments.visibility or (), arguments.engine or "auto", device)


def _states(arguments: argparse.Namespace) -> dict:
    """Settings from `--states`: the states file, and which states count."""
    from semsize.measuring.inputs import STATE_SOURCES, OptionError

    files = [Path(word) for word in arguments.states if word not in STATE_SOURCES]
    words = [word for word in arguments.states if word in STATE_SOURCES]
    if len(files) > 1 or len(words) > 1 or (files and words == ["none"]):
        raise OptionError(f"--states {' '.join(arguments.states)}: give one file, one of {STATE_SOURCES}, or both")
    if arguments.visibility is not None and words not in ([], ["predicted"]):
        raise OptionError(f"--visibility names a model that predicts states; leave out --states {words[0]}")
    default = "auto" if arguments.visibility is None else "predicted"
    return {"states_file": files[0] if files else None, "states": words[0] if words else default}
