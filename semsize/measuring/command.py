"""From the command line of the measuring program to a measurement, and what is printed of it."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence

from semsize.measuring.detectors import DetectorRequest, find_detector
from semsize.measuring.errors import SettingsError
from semsize.measuring.images import ImageFile, find_images, without_label_images
from semsize.measuring.measurement import Measurement, measure
from semsize.measuring.outline_files import outlines_from_coco, outlines_from_labels, outlines_from_rois
from semsize.measuring.outlines import OutlineSource
from semsize.measuring.ranks import device_of, ranks_of
from semsize.measuring.record import not_one_outline
from semsize.measuring.settings import Settings, Wishes, parse_percent
from semsize.metrology import BiasRecord
from semsize.structures.pixel_size import PixelSize
from semsize.structures.tiling import check_tiles

SOME_LEFT_OUT = 3
"""Exit code where images were left out and the others measured, or not one drawn outline was left to measure; 1 is for
errors, 2 for a wrong command line."""


def run(arguments: argparse.Namespace) -> int:
    """Measure as the command line asks; returns the exit code.

    Raises:
        MeasuringError, ExchangeError, OSError: it cannot be done; one line.
    """
    settings, wishes = _settings(arguments), _wishes(arguments)
    tile = _tile(arguments)
    ranks, given = ranks_of(arguments.launcher), find_images(arguments.images, arguments.out)
    files = given
    if arguments.from_labels is not None:
        files = without_label_images(given, arguments.from_labels, arguments.suffix)
    source, validations = _source(arguments, files, tile)
    if taken := len(given) - len(files):
        note = f"{taken} of {len(given)} files given are label images, not pictures to measure"
        source = dataclasses.replace(source, notes=(*source.notes, note))
    measurement = measure(files, arguments.out, source, settings, validations=validations, wishes=wishes, ranks=ranks)
    if measurement is None:
        return 0
    print("\n".join(lines_of(measurement)))
    return SOME_LEFT_OUT if measurement.skipped or not_one_outline(measurement.record) else 0


def lines_of(measurement: Measurement) -> list[str]:
    """What is printed at the end: warnings, what was left out, the result, where it stands."""
    summary, record = measurement.summary, measurement.record
    lines = [f"WARNING: {warning}" for warning in record["warnings"]]
    lines += [f"LEFT OUT: {image}: {error}" for image, error in measurement.skipped.items()]
    if "licence" in record["outlines"]:
        lines.append(f"model: {record['outlines']['path']} ({record['outlines']['licence']})")
    lines.append(f"{summary.quantity}: {summary.kept} of {summary.detected} detected, in {summary.images} images")
    for name, budget in summary.budgets.items():
        label = f", {budget.label}" if budget.label else ""
        lines.append(
            f"{name:>5} = {budget.value:.4g} {budget.unit}, U = {budget.expanded:.2g} {budget.unit} "
            f"(k = {budget.coverage_factor:.2f}{label})"
        )
    lines.append(f"written: {measurement.folder}/report.html, particles.csv, predictions.json, record.json, overlays/")
    return lines


def _settings(arguments: argparse.Namespace) -> Settings:
    size = arguments.pixel_size
    try:
        declared = None if size is None else PixelSize.parse(size, source="--pixel-size")
    except ValueError as cause:
        raise SettingsError(f"--pixel-size: {cause}") from None
    std = arguments.calibration_uncertainty
    return Settings(
        score=arguments.score,
        min_size_px=arguments.min_size,
        crop_rows=arguments.crop_rows,
        crop_top=arguments.crop_top,
        intensity_range=None if arguments.intensity_range is None else tuple(arguments.intensity_range),
        pixel_size=declared,
        calibration_factor=arguments.calibration_factor,
        calibration_std=None if std is None else parse_percent(std),
        states_file=arguments.states,
        target_percent=100 * parse_percent(arguments.target),
        **({} if arguments.reference_uncertainty is None else {"reference_std_px": arguments.reference_uncertainty}),
    )


def _wishes(arguments: argparse.Namespace) -> Wishes:
    if arguments.jobs < 1 or arguments.batch_size < 1:
        raise SettingsError("--jobs and --batch-size are 1 or more")
    command = ("python", *(shlex.quote(word) for word in sys.argv))
    return Wishes(arguments.jobs, arguments.xlsx, arguments.rois, arguments.colour, command)


def _tile(arguments: argparse.Namespace) -> tuple[int, int] | None:
    """Size and overlap of tiles, px; None looks at whole images."""
    if arguments.tile is None:
        if arguments.overlap is not None:
            raise SettingsError("--overlap is of tiles; give --tile SIZE too")
        return None
    overlap = arguments.tile // 4 if arguments.overlap is None else arguments.overlap
    try:
        check_tiles(arguments.tile, overlap)
    except ValueError as cause:
        raise SettingsError(f"--tile, --overlap: {cause}") from None
    return arguments.tile, overlap


def _source(
    arguments: argparse.Namespace, files: Sequence[ImageFile], tile: tuple[int, int] | None
) -> tuple[OutlineSource, Sequence[BiasRecord]]:
    """Where outlines come from, and what is known of the model."""
    drawn = {
        "--from-coco": (arguments.from_coco, outlines_from_coco),
        "--from-labels": (arguments.from_labels, outlines_from_labels),
        "--from-rois": (arguments.from_rois, outlines_from_rois),
    }
    given = [name for name, (path, _) in drawn.items() if path is not None]
    own = [name for name in ("model", "config", "checkpoint") if getattr(arguments, name) is not None]
    if arguments.crowds_as_particles and given != ["--from-coco"]:
        raise SettingsError("--crowds-as-particles is of COCO files; give --from-coco FILE too")
    if len(given) > 1 or (given and own):
        raise SettingsError(f"{given[0]}: outlines come from one place; leave out --{(given[1:] + own)[0].lstrip('-')}")
    of_labels = {"suffix": arguments.suffix, "binary": arguments.binary}
    if any(of_labels.values()) and given != ["--from-labels"]:
        raise SettingsError("--suffix and --binary are of label images; give --from-labels DIR")
    if given:
        path, read = drawn[given[0]]
        options = of_labels if given == ["--from-labels"] else {}
        if arguments.crowds_as_particles:
            options = {"crowds_as_particles": True}
        return read(path, files, **options), ()
    return _detector(arguments, tile)


def _detector(
    arguments: argparse.Namespace, tile: tuple[int, int] | None
) -> tuple[OutlineSource, Sequence[BiasRecord]]:
    if (arguments.config is None) != (arguments.checkpoint is None):
        raise SettingsError("--config and --checkpoint belong together; give both, or --model")
    if arguments.config is not None and arguments.model is not None:
        raise SettingsError("give --model, or --config and --checkpoint, not both")
    device = device_of(arguments.device)
    return find_detector(
        DetectorRequest(arguments.model, arguments.config, arguments.checkpoint, device, tile, arguments.batch_size)
    )
