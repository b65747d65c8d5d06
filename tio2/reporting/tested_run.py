"""A tested split of a run, read back from the files that its test left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semsize.measuring.tables import OUTCOME_LETTERS, read_rows_by_image
from semsize.metrology.matching import IOU_THRESHOLDS
from semsize.structures.files import file_sha256, read_json
from semsize.structures.states import USEFUL_STATES

OUTCOME_OF = {letter: outcome for outcome, letter in OUTCOME_LETTERS.items()}


class RunError(ValueError):
    """A run's folder that cannot be read; the message names the file."""


@dataclass(frozen=True, eq=False)
class TestedImage:
    """Numbers of an image's particles and of those found from the operating score on, and all its detections."""

    particles: int
    useful: int
    found: int
    useful_found: int
    dice: np.ndarray  # (K,) of the matched useful particles; of all matched ones if the run knows no state
    ecd_residuals_percent: np.ndarray  # (K,) of the particles of `dice`
    scores: np.ndarray  # (M,) of all detections
    outcomes: np.ndarray  # (M, 10), see `semsize.metrology.matching.outcomes`


@dataclass(frozen=True, eq=False)
class TestedRun:
    """A tested split of a run: its folder, ``metrics.json``, ``run.json``, its images.

    ``run`` is empty if there is no ``run.json``, or if the test was of other weights than that training's.
    """

    folder: Path
    metrics: dict
    run: dict
    images: dict[str, TestedImage]

    @property
    def weights(self) -> tuple[str, ...] | None:
        """SHA-256 of the tested weights, one for each fold; None if one is not known."""
        if "model" in self.metrics:
            return (self.metrics["model"]["sha256"],)
        checkpoints = self.metrics.get("checkpoint", {})
        checkpoints = checkpoints if isinstance(checkpoints, list) else [checkpoints]
        digests = tuple(each.get("sha256") for each in checkpoints)
        return None if None in digests else digests


def read_run(folder: str | Path, split: str) -> TestedRun:
    """Read a tested split of a run; a ``run.json`` of the split, from cross-validation, replaces the run's.

    Raises:
        RunError: a file is missing or damaged, or the run was trained again or further after its test.
    """
    folder, tested = Path(folder), Path(folder) / split
    metrics = read_json(tested / "metrics.json", RunError)
    record = _training_record([tested / "run.json", folder / "run.json"], tested / "metrics.json", metrics)
    files = [tested / f"{name}.csv" for name in ("images", "particles", "detections")]
    rows, particles, detections = (read_rows_by_image(file, RunError) for file in files)
    known = any(particle["state"] for of_image in particles.values() for particle in of_image)
    images = {name: _tested_image(row, particles[name], detections[name], known) for name, (row,) in rows.items()}
    return TestedRun(folder, metrics, record, images)


def _training_record(files: list[Path], tested: Path, metrics: dict) -> dict:
    """Read the first ``run.json`` that exists; empty if there is none, or the test was of other weights."""
    file = next((file for file in files if file.is_file()), None)
    if file is None or metrics.get("run_sha256", "") is None:
        return {}
    if not _is_of_record(metrics, file):
        raise RunError(f"{tested}: is a test of an earlier training than {file} records; test the run again")
    return read_json(file, RunError)


def _is_of_record(metrics: dict, record: Path) -> bool:
    """Whether a test is of the training that a ``run.json`` records.

    Tests by former versions do not say so; for them the checkpoint beside the record, if it still exists, decides.
    """
    if "run_sha256" in metrics:
        return metrics["run_sha256"] == file_sha256(record)
    checkpoint = metrics.get("checkpoint")
    if not isinstance(checkpoint, dict) or "sha256" not in checkpoint:
        return True
    beside = record.with_name(Path(checkpoint["path"]).name)
    return not (beside.name.startswith("epoch_") and beside.is_file()) or file_sha256(beside) == checkpoint["sha256"]


def require_same_truth(first: TestedRun, second: TestedRun) -> None:
    """Check that images of the same name in both runs were judged by the same annotations.

    Tests by former versions do not state their annotation file; then images must have equal numbers of particles.

    Raises:
        RunError: the annotations differ.
    """
    common = sorted(first.images.keys() & second.images.keys())
    files = [run.metrics.get("annotations_sha256") for run in (first, second)]
    if None in files:
        common = [name for name in common if _counts(first.images[name]) != _counts(second.images[name])]
    elif files[0] == files[1]:
        return
    if common:
        raise RunError(
            f"{first.folder} and {second.folder} were judged by different annotations, though both have an image "
            f"{common[0]}; test both on the same annotation file"
        )


def _counts(image: TestedImage) -> tuple[int, int]:
    return image.particles, image.useful


def _tested_image(row: dict, particles: list[dict], detections: list[dict], states_known: bool) -> TestedImage:
    matched = [particle for particle in particles if particle["match"] == "matched"]
    useful = [particle for particle in matched if particle["state"] in USEFUL_STATES]
    judged = useful if states_known else matched
    dice, residuals = (np.array([float(row[c]) for row in judged]) for c in ("dice", "ecd_residual_percent"))
    scores = np.array([float(detection["score"]) for detection in detections])
    outcomes = np.array([[OUTCOME_OF[letter] for letter in each["outcomes"]] for each in detections], np.int8)
    counts = int(row["particles"]), int(row["useful"]), len(matched), len(useful)
    return TestedImage(*counts, dice, residuals, scores, outcomes.reshape(-1, len(IOU_THRESHOLDS)))
