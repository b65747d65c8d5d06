"""What a run's folder says of it: `run.json`, and of each tested split `metrics.json` and the CSV files."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semsize.metrology.matching import NOT_COUNTED, RIGHT, WRONG, pooled_average_precision
from semsize.structures.files import read_json
from semsize.structures.states import USEFUL_STATES

OUTCOME_OF = {"1": RIGHT, "0": WRONG, "-": NOT_COUNTED}


class RunError(ValueError):
    """A run's folder that cannot be read; the message names the file."""


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What `compare` needs of an image.

    Attributes:
        particles: true ones.
        useful: true ones of a useful state.
        found: of all true ones, those found at the operating point.
        useful_found: of the useful ones.
        false_positives: found ones that are none.
        dice: (K,) of the matched particles.
        ecd_residuals: (K,) percent.
        scores: (M,) of all detections.
        outcomes: (M, 10), see `semsize.metrology.matching.outcomes`.
    """

    particles: int
    useful: int
    found: int
    useful_found: int
    false_positives: int
    dice: np.ndarray
    ecd_residuals: np.ndarray
    scores: np.ndarray
    outcomes: np.ndarray


@dataclass(frozen=True, eq=False)
class TestedRun:
    """A split of a run.

    Attributes:
        folder: the run's folder.
        split: name of the split.
        metrics: contents of ``metrics.json``.
        run: contents of ``run.json``, the split's own (a cross-validation's) before the folder's; empty where there is
            none, as for weights that were trained elsewhere.
        images: by file name.
    """

    folder: Path
    split: str
    metrics: dict
    run: dict
    images: dict[str, ImageResult]


FIGURES = {
    "mAP": lambda images: _average_precision(images, slice(None)),
    "AP50": lambda images: _average_precision(images, slice(0, 1)),
    "AP75": lambda images: _average_precision(images, slice(5, 6)),
    "AP90": lambda images: _average_precision(images, slice(8, 9)),
    "Dice": lambda images: _mean(np.concatenate([image.dice for image in images])),
    "found, %": lambda images: _percent([i.found for i in images], [i.particles for i in images]),
    "useful found, %": lambda images: _percent([i.useful_found for i in images], [i.useful for i in images]),
    "ECD bias, %": lambda images: _mean(np.concatenate([image.ecd_residuals for image in images])),
    "ECD spread, %": lambda images: _std(np.concatenate([image.ecd_residuals for image in images])),
}
"""Figure to a function from a list of images, repeats allowed, to its value pooled over them; Dice and ECD are those of
useful particles where states are known."""


def read_run(folder: str | Path, split: str) -> TestedRun:
    """A tested split of a run.

    Raises:
        RunError: a file is missing or damaged.
    """
    folder = Path(folder)
    where = folder / split
    metrics = read_json(where / "metrics.json", RunError)
    runs = [file for file in (where / "run.json", folder / "run.json") if file.is_file()]
    run = read_json(runs[0], RunError) if runs else {}
    particles, detections = _by_image(where / "particles.csv"), _by_image(where / "detections.csv")
    images = {
        row["image"]: _image_result(row, particles[row["image"]], detections[row["image"]])
        for rows in _by_image(where / "images.csv").values()
        for row in rows
    }
    return TestedRun(folder, split, metrics, run, images)


@dataclass(frozen=True)
class Start:
    """Weights that a run starts from.

    Attributes:
        label: run and epoch that they are from, or the file and the first 8 digits of its SHA-256.
        digests: SHA-256 of each file, sorted; several where each fold starts from its own.
    """

    label: str
    digests: tuple[str, ...] = ()


def start_of(run: TestedRun, initial: str | None) -> Start | None:
    """What a run started from, by its ``run.json``; None where that says nothing.

    Args:
        run: a tested split.
        initial: what its network starts from without a checkpoint, such as ``ImageNet``; None if that is not known.
    """
    recorded = run.run.get("start_weights", {})
    starts = recorded if isinstance(recorded, list) else [recorded]
    files = [each for each in starts if each]
    if {} in starts or not (files or initial):
        return None
    if not files:
        return Start(initial)
    labels = dict.fromkeys(_origin(each) for each in files)
    return Start(", ".join(labels), tuple(sorted({each["sha256"] for each in files if "sha256" in each})))


def run_config(folder: str | Path, split: str) -> Path | None:
    """The config of a tested split: the split's own (a cross-validation's) before the folder's; None without any."""
    places = Path(folder) / split, Path(folder)
    return next((file for place in places for file in sorted(place.glob("*.py"))), None)


def _origin(weights: dict) -> str:
    """Run and epoch of a checkpoint that a run or its fold wrote; of others the file and 8 digits of its SHA-256."""
    path = Path(weights["path"])
    if not re.fullmatch(r"epoch_\d+(_step_\d+)?", path.stem):
        return f"{path.name} {weights.get('sha256', '')[:8]}".strip()
    fold = re.fullmatch(r"(?:.*/)?([^/]+)/cv/fold_\d+/run", path.parent.as_posix())
    return f"{fold[1]} {path.stem}, each fold its own" if fold else f"{path.parent.name} {path.stem}"


def _image_result(row: dict, particles: list[dict], detections: list[dict]) -> ImageResult:
    matched = [particle for particle in particles if particle["match"] == "matched"]
    useful = [particle for particle in matched if particle["state"] in USEFUL_STATES]
    judged = useful if int(row["useful"]) else matched
    letters = [[OUTCOME_OF[letter] for letter in detection["outcomes"]] for detection in detections]
    return ImageResult(
        particles=int(row["particles"]),
        useful=int(row["useful"]),
        found=len(matched),
        useful_found=len(useful),
        false_positives=sum(particle["match"] == "false_positive" for particle in particles),
        dice=np.array([float(particle["dice"]) for particle in judged]),
        ecd_residuals=np.array([float(particle["ecd_residual_percent"]) for particle in judged]),
        scores=np.array([float(detection["score"]) for detection in detections]),
        outcomes=np.array(letters, np.int8).reshape(-1, 10),
    )


def _by_image(path: Path) -> dict[str, list[dict]]:
    rows = defaultdict(list)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                rows[row["image"]].append(row)
    except OSError as cause:
        raise RunError(f"{path}: cannot be read ({cause.strerror}); test the run again with tools/test.py") from None
    return rows


def _average_precision(images: list[ImageResult], thresholds: slice) -> float:
    """Mean over some of the IoU thresholds."""
    particles = sum(image.particles for image in images)
    outcomes = [image.outcomes[:, thresholds] for image in images]
    return float(pooled_average_precision([image.scores for image in images], outcomes, particles).mean())


def _percent(parts: list[int], wholes: list[int]) -> float:
    return 100 * sum(parts) / sum(wholes) if sum(wholes) else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else float("nan")
