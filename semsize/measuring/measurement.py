"""Measures images: from image files to the size distribution and all files of results."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from semsize.measuring.corrected import effect_of_corrections
from semsize.measuring.engines import find_detector
from semsize.measuring.finding import Ranks, find_all, scale_of
from semsize.measuring.inputs import (
    DetectorRequest,
    ImageFile,
    InputError,
    MeasurementSettings,
    RunOptions,
    find_images,
)
from semsize.measuring.outlines import OutlineSource
from semsize.measuring.particle_table import (
    ParticleTable,
    make_table,
    read_states,
    read_table,
    unmatched_states,
    with_exclusions,
)
from semsize.measuring.pictures import write_pictures
from semsize.measuring.predicted_states import OutlinesWithStates, with_requested_states
from semsize.measuring.record import MeasuredImage, Record, read_record, versions
from semsize.measuring.report import write_report
from semsize.measuring.results_folder import ImageResult, ResultsFolder
from semsize.measuring.summary import Summary, summarise
from semsize.measuring.tables import write_workbook
from semsize.measuring.warnings import warnings_of
from semsize.metrology import BiasRecord, ModelUse
from semsize.metrology.bias_record import nearest_record
from semsize.sem import SEMReadError
from semsize.structures import write_predictions
from semsize.structures.files import file_sha256, in_json, write_json
from semsize.structures.pixel_size import PixelSize

PACKAGES = ("numpy", "scipy", "opencv-python-headless", "pycocotools", "tifffile", "matplotlib")
ENGINE_PACKAGES = {
    "torch": ("torch", "onedl-mmcv", "onedl-mmengine", "onedl-mmdetection"),
    "onnx": ("onnxruntime",),
}


@dataclass(frozen=True, eq=False)
class Measurement:
    """The result of `measure_images`."""

    folder: Path  # the results folder
    table: ParticleTable  # all particles
    summary: Summary  # all numbers
    record: dict  # contents of `record.json`
    has_no_outline: bool  # the outlines are drawn ones, and none is left to measure

    @property
    def skipped(self) -> dict[str, str]:
        """Name of each image that could not be measured, to the reason."""
        return {entry["image"]: entry["error"] for entry in self.record["skipped"]}


def measure(
    files: Sequence[ImageFile],
    out: str | Path,
    source: OutlineSource,
    settings: MeasurementSettings,
    *,
    bias_records: Sequence[BiasRecord] = (),
    options: RunOptions | None = None,
    ranks: Ranks | None = None,
) -> Measurement | None:
    """Measure images into a folder; a second call with the same folder continues where the first stopped.

    The folder keeps what was found in each image. Later calls may change all settings that do not affect detection:
    table, numbers, overlays and report are always made anew.

    Args:
        files: the images, from `find_images`.
        out: the results folder.
        source: where outlines come from.
        settings: what decides the numbers; states `auto` means predicted states if the source has them, else given.
        bias_records: bias records of the model that finds the outlines; the record that holds for its weights, settings
            and precision is applied. If no record holds, nothing is corrected and the warnings say what differs.
        options: how to run, and which further files to write.
        ranks: number of this process among several; each measures its share, and the first joins the results.

    Returns:
        The measurement; None on all processes but the first.

    Raises:
        MeasuringError: no image can be measured, or the folder cannot be used; one line.
        OSError: a file cannot be written.
    """
    options, ranks, folder = options or RunOptions(), ranks or Ranks(), ResultsFolder(out)
    if settings.states == "auto":
        settings = replace(settings, states="predicted" if isinstance(source, OutlinesWithStates) else "given")
    if isinstance(source, OutlinesWithStates) and settings.states != "predicted":
        source = source.source
    states = read_states(settings.states_file) if settings.states_file else {}
    began, outlines = time.monotonic(), source.as_record()
    if not ranks.first:
        ranks.wait_for_folder(folder)
    folder.claim(_decisive(settings, outlines), alone=ranks.world == 1)
    _find(ranks.share(files), source, settings, folder, options.jobs)
    if not ranks.first:
        return None
    ranks.wait_for_others(files, folder)
    if failed := [file for file in ranks.others(files) if folder.failure(file).is_file()]:
        _find(failed, source, settings, folder, options.jobs)  # the reasons may be those of an earlier start
    notes = getattr(source, "notes", ())
    table, images, skipped = _evaluate(files, folder, settings, states, notes)
    measured = [file for file in files if file.name in images]
    sized = ((folder.read_result(file), images[file.name].pixel_size) for file in measured)
    effect, effect_notes = effect_of_corrections(source, sized, table, settings)
    drawn = write_pictures(measured, table, settings, folder, options)
    use = ModelUse.from_json(outlines["model"]) if "model" in outlines else None
    record = Record(
        settings=settings,
        outlines=outlines,
        validation=use and nearest_record(bias_records, use, settings.score),
        images=tuple(replace(image, contrast=drawn[name].contrast) for name, image in images.items()),
        skipped=tuple(skipped),
        notes=(*notes, *effect_notes, *unmatched_states(states, table), *folder.left_from_before(options)),
        seen_validation=source.nearest_record() if isinstance(source, OutlinesWithStates) else None,
    )
    summary = summarise(record, table)
    contents = {
        "program": "tio2 tools/measure.py",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": list(options.command),
        "versions": versions(*PACKAGES, *_engine_packages(outlines)),
        "states_sha256": settings.states_file and file_sha256(settings.states_file),
        **in_json(record),
        "corrections": in_json(effect),
        "processes": ranks.world * options.jobs,
        "not_validated": list(record.bias()[1]),
        "states_not_validated": list(record.seen()[1]),
        "licence": record.licence,
        "warnings": warnings_of(record, summary, table),
        "results": summary.numbers(),
    }
    _write_particles(folder, measured, table, options)
    write_report(folder, contents, summary, measured, drawn)
    contents["seconds"] = time.monotonic() - began
    write_json(folder.path / "record.json", contents, indent=1)
    return Measurement(folder.path, table, summary, contents, record.has_no_outline)


def measure_images(
    images: Sequence[str | Path],
    out: str | Path,
    source: OutlineSource | None = None,
    settings: MeasurementSettings | None = None,
    *,
    bias_records: Sequence[BiasRecord] = (),
    options: RunOptions | None = None,
) -> Measurement:
    """Measure the particles of SEM images, and write table, distribution, overlays and report to the folder `out`.

    Args:
        images: files, folders, patterns.
        out: a new folder, or that of the same measurement begun before.
        source: where outlines come from; None: the first shipped model, by the engine that `find_detector` chooses. A
            shipped visibility model predicts the states if the settings ask for them (`with_requested_states`).
        settings: what decides the numbers.
        bias_records: bias records of the model in `source`; ignored without a source, as the shipped model has its own.
        options: how to run, and which further files to write.

    Raises:
        MeasuringError: no image can be measured, or the folder cannot be used; one line.
    """
    settings = settings or MeasurementSettings()
    if source is None:
        source, bias_records = find_detector(DetectorRequest(), settings.score)
    source = with_requested_states(source, settings)
    files = find_images(images, Path(out))
    return measure(files, out, source, settings, bias_records=bias_records, options=options)


def _engine_packages(outlines: Mapping) -> list[str]:
    """Packages whose versions the record states for the engines of detector and visibility model, each once."""
    engines = [outlines[model]["engine"] for model in ("model", "visibility") if model in outlines]
    return list(dict.fromkeys(package for engine in engines for package in ENGINE_PACKAGES.get(engine, ())))


_LOCATIONS = ("path", "config", "licence", "device")  # keys that may differ between two starts of a measurement


def _decisive(settings: MeasurementSettings, outlines: Mapping) -> dict:
    """All that must be equal for two starts to find the same outlines: contents of files, not their locations."""
    of_detection = {name: getattr(settings, name) for name in ("crop_rows", "crop_top", "intensity_range")}
    if not (outlines.get("diameter") or "px").endswith("px"):  # a length: the pixel size decides the scales
        size = settings.calibrated(settings.pixel_size)
        of_detection["pixel_size_nm"] = size and size.value_nm
        of_detection["calibration_factor"] = settings.calibration_factor
    kept = _without_locations(outlines)
    if "visibility" in kept:
        kept["visibility"] = _without_locations(kept["visibility"])
    return {"settings": of_detection, "outlines": kept}


def _without_locations(record: Mapping) -> dict:
    return {name: value for name, value in record.items() if name not in _LOCATIONS}


def _find(
    files: Sequence[ImageFile], source: OutlineSource, settings: MeasurementSettings, folder: ResultsFolder, jobs: int
) -> None:
    """Find the particles of all images, show the progress, and print the speed."""
    began, particles = time.monotonic(), 0
    with tqdm(total=len(files), desc="measuring", unit="image", disable=None) as bar:
        for count in find_all(files, source, settings, folder, jobs):
            particles += count
            bar.update()
            bar.set_postfix(particles=particles)
    seconds = time.monotonic() - began
    print(
        f"{len(files)} images, {particles} particles in {seconds:.1f} s: "
        f"{particles / max(seconds, 1e-9):.0f} particles a second",
        file=sys.stderr,
    )


def _evaluate(
    files: Sequence[ImageFile],
    folder: ResultsFolder,
    settings: MeasurementSettings,
    states: Mapping[tuple[str, int], str],
    notes: Sequence[str],
) -> tuple[ParticleTable, dict[str, MeasuredImage], list[dict]]:
    """Return the table with exclusions, the images by name, and those left out; holds one image's masks at a time.

    Raises:
        InputError: no image could be measured.
    """
    images, skipped = {}, []

    def kept() -> Iterator[tuple[ImageResult, PixelSize | None]]:
        for file in files:
            result = folder.read_result(file)
            try:
                if result is None:
                    raise SEMReadError(folder.read_failure(file) or "not measured")
                # parts/ holds nothing that settings decide, so the scale is read from the file again, without pixels
                size, odd = scale_of(file, result.pixel_size, settings, result.file_shape)
            except (SEMReadError, OSError) as cause:
                skipped.append({"image": file.name, "error": str(cause).splitlines()[0]})
                continue
            images[file.name] = MeasuredImage.of(result, size, odd, settings)
            yield result, size

    table = make_table(kept(), states, settings.states)
    if not images:
        reasons = "; ".join([skipped[0]["error"], *notes])
        raise InputError(f"none of {len(files)} images could be measured; the first: {reasons}")
    return with_exclusions(table, settings), images, skipped


def _write_particles(
    folder: ResultsFolder, files: Sequence[ImageFile], table: ParticleTable, options: RunOptions
) -> None:
    """Write particles.csv, particles.xlsx if the options say so, and predictions.json of the measured images."""
    table.write(folder.path / "particles.csv")
    if options.xlsx:
        write_workbook(folder.path / "particles.xlsx", table.file_columns, table.rows())

    def predictions() -> Iterator[dict]:
        for number, file in enumerate(files, start=1):
            yield from folder.read_result(file).predictions(number)  # read again: one image's masks in memory

    write_predictions(folder.path / "predictions.json", predictions())


def read_measurement(folder: str | Path) -> tuple[Record, ParticleTable]:
    """Read record and table of an earlier measurement; `summarise` computes every number from them.

    Raises:
        InputError: record.json or particles.csv is missing or damaged.
    """
    record = read_record(Path(folder) / "record.json")
    return record, read_table(Path(folder) / "particles.csv", record.unit)
