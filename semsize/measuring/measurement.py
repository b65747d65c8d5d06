"""Images to a size distribution and everything that is written of it."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from semsize.measuring.detectors import DetectorRequest, find_detector
from semsize.measuring.errors import InputError
from semsize.measuring.finding import scale_of
from semsize.measuring.image_result import ImageResult
from semsize.measuring.images import ImageFile, find_images
from semsize.measuring.outlines import OutlineSource
from semsize.measuring.ranks import Ranks
from semsize.measuring.record import image_entry, in_json, summary_of, validity, versions, warnings_of
from semsize.measuring.results_folder import ResultsFolder
from semsize.measuring.running import find_all
from semsize.measuring.settings import Settings, Wishes
from semsize.measuring.summary import Summary
from semsize.measuring.table import ParticleTable, make_table, read_states, unmatched_states, with_exclusions
from semsize.measuring.validation_file import validation_to_dict
from semsize.measuring.writing import write_particles, write_pictures, write_report
from semsize.metrology import BiasRecord, ModelUse
from semsize.metrology.bias_record import nearest_record
from semsize.sem import SEMReadError
from semsize.structures.files import file_sha256, write_json
from semsize.structures.pixel_size import PixelSize


@dataclass(frozen=True, eq=False)
class Measurement:
    """What `measure_images` returns.

    Attributes:
        folder: where everything was written.
        table: all particles.
        summary: all numbers.
        record: contents of `record.json`.
    """

    folder: Path
    table: ParticleTable
    summary: Summary
    record: dict

    @property
    def skipped(self) -> dict[str, str]:
        """Image to why it could not be measured."""
        return {entry["image"]: entry["error"] for entry in self.record["skipped"]}


def measure(
    files: Sequence[ImageFile],
    out: str | Path,
    source: OutlineSource,
    settings: Settings,
    *,
    validations: Sequence[BiasRecord] = (),
    wishes: Wishes | None = None,
    ranks: Ranks | None = None,
) -> Measurement | None:
    """Measure images into a folder; started again on the same folder, it goes on where it stopped.

    The folder keeps what was found in each image. Settings that change none of it may be others at each start: table,
    numbers, overlays and report are made anew from what was found.

    Args:
        files: of `find_images`.
        out: the folder.
        source: where outlines come from.
        settings: what decides the numbers.
        validations: records of the model, if outlines come from one; the one that holds for these weights, settings and
            precision is applied, and none if none does.
        wishes: how to run, what else to write.
        ranks: which of several processes this is; each does its share, the first one joins them.

    Returns:
        The measurement; None on all processes but the first.

    Raises:
        MeasuringError: nothing can be measured, or not there; one line.
        OSError: a file cannot be written.
    """
    wishes, ranks, folder = wishes or Wishes(), ranks or Ranks(), ResultsFolder(out)
    states = read_states(settings.states_file) if settings.states_file else {}
    began, outlines = time.monotonic(), source.as_record()
    if not ranks.first:
        ranks.wait_for_folder(folder)
    folder.claim(_decisive(settings, outlines), alone=ranks.world == 1)
    _find(ranks.share(files), source, settings, folder, wishes.jobs)
    if not ranks.first:
        return None
    ranks.wait_for_others(files, folder)
    if failed := [file for file in ranks.others(files) if folder.failure(file).is_file()]:
        _find(failed, source, settings, folder, wishes.jobs)  # the reasons may be those of an earlier start
    notes = getattr(source, "notes", ())
    table, entries, skipped = _evaluate(files, folder, settings, states, notes)
    measured = [file for file in files if file.name in {entry["image"] for entry in entries}]
    record = {
        "program": "tio2 tools/measure.py",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": list(wishes.command),
        "versions": versions(with_network=outlines["kind"] == "model"),
        "settings": settings.as_record(),
        "states_sha256": settings.states_file and file_sha256(settings.states_file),
        "outlines": outlines,
        "validation": _nearest(validations, outlines, settings),
        "images": entries,
        "skipped": skipped,
        "notes": [*notes, *_unmatched(states, table), *folder.left_from_before(wishes)],
        "processes": ranks.world * wishes.jobs,
    }
    record["not_validated"] = list(validity(record)[1])
    summary = summary_of(record, table)
    drawn = write_pictures(folder, measured, table, settings, wishes, states_known=summary.states_known)
    for entry in entries:
        entry["contrast"] = drawn[entry["image"]].contrast
    record |= {"warnings": warnings_of(record, summary, table), "results": in_json(summary.numbers())}
    write_particles(folder, measured, table, wishes)
    write_report(folder, record, summary, measured, drawn)
    record["seconds"] = time.monotonic() - began
    write_json(folder.path / "record.json", record, indent=1)
    return Measurement(folder.path, table, summary, record)


def measure_images(
    images: Sequence[str | Path],
    out: str | Path,
    source: OutlineSource | None = None,
    settings: Settings | None = None,
    *,
    validations: Sequence[BiasRecord] = (),
    wishes: Wishes | None = None,
) -> Measurement:
    """Measure the particles of SEM images: table, distribution, overlays and report, in the folder `out`.

    Args:
        images: files, folders, patterns.
        out: a new folder, or that of the same measurement begun before.
        source: where outlines come from; None: the first model of the detector that is installed.
        settings: what decides the numbers.
        validations: records of the model in `source`; of the shipped model they are read from beside its weights.
        wishes: how to run, what else to write.

    Raises:
        MeasuringError: nothing can be measured, or not there; one line.
    """
    if source is None:
        source, validations = find_detector(DetectorRequest())
    files = find_images(images, Path(out))
    return measure(files, out, source, settings or Settings(), validations=validations, wishes=wishes)


_PLACES = ("path", "config", "licence", "device")  # of outlines: where they come from, not what they are


def _decisive(settings: Settings, outlines: Mapping) -> dict:
    """What must be the same for two starts to find the same; the place of a file is not, its contents are."""
    kept = {name: value for name, value in outlines.items() if name not in _PLACES}
    return {"settings": settings.of_detection(), "outlines": kept}


def _nearest(records: Sequence[BiasRecord], outlines: Mapping, settings: Settings) -> dict | None:
    """The record that holds for these outlines, else the one that nearly does: what it differs in is a warning."""
    if "model" not in outlines:
        return None
    nearest = nearest_record(records, ModelUse(**outlines["model"]), settings.score)
    return nearest and in_json(validation_to_dict(nearest))


def _find(
    files: Sequence[ImageFile], source: OutlineSource, settings: Settings, folder: ResultsFolder, jobs: int
) -> None:
    """Find the particles of all images, with a bar, and say how fast it went."""
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
    settings: Settings,
    states: Mapping[tuple[str, int], str],
    notes: Sequence[str],
) -> tuple[ParticleTable, list[dict], list[dict]]:
    """Table with exclusions, entries of the record, and which images are left out; holds one image's masks at a time.

    Raises:
        InputError: no image could be measured.
    """
    entries, skipped = [], []

    def kept() -> Iterator[tuple[ImageResult, PixelSize | None]]:
        for file in files:
            result = folder.read_result(file)
            try:
                if result is None:
                    raise SEMReadError(folder.read_failure(file) or "not measured")
                size, odd = scale_of(file, result.pixel_size, settings)
            except (SEMReadError, OSError) as cause:
                skipped.append({"image": file.name, "error": str(cause).splitlines()[0]})
                continue
            entries.append(image_entry(result, size, odd, settings))
            yield result, size

    table = make_table(kept(), states)
    if not entries:
        reasons = "; ".join([skipped[0]["error"], *notes])
        raise InputError(f"none of {len(files)} images could be measured; the first: {reasons}")
    return with_exclusions(table, settings), entries, skipped


def _unmatched(states: Mapping[tuple[str, int], str], table: ParticleTable) -> Iterable[str]:
    strangers = unmatched_states(states, table)
    if strangers:
        names = ", ".join(strangers[:4])
        yield f"{len(strangers)} rows of the states file are of no particle that was measured: {names}"
